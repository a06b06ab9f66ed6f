/* The setters and getters of a configuration: each keeps what it was given, and each refusal changes nothing. */

#include "config_fields.h"

#include <float.h>

const struct float_field float_fields[] = {
    {"grad_clip", diffquant_config_set_grad_clip, diffquant_config_grad_clip, 1.0f, true},
    {"lambda_task", diffquant_config_set_lambda_task, diffquant_config_lambda_task, 1.0f, true},
    {"lambda_kd", diffquant_config_set_lambda_kd, diffquant_config_lambda_kd, 0.5f, true},
    {"lambda_reasoning", diffquant_config_set_lambda_reasoning, diffquant_config_lambda_reasoning, 0.2f, true},
    {"kd_temperature", diffquant_config_set_kd_temperature, diffquant_config_kd_temperature, 3.0f, false},
    {"learning_rate", diffquant_config_set_learning_rate, diffquant_config_learning_rate, 1e-4f, false},
    {"weight_decay", diffquant_config_set_weight_decay, diffquant_config_weight_decay, 0.01f, true},
};

const struct size_field size_fields[] = {
    {"epochs", diffquant_config_set_epochs, diffquant_config_epochs, 3, false},
    {"warmup_epochs", diffquant_config_set_warmup_epochs, diffquant_config_warmup_epochs, 1, true},
};

/* The numbers that are allowed, as bits of a set. */
#define WIDTHS (1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 8)
#define DIVISORS (1u << 0 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5)
#define FLAG (1u << 0 | 1u << 1)

const struct uint32_field uint32_fields[] = {
    {"bits", diffquant_config_set_bits, diffquant_config_bits, 4, WIDTHS},
    {"pi_k", diffquant_config_set_pi_k, diffquant_config_pi_k, 0, DIVISORS},
    {"use_incoherence", diffquant_config_set_use_incoherence, diffquant_config_use_incoherence, 0, FLAG},
    {"symmetric", diffquant_config_set_symmetric, diffquant_config_symmetric, 1, FLAG},
    {"use_distillation", diffquant_config_set_use_distillation, diffquant_config_use_distillation, 1, FLAG},
    {"freeze_teacher", diffquant_config_set_freeze_teacher, diffquant_config_freeze_teacher, 1, FLAG},
};

const size_t float_field_count = COUNT(float_fields);
const size_t size_field_count = COUNT(size_fields);
const size_t uint32_field_count = COUNT(uint32_fields);

/* How many lines of the JSON form two configurations differ in. Each field has a line of its own. */
static size_t lines_that_differ(const struct config_text *a, const struct config_text *b) {
    struct config_text left = *a, right = *b;
    size_t count = 0;
    char *at = left.text, *other = right.text;
    while (*at != '\0' && *other != '\0') {
        const size_t length = strcspn(at, "\n"), other_length = strcspn(other, "\n");
        count += length != other_length || memcmp(at, other, length) != 0;
        at += length + (at[length] == '\n');
        other += other_length + (other[other_length] == '\n');
    }
    return count + (*at != *other);
}

/* ---- One number each --------------------------------------------------------------------------------------------- */

TEST(float_fields_keep_every_good_value_and_change_nothing_else) {
    static const float good[] = {0.25f, 1e-30f, FLT_TRUE_MIN, FLT_MAX, 0.0f};
    for (size_t i = 0; i < float_field_count; i++) {
        const struct float_field *field = &float_fields[i];
        diffquant_config *config = default_config();
        const struct config_text before = text_of(config);
        float value = 99.0f;
        check_context("%s", field->name);
        CHECK_OK(field->get(config, &value));
        CHECK_FLOAT(value, field->initial);
        for (size_t j = 0; j < COUNT(good) - (field->zero_is_allowed ? 0 : 1); j++) {
            CHECK_OK(field->set(config, good[j]));
            CHECK_OK(field->get(config, &value));
            CHECK_FLOAT(value, good[j]);
            const struct config_text now = text_of(config);
            CHECK_UINT(lines_that_differ(&before, &now), 1);
        }
        diffquant_config_free(config);
    }
}

TEST(float_fields_refuse_what_is_not_finite_or_too_small) {
    static const struct {
        float value;
        const char *text;
    } bad[] = {{-1.0f, "-1"}, {-0.5f, "-0.5"}, {NAN, "NaN"}, {INFINITY, "inf"}, {-INFINITY, "-inf"}, {0.0f, "0"}};
    for (size_t i = 0; i < float_field_count; i++) {
        const struct float_field *field = &float_fields[i];
        diffquant_config *config = default_config();
        const struct config_text before = text_of(config);
        for (size_t j = 0; j < COUNT(bad) - (field->zero_is_allowed ? 1 : 0); j++) {
            check_context("%s = %s", field->name, bad[j].text);
            CHECK_REFUSED(field->set(config, bad[j].value), DIFFQUANT_STATUS_INVALID_ARGUMENT, field->name,
                          bad[j].text);
            CHECK_CONFIG(config, &before);
        }
        diffquant_config_free(config);
    }
}

TEST(size_fields_keep_every_good_value_and_refuse_a_zero_where_it_makes_no_sense) {
    static const size_t good[] = {1, 2, 1000000, SIZE_MAX, 0};
    for (size_t i = 0; i < size_field_count; i++) {
        const struct size_field *field = &size_fields[i];
        diffquant_config *config = default_config();
        size_t value = 99;
        check_context("%s", field->name);
        CHECK_OK(field->get(config, &value));
        CHECK_UINT(value, field->initial);
        for (size_t j = 0; j < COUNT(good) - (field->zero_is_allowed ? 0 : 1); j++) {
            CHECK_OK(field->set(config, good[j]));
            CHECK_OK(field->get(config, &value));
            CHECK_UINT(value, good[j]);
        }
        if (!field->zero_is_allowed) {
            const struct config_text before = text_of(config);
            CHECK_REFUSED(field->set(config, 0), DIFFQUANT_STATUS_INVALID_ARGUMENT, field->name, "0");
            CHECK_CONFIG(config, &before);
        }
        diffquant_config_free(config);
    }
}

TEST(whole_number_fields_keep_the_good_values_and_refuse_all_others) {
    static const uint32_t far_away[] = {31, 32, 255, 256, 258, 260, 300, 0x10000, 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < uint32_field_count; i++) {
        const struct uint32_field *field = &uint32_fields[i];
        diffquant_config *config = default_config();
        uint32_t value = 99;
        check_context("%s", field->name);
        CHECK_OK(field->get(config, &value));
        CHECK_UINT(value, field->initial);
        for (size_t j = 0; j < 17 + COUNT(far_away); j++) {
            const uint32_t number = j < 17 ? (uint32_t)j : far_away[j - 17];
            const bool good = number < 32 && (field->allowed >> number & 1) == 1;
            check_context("%s = %u", field->name, number);
            if (good) {
                CHECK_OK(field->set(config, number));
                CHECK_OK(field->get(config, &value));
                CHECK_UINT(value, number);
            } else {
                const struct config_text before = text_of(config);
                CHECK_REFUSED(field->set(config, number), DIFFQUANT_STATUS_INVALID_ARGUMENT, field->name,
                              decimal(number).text);
                CHECK_CONFIG(config, &before);
            }
        }
        diffquant_config_free(config);
    }
}

/* ---- The estimator ----------------------------------------------------------------------------------------------- */

TEST(the_estimator_of_a_configuration_is_kept_with_its_parameter) {
    static const struct {
        diffquant_ste ste;
        float given, kept;
    } cases[] = {
        {DIFFQUANT_STE_CLIPPED, 1.5f, 1.5f},
        {DIFFQUANT_STE_EWGS, 0.25f, 0.25f},
        {DIFFQUANT_STE_EWGS, 0.0f, 0.0f},
        {DIFFQUANT_STE_EWGS_SIGNED, 0.125f, 0.125f},
        /* Those without a parameter ignore it, whatever it is, and report 0. */
        {DIFFQUANT_STE_STANDARD, 7.0f, 0.0f},
        {DIFFQUANT_STE_LEARNED_STEP_SIZE, -1.0f, 0.0f},
        {DIFFQUANT_STE_RANGE_CLIPPED, 7.0f, 0.0f},
        {DIFFQUANT_STE_LSQ, 7.0f, 0.0f},
        {DIFFQUANT_STE_LSQ_PLUS, 7.0f, 0.0f},
        {DIFFQUANT_STE_STANDARD, NAN, 0.0f},
    };
    diffquant_config *config = default_config();
    for (size_t i = 0; i < COUNT(cases); i++) {
        diffquant_ste ste = 99;
        float parameter = 99.0f;
        check_context("ste %u, %g", cases[i].ste, (double)cases[i].given);
        CHECK_OK(diffquant_config_set_ste(config, cases[i].ste, cases[i].given));
        CHECK_OK(diffquant_config_ste(config, &ste, &parameter));
        CHECK_UINT(ste, cases[i].ste);
        CHECK_FLOAT(parameter, cases[i].kept);
        ste = 99;
        CHECK_OK(diffquant_config_ste(config, &ste, NULL));
        CHECK_UINT(ste, cases[i].ste);
    }
    diffquant_config_free(config);
}

TEST(a_configuration_refuses_unknown_estimators_and_bad_parameters) {
    static const struct {
        uint32_t ste;
        float parameter;
        diffquant_status status;
        const char *words[2];
    } cases[] = {
        {8, 1.0f, DIFFQUANT_STATUS_UNKNOWN_CONSTANT, {"ste", "8"}},
        {300, 1.0f, DIFFQUANT_STATUS_UNKNOWN_CONSTANT, {"ste", "300"}},
        {UINT32_MAX, 1.0f, DIFFQUANT_STATUS_UNKNOWN_CONSTANT, {"ste", "4294967295"}},
        {DIFFQUANT_STE_CLIPPED, 0.0f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"clip_val", "0"}},
        {DIFFQUANT_STE_CLIPPED, -1.0f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"clip_val", "-1"}},
        {DIFFQUANT_STE_CLIPPED, NAN, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"clip_val", "NaN"}},
        {DIFFQUANT_STE_CLIPPED, INFINITY, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"clip_val", "inf"}},
        {DIFFQUANT_STE_EWGS, -0.5f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"lambda", "-0.5"}},
        {DIFFQUANT_STE_EWGS, NAN, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"lambda", "NaN"}},
        {DIFFQUANT_STE_EWGS, INFINITY, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"lambda", "inf"}},
        {DIFFQUANT_STE_EWGS_SIGNED, -0.5f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"delta", "-0.5"}},
        {DIFFQUANT_STE_EWGS_SIGNED, NAN, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"delta", "NaN"}},
        {DIFFQUANT_STE_EWGS_SIGNED, INFINITY, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"delta", "inf"}},
    };
    diffquant_config *config = default_config();
    REQUIRE_OK(diffquant_config_set_ste(config, DIFFQUANT_STE_EWGS, 0.75f));
    const struct config_text before = text_of(config);
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_context("ste %u, %g", cases[i].ste, (double)cases[i].parameter);
        CHECK_REFUSED(diffquant_config_set_ste(config, cases[i].ste, cases[i].parameter), cases[i].status,
                      cases[i].words[0], cases[i].words[1]);
        CHECK_CONFIG(config, &before);
    }
    diffquant_config_free(config);
}

/* ---- The granularity --------------------------------------------------------------------------------------------- */

TEST(the_granularity_is_kept_with_its_block_size) {
    static const struct {
        uint32_t granularity;
        size_t given, kept;
    } cases[] = {
        {DIFFQUANT_GRANULARITY_PER_TENSOR, 64, 0},      {DIFFQUANT_GRANULARITY_PER_CHANNEL, 0, 0},
        {DIFFQUANT_GRANULARITY_PER_TOKEN, SIZE_MAX, 0}, {DIFFQUANT_GRANULARITY_PER_BLOCK, 1, 1},
        {DIFFQUANT_GRANULARITY_PER_BLOCK, 128, 128},    {DIFFQUANT_GRANULARITY_PER_BLOCK, SIZE_MAX, SIZE_MAX},
    };
    diffquant_config *config = default_config();
    for (size_t i = 0; i < COUNT(cases); i++) {
        diffquant_granularity granularity = 99;
        size_t block_size = 99;
        check_context("granularity %u, %zu", cases[i].granularity, cases[i].given);
        CHECK_OK(diffquant_config_set_granularity(config, cases[i].granularity, cases[i].given));
        CHECK_OK(diffquant_config_granularity(config, &granularity, &block_size));
        CHECK_UINT(granularity, cases[i].granularity);
        CHECK_UINT(block_size, cases[i].kept);
        granularity = 99;
        CHECK_OK(diffquant_config_granularity(config, &granularity, NULL));
        CHECK_UINT(granularity, cases[i].granularity);
    }
    diffquant_config_free(config);
}

TEST(a_configuration_refuses_unknown_granularities_and_blocks_of_nothing) {
    diffquant_config *config = default_config();
    REQUIRE_OK(diffquant_config_set_granularity(config, DIFFQUANT_GRANULARITY_PER_BLOCK, 32));
    const struct config_text before = text_of(config);
    CHECK_REFUSED(diffquant_config_set_granularity(config, 4, 32), DIFFQUANT_STATUS_UNKNOWN_CONSTANT, "granularity",
                  "4");
    CHECK_CONFIG(config, &before);
    CHECK_REFUSED(diffquant_config_set_granularity(config, UINT32_MAX, 32), DIFFQUANT_STATUS_UNKNOWN_CONSTANT,
                  "granularity", "4294967295");
    CHECK_CONFIG(config, &before);
    CHECK_REFUSED(diffquant_config_set_granularity(config, DIFFQUANT_GRANULARITY_PER_BLOCK, 0),
                  DIFFQUANT_STATUS_INVALID_ARGUMENT, "block_size", "0");
    CHECK_CONFIG(config, &before);
    diffquant_config_free(config);
}
