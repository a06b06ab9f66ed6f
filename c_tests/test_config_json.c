/* Configurations as JSON: the exact text, the way back, and buffers for it. */

#include "support.h"

/* The form that serde gives the reference's struct, piece by piece. */
#define JSON(bits, ste, granularity, pi_k, use_incoherence, grad_clip)                                                 \
    "{\n  \"bits\": " bits ",\n  \"ste_variant\": " ste ",\n  \"granularity\": " granularity                           \
    ",\n  \"loss_weights\": {\n    \"lambda_task\": 1.0,\n    \"lambda_kd\": 0.5,\n    \"lambda_reasoning\": 0.2,\n"   \
    "    \"kd_temperature\": 3.0\n  },\n  \"epochs\": 3,\n  \"learning_rate\": 0.0001,\n  \"pi_k\": " pi_k             \
    ",\n  \"use_incoherence\": " use_incoherence ",\n  \"symmetric\": true,\n  \"warmup_epochs\": 1,\n"                \
    "  \"grad_clip\": " grad_clip ",\n  \"weight_decay\": 0.01,\n  \"use_distillation\": true,\n"                      \
    "  \"freeze_teacher\": true\n}"

#define DEFAULT_JSON JSON("4", "\"Standard\"", "\"PerChannel\"", "null", "false", "1.0")

static diffquant_config *parsed(const char *json) {
    diffquant_config *config = NULL;
    REQUIRE_OK(diffquant_config_from_json(json, strlen(json), &config));
    return config;
}

/* ---- The text ---------------------------------------------------------------------------------------------------- */

TEST(the_default_and_the_presets_are_written_as_the_reference_writes_them) {
    diffquant_config *config = default_config();
    struct config_text text = text_of(config);
    CHECK_TEXT(text.text, DEFAULT_JSON);
    diffquant_config_free(config);

    REQUIRE_OK(diffquant_config_new_preset(DIFFQUANT_PRESET_PIQ3, &config));
    text = text_of(config);
    CHECK_TEXT(text.text, JSON("3", "\"LearnedStepSize\"", "\"PerChannel\"", "4", "false", "1.0"));
    diffquant_config_free(config);

    REQUIRE_OK(diffquant_config_new_preset(DIFFQUANT_PRESET_PIQ2, &config));
    text = text_of(config);
    CHECK_TEXT(text.text, JSON("2", "\"LearnedStepSize\"", "\"PerChannel\"", "3", "true", "1.0"));
    diffquant_config_free(config);
}

TEST(variants_with_a_parameter_are_written_externally_tagged) {
    diffquant_config *config = default_config();
    REQUIRE_OK(diffquant_config_set_ste(config, DIFFQUANT_STE_CLIPPED, 1.5f));
    REQUIRE_OK(diffquant_config_set_granularity(config, DIFFQUANT_GRANULARITY_PER_BLOCK, 64));
    REQUIRE_OK(diffquant_config_set_grad_clip(config, 0.0f));
    struct config_text text = text_of(config);
    CHECK_TEXT(text.text,
               JSON("4", "{\n    \"Clipped\": {\n      \"clip_val\": 1.5\n    }\n  }",
                    "{\n    \"PerBlock\": {\n      \"block_size\": 64\n    }\n  }", "null", "false", "null"));
    REQUIRE_OK(diffquant_config_set_ste(config, DIFFQUANT_STE_EWGS, 0.5f));
    REQUIRE_OK(diffquant_config_set_granularity(config, DIFFQUANT_GRANULARITY_PER_TOKEN, 0));
    text = text_of(config);
    CHECK_TEXT(text.text, JSON("4", "{\n    \"Ewgs\": {\n      \"lambda\": 0.5\n    }\n  }", "\"PerToken\"", "null",
                               "false", "null"));
    diffquant_config_free(config);
}

TEST(what_was_written_is_read_back_the_same) {
    diffquant_config *configs[4];
    configs[0] = default_config();
    REQUIRE_OK(diffquant_config_new_preset(DIFFQUANT_PRESET_PIQ3, &configs[1]));
    REQUIRE_OK(diffquant_config_new_preset(DIFFQUANT_PRESET_PIQ2, &configs[2]));
    /* Every field away from its default, and floats whose shortest decimal form is long. */
    configs[3] = default_config();
    REQUIRE_OK(diffquant_config_set_bits(configs[3], 5));
    REQUIRE_OK(diffquant_config_set_ste(configs[3], DIFFQUANT_STE_EWGS, 0x1.99999ap-4f));
    REQUIRE_OK(diffquant_config_set_granularity(configs[3], DIFFQUANT_GRANULARITY_PER_BLOCK, SIZE_MAX));
    REQUIRE_OK(diffquant_config_set_pi_k(configs[3], 5));
    REQUIRE_OK(diffquant_config_set_grad_clip(configs[3], 0x1p-149f));
    REQUIRE_OK(diffquant_config_set_lambda_task(configs[3], 0x1.fffffep+127f));
    REQUIRE_OK(diffquant_config_set_lambda_kd(configs[3], 0x1.555556p-2f));
    REQUIRE_OK(diffquant_config_set_lambda_reasoning(configs[3], 0x1.fffffep-1f));
    REQUIRE_OK(diffquant_config_set_kd_temperature(configs[3], 0x1.921fb6p+1f));
    REQUIRE_OK(diffquant_config_set_epochs(configs[3], SIZE_MAX));
    REQUIRE_OK(diffquant_config_set_learning_rate(configs[3], 0x1p-126f));
    REQUIRE_OK(diffquant_config_set_warmup_epochs(configs[3], 12345678901u));
    REQUIRE_OK(diffquant_config_set_weight_decay(configs[3], 0x1.000002p+0f));
    REQUIRE_OK(diffquant_config_set_use_incoherence(configs[3], 1));
    REQUIRE_OK(diffquant_config_set_symmetric(configs[3], 0));
    REQUIRE_OK(diffquant_config_set_use_distillation(configs[3], 0));
    REQUIRE_OK(diffquant_config_set_freeze_teacher(configs[3], 0));

    for (size_t i = 0; i < COUNT(configs); i++) {
        check_context("configuration %zu", i);
        const struct config_text before = text_of(configs[i]);
        diffquant_config *copy = parsed(before.text);
        CHECK_CONFIG(copy, &before);
        diffquant_config_free(copy);
        diffquant_config_free(configs[i]);
    }
}

TEST(a_number_that_json_cannot_express_is_not_written) {
    /* 1e39 is a number in JSON and infinite as a float: no setter lets it in, a text does. */
    static const char json[] =
        "{\"bits\":4,\"ste_variant\":\"Standard\",\"granularity\":\"PerTensor\",\"loss_weights\":{\"lambda_task\":1,"
        "\"lambda_kd\":1,\"lambda_reasoning\":1,\"kd_temperature\":1},\"epochs\":1,\"learning_rate\":1,"
        "\"use_incoherence\":false,\"symmetric\":true,\"warmup_epochs\":1,\"weight_decay\":1e39,"
        "\"use_distillation\":true,\"freeze_teacher\":true}";
    diffquant_config *config = parsed(json);
    char text[1024];
    size_t length = 99;
    touch_not(text, sizeof text);
    CHECK_REFUSED(diffquant_config_to_json(config, text, sizeof text, &length), DIFFQUANT_STATUS_INVALID_CONFIG,
                  "weight_decay", "inf");
    CHECK(still_untouched(text, sizeof text));
    CHECK_UINT(length, 99);
    diffquant_config_free(config);
}

/* ---- The buffer -------------------------------------------------------------------------------------------------- */

TEST(text_is_written_only_where_its_nul_fits_too_and_its_length_is_told_always) {
    diffquant_config *config = default_config();
    const size_t length = strlen(DEFAULT_JSON);
    const size_t caps[] = {0, 1, 2, length / 2, length - 1, length, length + 1, length + 2, length + 100};
    for (size_t i = 0; i < COUNT(caps); i++) {
        struct guarded buffer = guarded_new(caps[i]);
        size_t told = 99;
        check_context("cap %zu of %zu", caps[i], length);
        if (caps[i] <= length) {
            CHECK_REFUSED(diffquant_config_to_json(config, buffer.data, caps[i], &told),
                          DIFFQUANT_STATUS_BUFFER_TOO_SMALL, decimal(caps[i]).text, decimal(length + 1).text);
            CHECK_UNTOUCHED(&buffer);
        } else {
            CHECK_OK(diffquant_config_to_json(config, buffer.data, caps[i], &told));
            CHECK_TEXT((const char *)buffer.data, DEFAULT_JSON);
            CHECK(still_untouched((char *)buffer.data + length + 1, caps[i] - length - 1));
            CHECK_GUARDS(&buffer);
        }
        CHECK_UINT(told, length);
        guarded_free(&buffer);
    }
    size_t told = 99;
    CHECK_REFUSED(diffquant_config_to_json(config, NULL, 0, &told), DIFFQUANT_STATUS_BUFFER_TOO_SMALL, "0");
    CHECK_UINT(told, length);
    diffquant_config_free(config);
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

TEST(json_is_read_up_to_its_length_and_needs_no_nul) {
    const size_t length = strlen(DEFAULT_JSON);
    /* From malloc, exactly as long as the text: valgrind and the address sanitizer see a read past it. */
    char *exact = malloc(length);
    REQUIRE(exact != NULL);
    memcpy(exact, DEFAULT_JSON, length);
    diffquant_config *config = NULL;
    CHECK_OK(diffquant_config_from_json(exact, length, &config));
    const struct config_text text = text_of(config);
    CHECK_TEXT(text.text, DEFAULT_JSON);
    diffquant_config_free(config);
    free(exact);
}

TEST(white_space_and_the_order_of_fields_do_not_matter) {
    static const char json[] =
        "\t\r\n {\"freeze_teacher\":true,\"use_distillation\":true,\"weight_decay\":0.01,\"grad_clip\":1,"
        "\"warmup_epochs\":1 ,\"symmetric\":true, \"use_incoherence\":false,\"pi_k\":null,\"learning_rate\":1e-4,"
        "\"epochs\":3,\"loss_weights\":{\"kd_temperature\":3,\"lambda_reasoning\":2e-1,\"lambda_kd\":0.5,"
        "\"lambda_task\":1},\"granularity\":\"PerChannel\",\"ste_variant\":\"Standard\",\"bits\":4}\n";
    diffquant_config *config = parsed(json);
    const struct config_text text = text_of(config);
    CHECK_TEXT(text.text, DEFAULT_JSON);
    diffquant_config_free(config);
}

TEST(an_unknown_field_is_ignored_and_its_content_too) {
    char json[2048];
    snprintf(json, sizeof json, "{\"author\": {\"name\": [1, null, \"\\u00e9\", {\"bits\": 300}]}, %s",
             DEFAULT_JSON + 1);
    diffquant_config *config = parsed(json);
    const struct config_text text = text_of(config);
    CHECK_TEXT(text.text, DEFAULT_JSON);
    diffquant_config_free(config);
}

TEST(a_field_may_be_absent_only_if_it_can_be_null) {
    static const struct {
        const char *name, *line;
        bool optional;
    } fields[] = {
        {"bits", "\"bits\": 4,", false},
        {"ste_variant", "\"ste_variant\": \"Standard\",", false},
        {"granularity", "\"granularity\": \"PerChannel\",", false},
        {"lambda_task", "\"lambda_task\": 1.0,", false},
        {"lambda_kd", "\"lambda_kd\": 0.5,", false},
        {"lambda_reasoning", "\"lambda_reasoning\": 0.2,", false},
        {"epochs", "\"epochs\": 3,", false},
        {"learning_rate", "\"learning_rate\": 0.0001,", false},
        {"pi_k", "\"pi_k\": null,", true},
        {"use_incoherence", "\"use_incoherence\": false,", false},
        {"symmetric", "\"symmetric\": true,", false},
        {"warmup_epochs", "\"warmup_epochs\": 1,", false},
        {"grad_clip", "\"grad_clip\": 1.0,", true},
        {"weight_decay", "\"weight_decay\": 0.01,", false},
        {"use_distillation", "\"use_distillation\": true,", false},
    };
    for (size_t i = 0; i < COUNT(fields); i++) {
        char json[] = DEFAULT_JSON;
        char *line = strstr(json, fields[i].line);
        check_context("%s", fields[i].name);
        REQUIRE(line != NULL);
        memset(line, ' ', strlen(fields[i].line));
        diffquant_config *config = no_config();
        if (fields[i].optional) {
            CHECK_OK(diffquant_config_from_json(json, strlen(json), &config));
            float grad_clip = 99.0f;
            CHECK_OK(diffquant_config_grad_clip(config, &grad_clip));
            CHECK_FLOAT(grad_clip, strcmp(fields[i].name, "grad_clip") == 0 ? 0.0f : 1.0f);
            diffquant_config_free(config);
        } else {
            CHECK_REFUSED(diffquant_config_from_json(json, strlen(json), &config), DIFFQUANT_STATUS_INVALID_JSON,
                          fields[i].name);
            CHECK(config == no_config());
        }
    }
}

TEST(values_are_read_without_being_judged) {
    /* Each is JSON of the right type; validate is who says no. */
    static const struct {
        const char *line, *replacement, *field, *value;
    } cases[] = {
        {"\"bits\": 4", "\"bits\": 0", "bits", "0"},
        {"\"bits\": 4", "\"bits\": 1", "bits", "1"},
        {"\"bits\": 4", "\"bits\": 6", "bits", "6"},
        {"\"bits\": 4", "\"bits\": 9", "bits", "9"},
        {"\"pi_k\": null", "\"pi_k\": 1", "pi_k", "1"},
        {"\"pi_k\": null", "\"pi_k\": 6", "pi_k", "6"},
        {"\"pi_k\": null", "\"pi_k\": 4294967295", "pi_k", "4294967295"},
        {"\"learning_rate\": 0.0001", "\"learning_rate\": -1", "learning_rate", "-1"},
        {"\"learning_rate\": 0.0001", "\"learning_rate\": 1e39", "learning_rate", "inf"},
        {"\"epochs\": 3", "\"epochs\": 0", "epochs", "0"},
        {"\"ste_variant\": \"Standard\"", "\"ste_variant\": {\"Clipped\":{\"clip_val\":0}}", "clip_val", "0"},
        {"\"ste_variant\": \"Standard\"", "\"ste_variant\": {\"Ewgs\":{\"lambda\":-1}}", "lambda", "-1"},
        {"\"kd_temperature\": 3.0", "\"kd_temperature\": 0", "kd_temperature", "0"},
        {"\"lambda_task\": 1.0", "\"lambda_task\": -1", "lambda_task", "-1"},
        {"\"lambda_kd\": 0.5", "\"lambda_kd\": -1", "lambda_kd", "-1"},
        {"\"lambda_reasoning\": 0.2", "\"lambda_reasoning\": -1", "lambda_reasoning", "-1"},
        {"\"granularity\": \"PerChannel\"", "\"granularity\": {\"PerBlock\":{\"block_size\":0}}", "block_size", "0"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        static const char defaults[] = DEFAULT_JSON;
        const char *at = strstr(defaults, cases[i].line);
        char json[2048];
        check_context("%s", cases[i].replacement);
        REQUIRE(at != NULL);
        snprintf(json, sizeof json, "%.*s%s%s", (int)(at - defaults), defaults, cases[i].replacement,
                 at + strlen(cases[i].line));
        diffquant_config *config = parsed(json);
        CHECK_REFUSED(diffquant_config_validate(config), DIFFQUANT_STATUS_INVALID_CONFIG, cases[i].field,
                      cases[i].value);
        diffquant_quantizer *quantizer = no_quantizer();
        CHECK_REFUSED(diffquant_quantizer_new(config, &quantizer), DIFFQUANT_STATUS_INVALID_CONFIG, cases[i].field,
                      cases[i].value);
        CHECK(quantizer == no_quantizer());
        diffquant_config_free(config);
    }
}

TEST(the_first_of_several_bad_fields_is_named) {
    /* All bad at once; repairing the named one brings up the next, in the documented order. */
    static const char *const bad[] = {
        "7", "9", "-1", "0", "{\"Clipped\":{\"clip_val\":-1}}", "-1", "-1", "{\"PerBlock\":{\"block_size\":0}}"};
    static const char *const good[] = {"2", "2", "1", "1", "\"Standard\"", "1", "1", "\"PerTensor\""};
    static const char *const named[] = {"bits",     "pi_k",           "learning_rate", "epochs",
                                        "clip_val", "kd_temperature", "lambda_kd",     "block_size"};
    for (size_t repaired = 0; repaired <= COUNT(bad); repaired++) {
        const char *value[COUNT(bad)];
        for (size_t i = 0; i < COUNT(bad); i++) {
            value[i] = i < repaired ? good[i] : bad[i];
        }
        char json[2048];
        snprintf(json, sizeof json,
                 "{\"bits\":%s,\"pi_k\":%s,\"learning_rate\":%s,\"epochs\":%s,\"ste_variant\":%s,"
                 "\"loss_weights\":{\"kd_temperature\":%s,\"lambda_task\":1,\"lambda_kd\":%s,\"lambda_reasoning\":1},"
                 "\"granularity\":%s,\"use_incoherence\":false,\"symmetric\":true,\"warmup_epochs\":0,"
                 "\"weight_decay\":0,\"use_distillation\":true,\"freeze_teacher\":true}",
                 value[0], value[1], value[2], value[3], value[4], value[5], value[6], value[7]);
        diffquant_config *config = parsed(json);
        check_context("%zu repaired", repaired);
        if (repaired < COUNT(bad)) {
            CHECK_REFUSED(diffquant_config_validate(config), DIFFQUANT_STATUS_INVALID_CONFIG, named[repaired]);
        } else {
            CHECK_OK(diffquant_config_validate(config));
        }
        diffquant_config_free(config);
    }
}

TEST(eight_bits_validate_for_uniform_and_not_for_pi) {
    diffquant_config *config = default_config();
    REQUIRE_OK(diffquant_config_set_bits(config, 8));
    CHECK_OK(diffquant_config_validate(config));
    REQUIRE_OK(diffquant_config_set_pi_k(config, 4));
    CHECK_REFUSED(diffquant_config_validate(config), DIFFQUANT_STATUS_INVALID_CONFIG, "bits", "8");
    diffquant_quantizer *quantizer = no_quantizer();
    CHECK_REFUSED(diffquant_quantizer_new(config, &quantizer), DIFFQUANT_STATUS_INVALID_CONFIG, "bits", "8");
    CHECK(quantizer == no_quantizer());
    diffquant_config_free(config);
}
