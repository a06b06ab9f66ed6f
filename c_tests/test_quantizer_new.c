/* Making, copying and freeing quantizers. */

#include "support.h"

/* Whether the quantizer has exactly one scale and step, the ones given. */
static void check_single_scale(const diffquant_quantizer *quantizer, float scale, float step) {
    const struct quantizer_state state = state_of(quantizer);
    CHECK_UINT(state.scale_count, 1);
    CHECK_FLOAT(state.scales[0], scale);
    CHECK_FLOAT(state.steps[0], step);
}

/* ---- Uniform ----------------------------------------------------------------------------------------------------- */

TEST(a_uniform_quantizer_starts_with_one_scale_of_one_over_half_its_codes) {
    static const struct {
        uint32_t bits, levels;
        float scale;
    } widths[] = {{2, 4, 0.5f},      {3, 8, 0.25f},       {4, 16, 0.125f},     {5, 32, 0.0625f},
                  {6, 64, 0.03125f}, {7, 128, 0.015625f}, {8, 256, 0.0078125f}};
    for (size_t i = 0; i < COUNT(widths); i++) {
        diffquant_quantizer *quantizer = NULL;
        check_context("%u bits", widths[i].bits);
        REQUIRE_OK(diffquant_quantizer_new_uniform(widths[i].bits, DIFFQUANT_STE_CLIPPED, 2.0f, &quantizer));
        const struct quantizer_state state = state_of(quantizer);
        CHECK_UINT(state.bits, widths[i].bits);
        CHECK_UINT(state.levels, widths[i].levels);
        CHECK_UINT(state.k, 0);
        CHECK_UINT(state.ste, DIFFQUANT_STE_CLIPPED);
        CHECK_FLOAT(state.ste_param, 2.0f);
        CHECK_UINT(state.rounding, DIFFQUANT_ROUNDING_HALF_AWAY);
        check_single_scale(quantizer, widths[i].scale, widths[i].scale);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(a_uniform_quantizer_is_refused_other_widths_and_estimators) {
    static const struct {
        uint32_t bits, ste;
        float parameter;
        diffquant_status status;
        const char *words[2];
    } cases[] = {
        {0, DIFFQUANT_STE_STANDARD, 0.0f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"bits", "0"}},
        {1, DIFFQUANT_STE_STANDARD, 0.0f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"bits", "1"}},
        {9, DIFFQUANT_STE_STANDARD, 0.0f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"bits", "9"}},
        {32, DIFFQUANT_STE_STANDARD, 0.0f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"bits", "32"}},
        {260, DIFFQUANT_STE_STANDARD, 0.0f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"bits", "260"}},
        {300, DIFFQUANT_STE_STANDARD, 0.0f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"bits", "300"}},
        {UINT32_MAX, DIFFQUANT_STE_STANDARD, 0.0f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"bits", "4294967295"}},
        {4, 8, 0.0f, DIFFQUANT_STATUS_UNKNOWN_CONSTANT, {"ste", "8"}},
        {4, 256, 0.0f, DIFFQUANT_STATUS_UNKNOWN_CONSTANT, {"ste", "256"}},
        {4, UINT32_MAX, 0.0f, DIFFQUANT_STATUS_UNKNOWN_CONSTANT, {"ste", "4294967295"}},
        {4, DIFFQUANT_STE_CLIPPED, 0.0f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"clip_val", "0"}},
        {4, DIFFQUANT_STE_CLIPPED, -2.0f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"clip_val", "-2"}},
        {4, DIFFQUANT_STE_CLIPPED, NAN, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"clip_val", "NaN"}},
        {4, DIFFQUANT_STE_CLIPPED, INFINITY, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"clip_val", "inf"}},
        {4, DIFFQUANT_STE_EWGS, -0.25f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"lambda", "-0.25"}},
        {4, DIFFQUANT_STE_EWGS, NAN, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"lambda", "NaN"}},
        {4, DIFFQUANT_STE_EWGS, INFINITY, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"lambda", "inf"}},
        {4, DIFFQUANT_STE_EWGS_SIGNED, -0.25f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"delta", "-0.25"}},
        {4, DIFFQUANT_STE_EWGS_SIGNED, NAN, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"delta", "NaN"}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        diffquant_quantizer *quantizer = no_quantizer();
        check_context("bits %u, ste %u, %g", cases[i].bits, cases[i].ste, (double)cases[i].parameter);
        CHECK_REFUSED(diffquant_quantizer_new_uniform(cases[i].bits, cases[i].ste, cases[i].parameter, &quantizer),
                      cases[i].status, cases[i].words[0], cases[i].words[1]);
        CHECK(quantizer == no_quantizer());
    }
}

TEST(a_parameter_that_the_estimator_does_not_have_is_ignored) {
    static const float parameters[] = {-1.0f, NAN, INFINITY, 0.0f};
    for (size_t i = 0; i < COUNT(parameters); i++) {
        diffquant_quantizer *quantizer = NULL;
        CHECK_OK(diffquant_quantizer_new_uniform(4, DIFFQUANT_STE_LEARNED_STEP_SIZE, parameters[i], &quantizer));
        const struct quantizer_state state = state_of(quantizer);
        CHECK_UINT(state.ste, DIFFQUANT_STE_LEARNED_STEP_SIZE);
        CHECK_FLOAT(state.ste_param, 0.0f);
        diffquant_quantizer_free(quantizer);
    }
}

/* ---- Pi ---------------------------------------------------------------------------------------------------------- */

TEST(a_pi_quantizer_starts_with_alpha_one_and_a_learned_step) {
    static const float steps[] = {
        [2] = 0x1.921fb6p+0f, [3] = 0x1.0c1524p+0f, [4] = 0x1.921fb6p-1f, [5] = 0x1.41b2f8p-1f};
    for (uint32_t bits = 2; bits <= 5; bits++) {
        for (uint32_t k = 2; k <= 5; k++) {
            diffquant_quantizer *quantizer = NULL;
            check_context("%u bits, k %u", bits, k);
            REQUIRE_OK(diffquant_quantizer_new_pi(bits, k, &quantizer));
            const struct quantizer_state state = state_of(quantizer);
            CHECK_UINT(state.bits, bits);
            CHECK_UINT(state.levels, 1u << bits);
            CHECK_UINT(state.k, k);
            CHECK_UINT(state.ste, DIFFQUANT_STE_LEARNED_STEP_SIZE);
            CHECK_FLOAT(state.ste_param, 0.0f);
            CHECK_UINT(state.rounding, DIFFQUANT_ROUNDING_HALF_AWAY);
            check_single_scale(quantizer, 1.0f, steps[k]);
            diffquant_quantizer_free(quantizer);
        }
    }
}

TEST(a_pi_quantizer_is_refused_other_widths_and_divisors) {
    static const struct {
        uint32_t bits, k;
        const char *argument;
    } cases[] = {
        {0, 2, "bits"},       {1, 2, "bits"},
        {6, 2, "bits"},       {8, 2, "bits"},
        {9, 2, "bits"},       {300, 2, "bits"},
        {259, 2, "bits"},     {3, 0, "k"},
        {3, 1, "k"},          {3, 6, "k"},
        {3, 300, "k"},        {3, 258, "k"},
        {3, UINT32_MAX, "k"}, {UINT32_MAX, 2, "bits"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const uint32_t bad = cases[i].argument[0] == 'k' ? cases[i].k : cases[i].bits;
        diffquant_quantizer *quantizer = no_quantizer();
        check_context("bits %u, k %u", cases[i].bits, cases[i].k);
        CHECK_REFUSED(diffquant_quantizer_new_pi(cases[i].bits, cases[i].k, &quantizer),
                      DIFFQUANT_STATUS_INVALID_ARGUMENT, cases[i].argument, decimal(bad).text);
        CHECK(quantizer == no_quantizer());
    }
}

/* ---- From a configuration ---------------------------------------------------------------------------------------- */

TEST(a_configuration_makes_the_quantizer_that_it_describes_with_every_scale_1) {
    static const struct {
        uint32_t bits, pi_k, ste;
        float parameter, step;
    } cases[] = {
        {2, 0, DIFFQUANT_STE_STANDARD, 0.0f, 1.0f},
        {8, 0, DIFFQUANT_STE_CLIPPED, 3.0f, 1.0f},
        {3, 4, DIFFQUANT_STE_EWGS, 0.5f, 0x1.921fb6p-1f},
        {5, 2, DIFFQUANT_STE_LEARNED_STEP_SIZE, 0.0f, 0x1.921fb6p+0f},
    };
    diffquant_config *config = default_config();
    for (size_t i = 0; i < COUNT(cases); i++) {
        diffquant_quantizer *quantizer = NULL;
        check_context("case %zu", i);
        REQUIRE_OK(diffquant_config_set_bits(config, cases[i].bits));
        REQUIRE_OK(diffquant_config_set_pi_k(config, cases[i].pi_k));
        REQUIRE_OK(diffquant_config_set_ste(config, cases[i].ste, cases[i].parameter));
        CHECK_OK(diffquant_quantizer_new(config, &quantizer));
        const struct quantizer_state state = state_of(quantizer);
        CHECK_UINT(state.bits, cases[i].bits);
        CHECK_UINT(state.k, cases[i].pi_k);
        CHECK_UINT(state.ste, cases[i].ste);
        CHECK_FLOAT(state.ste_param, cases[i].parameter);
        check_single_scale(quantizer, 1.0f, cases[i].step);
        diffquant_quantizer_free(quantizer);
    }
    diffquant_config_free(config);
}

TEST(a_quantizer_outlives_the_configuration_that_it_was_made_from) {
    diffquant_config *config = NULL;
    diffquant_quantizer *quantizer = NULL;
    REQUIRE_OK(diffquant_config_new_preset(DIFFQUANT_PRESET_PIQ2, &config));
    REQUIRE_OK(diffquant_quantizer_new(config, &quantizer));
    const struct quantizer_state before = state_of(quantizer);
    CHECK_OK(diffquant_config_set_bits(config, 5));
    CHECK_OK(diffquant_config_set_pi_k(config, 0));
    CHECK_STATE(quantizer, &before);
    diffquant_config_free(config);
    CHECK_STATE(quantizer, &before);
    CHECK_UINT(before.bits, 2);
    CHECK_UINT(before.k, 3);
    diffquant_quantizer_free(quantizer);
}

TEST(a_configuration_of_any_granularity_and_symmetry_makes_a_quantizer) {
    static const struct {
        uint32_t granularity;
        size_t block_size, scales; /* before a shape is known */
    } cases[] = {
        {DIFFQUANT_GRANULARITY_PER_TENSOR, 0, 1},
        {DIFFQUANT_GRANULARITY_PER_CHANNEL, 0, 1},
        {DIFFQUANT_GRANULARITY_PER_TOKEN, 0, 0},
        {DIFFQUANT_GRANULARITY_PER_BLOCK, 32, 0},
    };
    for (uint32_t pi_k = 0; pi_k <= 4; pi_k += 4) {
        diffquant_config *config = default_config();
        REQUIRE_OK(diffquant_config_set_pi_k(config, pi_k));
        for (size_t i = 0; i < 2 * COUNT(cases); i++) {
            const uint32_t symmetric = i / COUNT(cases) == 0, granularity = cases[i % COUNT(cases)].granularity;
            diffquant_quantizer *quantizer = NULL;
            check_context("granularity %u, symmetric %u, pi_k %u", granularity, symmetric, pi_k);
            REQUIRE_OK(diffquant_config_set_granularity(config, granularity, 32));
            REQUIRE_OK(diffquant_config_set_symmetric(config, symmetric));
            CHECK_OK(diffquant_quantizer_new(config, &quantizer));
            const struct quantizer_state state = state_of(quantizer);
            CHECK_UINT(state.granularity, granularity);
            CHECK_UINT(state.block_size, cases[i % COUNT(cases)].block_size);
            CHECK_UINT(state.symmetric, symmetric);
            CHECK_UINT(state.scale_count, cases[i % COUNT(cases)].scales);
            CHECK_UINT(state.code_range, DIFFQUANT_CODE_RANGE_FULL);
            diffquant_quantizer_free(quantizer);
        }
        diffquant_config_free(config);
    }
}

TEST(a_configuration_with_a_published_estimator_makes_a_quantizer_that_has_it) {
    static const diffquant_ste estimators[] = {DIFFQUANT_STE_RANGE_CLIPPED, DIFFQUANT_STE_LSQ, DIFFQUANT_STE_LSQ_PLUS,
                                               DIFFQUANT_STE_EWGS_SIGNED};
    for (size_t i = 0; i < COUNT(estimators); i++) {
        diffquant_config *config = default_config(), *copy = NULL;
        diffquant_quantizer *quantizer = NULL;
        check_context("ste %u", estimators[i]);
        CHECK_OK(diffquant_config_set_ste(config, estimators[i], 0.125f));
        const struct config_text text = text_of(config);
        CHECK_OK(diffquant_config_from_json(text.text, strlen(text.text), &copy));
        CHECK_OK(diffquant_quantizer_new(copy, &quantizer));
        const struct quantizer_state state = state_of(quantizer);
        CHECK_UINT(state.ste, estimators[i]);
        CHECK_FLOAT(state.ste_param, estimators[i] == DIFFQUANT_STE_EWGS_SIGNED ? 0.125f : 0.0f);
        diffquant_quantizer_free(quantizer);
        diffquant_config_free(copy);
        diffquant_config_free(config);
    }
}

/* ---- Copies ------------------------------------------------------------------------------------------------------ */

/* Changes everything that can be changed. */
static void change_everything(diffquant_quantizer *quantizer) {
    static const size_t shape[] = {5, 3};
    static const int32_t zero_points[] = {1, 0, -1, 2, 1};
    static const float offsets[] = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f};
    REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, DIFFQUANT_GRANULARITY_PER_TOKEN, 0));
    REQUIRE_OK(diffquant_quantizer_set_shape(quantizer, shape, 2, 0));
    REQUIRE_OK(diffquant_quantizer_set_code_range(quantizer, DIFFQUANT_CODE_RANGE_NARROW));
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, zero_points, 5));
    REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, offsets, 5));
    REQUIRE_OK(diffquant_quantizer_set_scale(quantizer, 4, 9.0f));
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_EWGS, 9.0f));
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_HALF_AWAY));
    REQUIRE_OK(diffquant_quantizer_set_seed(quantizer, 99, 98));
    REQUIRE_OK(diffquant_quantizer_set_non_finite(quantizer, DIFFQUANT_NON_FINITE_ZERO));
}

TEST(a_clone_is_equal_and_shares_nothing_with_its_original) {
    static const float scales[] = {0.5f, 0.25f, 2.0f};
    static const int32_t zero_points[] = {0, 1, 0};
    static const float offsets[] = {0.0f, 0.0f, -0.5f};
    diffquant_quantizer *original = channel_quantizer(3, scales, 3);
    REQUIRE_OK(diffquant_quantizer_set_ste(original, DIFFQUANT_STE_CLIPPED, 1.5f));
    REQUIRE_OK(diffquant_quantizer_set_rounding(original, DIFFQUANT_ROUNDING_HALF_EVEN));
    REQUIRE_OK(diffquant_quantizer_set_seed(original, 5, 6));
    REQUIRE_OK(diffquant_quantizer_set_non_finite(original, DIFFQUANT_NON_FINITE_PROPAGATE));
    REQUIRE_OK(diffquant_quantizer_set_symmetric(original, 0));
    REQUIRE_OK(diffquant_quantizer_set_zero_points(original, zero_points, 3));
    REQUIRE_OK(diffquant_quantizer_set_offsets(original, offsets, 3));
    const struct quantizer_state before = state_of(original);

    diffquant_quantizer *clone = NULL;
    CHECK_OK(diffquant_quantizer_clone(original, &clone));
    CHECK(clone != original);
    CHECK_STATE(clone, &before);
    change_everything(clone);
    CHECK_STATE(original, &before);
    diffquant_quantizer_free(clone);
    CHECK_STATE(original, &before);

    CHECK_OK(diffquant_quantizer_clone(original, &clone));
    change_everything(original);
    CHECK_STATE(clone, &before);
    diffquant_quantizer_free(original);
    CHECK_STATE(clone, &before);

    /* It works like the original, too: 1.25 / 0.5 = 2.5 to even; 1.25 / 0.25 = 5, and a step from the zero point to the
     * largest code is 2 at most; (1.25 + 0.5) / 2 = 0.875. */
    static const float w[] = {1.25f, 1.25f, 1.25f}, expected[] = {1.0f, 0.5f, 1.5f};
    float values[3];
    CHECK_OK(diffquant_quantizer_forward(clone, w, 3, NULL, values));
    CHECK_FLOATS(values, expected, 3);
    diffquant_quantizer_free(clone);
}

TEST(a_clone_of_a_pi_quantizer_is_a_pi_quantizer) {
    diffquant_quantizer *original = NULL, *clone = NULL;
    REQUIRE_OK(diffquant_quantizer_new_pi(5, 3, &original));
    REQUIRE_OK(diffquant_quantizer_set_scale(original, 0, 0.3125f));
    const struct quantizer_state before = state_of(original);
    CHECK_OK(diffquant_quantizer_clone(original, &clone));
    CHECK_STATE(clone, &before);
    CHECK_FLOAT(before.steps[0], 0x1.4f1a6ep-2f);
    CHECK_UINT(before.k, 3);
    diffquant_quantizer_free(original);
    diffquant_quantizer_free(clone);
}

TEST(freeing_no_quantizer_does_nothing) {
    diffquant_quantizer_free(NULL);
    diffquant_quantizer_free(NULL);
    CHECK(true);
}
