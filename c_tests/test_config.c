/* Making, freeing and judging configurations, and what is derived from them. */

#include "support.h"

static diffquant_config *preset(diffquant_preset which) {
    diffquant_config *config = NULL;
    REQUIRE_OK(diffquant_config_new_preset(which, &config));
    return config;
}

/* ---- Making ------------------------------------------------------------------------------------------------------ */

TEST(a_new_configuration_has_the_documented_defaults) {
    diffquant_config *config = default_config();
    uint32_t number = 99;
    float parameter = 99.0f;
    size_t block_size = 99;
    CHECK_OK(diffquant_config_bits(config, &number));
    CHECK_UINT(number, 4);
    CHECK_OK(diffquant_config_ste(config, &number, &parameter));
    CHECK_UINT(number, DIFFQUANT_STE_STANDARD);
    CHECK_FLOAT(parameter, 0.0f);
    CHECK_OK(diffquant_config_granularity(config, &number, &block_size));
    CHECK_UINT(number, DIFFQUANT_GRANULARITY_PER_CHANNEL);
    CHECK_UINT(block_size, 0);
    CHECK_OK(diffquant_config_pi_k(config, &number));
    CHECK_UINT(number, 0);
    CHECK_OK(diffquant_config_symmetric(config, &number));
    CHECK_UINT(number, 1);
    CHECK_OK(diffquant_config_validate(config));
    diffquant_config_free(config);
}

TEST(a_preset_has_the_documented_fields) {
    static const struct {
        diffquant_preset preset;
        uint32_t bits, k, use_incoherence;
    } presets[] = {{DIFFQUANT_PRESET_PIQ3, 3, 4, 0}, {DIFFQUANT_PRESET_PIQ2, 2, 3, 1}};
    for (size_t i = 0; i < COUNT(presets); i++) {
        check_context("preset %u", presets[i].preset);
        diffquant_config *config = preset(presets[i].preset);
        uint32_t number = 99;
        CHECK_OK(diffquant_config_bits(config, &number));
        CHECK_UINT(number, presets[i].bits);
        CHECK_OK(diffquant_config_pi_k(config, &number));
        CHECK_UINT(number, presets[i].k);
        CHECK_OK(diffquant_config_ste(config, &number, NULL));
        CHECK_UINT(number, DIFFQUANT_STE_LEARNED_STEP_SIZE);
        CHECK_OK(diffquant_config_granularity(config, &number, NULL));
        CHECK_UINT(number, DIFFQUANT_GRANULARITY_PER_CHANNEL);
        CHECK_OK(diffquant_config_use_incoherence(config, &number));
        CHECK_UINT(number, presets[i].use_incoherence);
        CHECK_OK(diffquant_config_validate(config));
        diffquant_config_free(config);
    }
}

TEST(an_unknown_preset_is_refused_and_makes_nothing) {
    static const struct {
        uint32_t preset;
        const char *text;
    } unknown[] = {{2, "2"}, {300, "300"}, {0x80000000u, "2147483648"}, {UINT32_MAX, "4294967295"}};
    for (size_t i = 0; i < COUNT(unknown); i++) {
        diffquant_config *config = no_config();
        CHECK_REFUSED(diffquant_config_new_preset(unknown[i].preset, &config), DIFFQUANT_STATUS_UNKNOWN_CONSTANT,
                      "preset", unknown[i].text);
        CHECK(config == no_config());
    }
}

TEST(configurations_are_independent_of_each_other) {
    diffquant_config *one = default_config();
    diffquant_config *other = default_config();
    const struct config_text before = text_of(other);
    CHECK_OK(diffquant_config_set_bits(one, 8));
    CHECK_OK(diffquant_config_set_ste(one, DIFFQUANT_STE_EWGS, 0.5f));
    CHECK_CONFIG(other, &before);
    diffquant_config_free(one);
    CHECK_CONFIG(other, &before);
    diffquant_config_free(other);
}

TEST(a_copy_of_a_configuration_is_equal_and_shares_nothing_with_its_original) {
    diffquant_config *original = preset(DIFFQUANT_PRESET_PIQ2), *copy = NULL;
    REQUIRE_OK(diffquant_config_set_ste(original, DIFFQUANT_STE_CLIPPED, 1.5f));
    REQUIRE_OK(diffquant_config_set_granularity(original, DIFFQUANT_GRANULARITY_PER_BLOCK, 32));
    const struct config_text before = text_of(original);
    CHECK_OK(diffquant_config_clone(original, &copy));
    CHECK(copy != original);
    CHECK_CONFIG(copy, &before);
    CHECK_OK(diffquant_config_set_bits(copy, 5));
    CHECK_OK(diffquant_config_set_epochs(copy, 9));
    CHECK_CONFIG(original, &before);
    const struct config_text changed = text_of(copy);
    CHECK_OK(diffquant_config_set_bits(original, 3));
    CHECK_CONFIG(copy, &changed);
    diffquant_config_free(original);
    CHECK_CONFIG(copy, &changed);
    diffquant_config_free(copy);
}

TEST(freeing_no_configuration_does_nothing) {
    diffquant_config_free(NULL);
    diffquant_config_free(NULL);
    CHECK(true);
}

/* ---- Derived figures --------------------------------------------------------------------------------------------- */

TEST(levels_and_code_range_follow_the_bits) {
    static const struct {
        uint32_t bits, levels;
        int32_t min, max;
    } widths[] = {{2, 4, -2, 1}, {3, 8, -4, 3}, {4, 16, -8, 7}, {5, 32, -16, 15}, {8, 256, -128, 127}};
    diffquant_config *config = default_config();
    for (size_t i = 0; i < COUNT(widths); i++) {
        check_context("%u bits", widths[i].bits);
        uint32_t levels = 99;
        int32_t min = 99, max = 99;
        CHECK_OK(diffquant_config_set_bits(config, widths[i].bits));
        CHECK_OK(diffquant_config_num_levels(config, &levels));
        CHECK_UINT(levels, widths[i].levels);
        CHECK_OK(diffquant_config_code_range(config, &min, &max));
        CHECK_INT(min, widths[i].min);
        CHECK_INT(max, widths[i].max);
    }
    diffquant_config_free(config);
}

TEST(the_pi_step_is_alpha_times_pi_divided_by_k_in_this_order) {
    static const struct {
        uint32_t k;
        float alpha, step;
    } cases[] = {
        /* PI / k, rounded once. */
        {2, 1.0f, 0x1.921fb6p+0f},
        {3, 1.0f, 0x1.0c1524p+0f},
        {4, 1.0f, 0x1.921fb6p-1f},
        {5, 1.0f, 0x1.41b2f8p-1f},
        {2, 1.5f, 0x1.2d97c8p+1f},
        /* alpha * (PI / k) and (alpha / k) * PI would both be 0x1.4f1a6cp-2 and 0x1.197c98p-2. */
        {3, 0.3125f, 0x1.4f1a6ep-2f},
        {5, 0.4375f, 0x1.197c9ap-2f},
    };
    diffquant_config *config = default_config();
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_context("k %u, alpha %g", cases[i].k, (double)cases[i].alpha);
        float step = 99.0f;
        CHECK_OK(diffquant_config_set_pi_k(config, cases[i].k));
        CHECK_OK(diffquant_config_pi_step(config, cases[i].alpha, &step));
        CHECK_FLOAT(step, cases[i].step);
    }
    diffquant_config_free(config);
}

TEST(a_uniform_configuration_has_no_pi_step) {
    diffquant_config *config = default_config();
    float step = 99.0f;
    CHECK_REFUSED(diffquant_config_pi_step(config, 1.0f, &step), DIFFQUANT_STATUS_NOT_APPLICABLE, "k", "uniform");
    CHECK_FLOAT(step, 99.0f);
    diffquant_config_free(config);
}

TEST(storage_figures_follow_the_granularity) {
    static const struct {
        uint32_t granularity;
        size_t block_size;
        float bits_per_weight;
        size_t elements, channels, parameters;
    } cases[] = {
        {DIFFQUANT_GRANULARITY_PER_TENSOR, 0, 4.0f, 1000, 10, 2},
        {DIFFQUANT_GRANULARITY_PER_CHANNEL, 0, 4.125f, 1000, 10, 20},
        {DIFFQUANT_GRANULARITY_PER_TOKEN, 0, 4.25f, 1000, 10, 200},
        {DIFFQUANT_GRANULARITY_PER_BLOCK, 64, 4.25f, 1024, 10, 32},
        {DIFFQUANT_GRANULARITY_PER_BLOCK, 32, 4.5f, 1024, 10, 64},
        {DIFFQUANT_GRANULARITY_PER_BLOCK, 1, 20.0f, 1024, 10, 2048},
        /* A last, shorter block has parameters too. */
        {DIFFQUANT_GRANULARITY_PER_BLOCK, 64, 4.25f, 1025, 10, 34},
    };
    diffquant_config *config = default_config();
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_context("granularity %u, block %zu", cases[i].granularity, cases[i].block_size);
        float bits = 99.0f;
        size_t parameters = 99;
        CHECK_OK(diffquant_config_set_granularity(config, cases[i].granularity, cases[i].block_size));
        CHECK_OK(diffquant_config_bits_per_weight(config, &bits));
        CHECK_FLOAT(bits, cases[i].bits_per_weight);
        CHECK_OK(diffquant_config_parameter_count(config, cases[i].elements, cases[i].channels, &parameters));
        CHECK_UINT(parameters, cases[i].parameters);
    }
    /* The figure counts the code itself. */
    float bits = 99.0f;
    CHECK_OK(diffquant_config_set_granularity(config, DIFFQUANT_GRANULARITY_PER_TENSOR, 0));
    CHECK_OK(diffquant_config_set_bits(config, 8));
    CHECK_OK(diffquant_config_bits_per_weight(config, &bits));
    CHECK_FLOAT(bits, 8.0f);
    diffquant_config_free(config);
}

TEST(figures_of_absurd_configurations_are_harmless) {
    /* JSON can bring what no setter lets in; nothing divides by zero, overflows or ends the process. */
    static const char *const texts[] = {"\"bits\": 0", "\"bits\": 1", "\"bits\": 64", "\"bits\": 255",
                                        "\"granularity\": {\"PerBlock\": {\"block_size\": 0}}"};
    diffquant_config *config = default_config();
    const struct config_text defaults = text_of(config);
    diffquant_config_free(config);
    for (size_t i = 0; i < COUNT(texts); i++) {
        check_context("%s", texts[i]);
        /* The field is put before the others, and its own line is made an unknown one. */
        char json[2048];
        snprintf(json, sizeof json, "{ %s, %s", texts[i], defaults.text + 1);
        char *own = strstr(json, i < 4 ? "\"bits\": 4" : "\"granularity\": \"PerChannel\"");
        REQUIRE(own != NULL);
        own[1] = '_';
        REQUIRE_OK(diffquant_config_from_json(json, strlen(json), &config));
        uint32_t levels = 0;
        int32_t min = 1, max = -1;
        float bits = 0.0f;
        size_t parameters = 0;
        CHECK_OK(diffquant_config_num_levels(config, &levels));
        CHECK_OK(diffquant_config_code_range(config, &min, &max));
        CHECK_OK(diffquant_config_bits_per_weight(config, &bits));
        CHECK(isfinite(bits));
        CHECK_OK(diffquant_config_parameter_count(config, SIZE_MAX, 0, &parameters));
        CHECK_OK(diffquant_config_parameter_count(config, SIZE_MAX, SIZE_MAX, &parameters));
        CHECK_OK(diffquant_config_parameter_count(config, 0, 0, &parameters));
        CHECK_REFUSED(diffquant_config_validate(config), DIFFQUANT_STATUS_INVALID_CONFIG,
                      i < 4 ? "bits" : "block_size");
        diffquant_config_free(config);
    }
}
