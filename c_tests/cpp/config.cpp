// Configurations.
#include "checks.hpp"

TEST(a_configuration_starts_with_the_defaults) {
    const Config config;
    CHECK(config.bits() == 4);
    CHECK(config.ste() == Ste::Standard && config.ste_param() == 0.0f);
    CHECK(config.granularity() == Granularity::PerChannel && config.block_size() == 0);
    CHECK(config.pi_k() == std::nullopt);
    CHECK(config.grad_clip() == 1.0f);
    CHECK(config.symmetric() && !config.use_incoherence() && config.use_distillation() && config.freeze_teacher());
    CHECK(config.num_levels() == 16);
    CHECK(config.code_range().min == -8 && config.code_range().max == 7);
    CHECK(config.bits_per_weight() == 4.125f);
    CHECK(config.parameter_count(1024, 16) == 32);
    CHECK_THROWS(NotApplicable, "k", (void)config.pi_step(1.0f));
    config.validate();
}

TEST(every_field_can_be_set_and_read) {
    Config config;
    config.set_bits(3)
        .set_ste(Ste::Ewgs, 0.25f)
        .set_granularity(Granularity::PerBlock, 64)
        .set_pi_k(4)
        .set_grad_clip(2.0f)
        .set_lambda_task(3.0f)
        .set_lambda_kd(4.0f)
        .set_lambda_reasoning(5.0f)
        .set_kd_temperature(6.0f)
        .set_epochs(7)
        .set_learning_rate(8.0f)
        .set_warmup_epochs(9)
        .set_weight_decay(10.0f)
        .set_use_incoherence(true)
        .set_symmetric(false)
        .set_use_distillation(false)
        .set_freeze_teacher(false);
    for (const Config &same : {config.clone(), Config::from_json(config.to_json())}) {
        CHECK(same.bits() == 3);
        CHECK(same.ste() == Ste::Ewgs && same.ste_param() == 0.25f);
        CHECK(same.granularity() == Granularity::PerBlock && same.block_size() == 64);
        CHECK(same.pi_k() == 4u);
        CHECK(same.pi_step(2.0f) == 0x1.921fb6p+0f);
        CHECK(same.grad_clip() == 2.0f);
        CHECK(same.lambda_task() == 3.0f && same.lambda_kd() == 4.0f && same.lambda_reasoning() == 5.0f);
        CHECK(same.kd_temperature() == 6.0f);
        CHECK(same.epochs() == 7 && same.warmup_epochs() == 9);
        CHECK(same.learning_rate() == 8.0f && same.weight_decay() == 10.0f);
        CHECK(same.use_incoherence() && !same.symmetric() && !same.use_distillation() && !same.freeze_teacher());
    }
    config.set_pi_k(std::nullopt).set_grad_clip(std::nullopt);
    CHECK(config.pi_k() == std::nullopt && config.grad_clip() == std::nullopt);
}

TEST(a_configuration_makes_a_quantizer) {
    Config config(Preset::Piq3);
    const Quantizer quantizer(config);
    config.set_bits(2); // the quantizer has a copy
    CHECK(quantizer.bits() == 3 && quantizer.k() == 4u && quantizer.scales() == Floats{1.0f});
    CHECK(Quantizer(Config(Preset::Piq2)).num_levels() == 4);
    CHECK(Quantizer(Config().set_bits(5).set_pi_k(2)).bits() == 5);
}

TEST(a_configuration_goes_to_json_and_back) {
    const std::string json = Config(Preset::Piq3).to_json();
    CHECK(json.find("\"pi_k\": 4") != std::string::npos);
    CHECK(json.front() == '{' && json.back() == '}');
    CHECK(Config::from_json(json).to_json() == json);
    const std::string longer = json + "garbage after the end of the view";
    CHECK(Config::from_json(std::string_view(longer).substr(0, json.size())).to_json() == json);
    CHECK_THROWS(InvalidJson, "bits", (void)Config::from_json("{}"));
    CHECK_THROWS(InvalidJson, "", (void)Config::from_json({}));
    CHECK_THROWS(InvalidUtf8, "", (void)Config::from_json("\xff"));
}

TEST(json_is_not_judged_and_reads_as_it_is_written) {
    std::string json = Config().to_json();
    const std::string valid = "\"grad_clip\": 1.0";
    CHECK(json.find(valid) != std::string::npos);
    json.replace(json.find(valid), valid.size(), "\"grad_clip\": -1.0");
    CHECK(Config::from_json(json).grad_clip() == -1.0f);
}

TEST(a_configuration_says_what_is_wrong_with_it) {
    Config config;
    CHECK_THROWS(InvalidArgument, "bits is 7", config.set_bits(3).set_bits(7));
    CHECK(config.bits() == 3); // the first of the two calls was carried out
    config.set_bits(8).set_pi_k(4);
    CHECK_THROWS(InvalidConfig, "pi_k", config.validate());
    CHECK_THROWS(InvalidConfig, "pi_k", (void)Quantizer(config));
}
