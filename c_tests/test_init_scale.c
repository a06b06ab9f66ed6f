/* Calibration: scales from weights. */

#include "support.h"

#include <float.h>

static diffquant_quantizer *pi_quantizer(uint32_t bits, uint32_t k) {
    diffquant_quantizer *quantizer = NULL;
    REQUIRE_OK(diffquant_quantizer_new_pi(bits, k, &quantizer));
    return quantizer;
}

static float scale_after_init(diffquant_quantizer *quantizer, const float *w, size_t n) {
    float scale = 99.0f;
    CHECK_OK(diffquant_quantizer_init_scale(quantizer, w, n));
    CHECK_OK(diffquant_quantizer_scales(quantizer, &scale, 1));
    return scale;
}

/* ---- The formulas ------------------------------------------------------------------------------------------------ */

TEST(a_uniform_scale_is_the_largest_magnitude_over_half_a_step_more_than_the_largest_code) {
    static const struct {
        uint32_t bits;
        float w[3], scale;
    } cases[] = {
        {4, {1.0f, -3.0f, 0.5f}, 0x1.99999ap-2f},  /* 3 / 7.5 */
        {2, {1.5f, 0.0f, -1.5f}, 1.0f},            /* 1.5 / 1.5 */
        {8, {-0.0f, 0.7f, 0.1f}, 0x1.67ce34p-8f},  /* 0.7 / 127.5 */
        {3, {-10.0f, 9.0f, 8.0f}, 0x1.6db6dcp+1f}, /* 10 / 3.5 */
        {2, {FLT_MAX, 1.0f, 2.0f}, 0x1.555554p+127f},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        diffquant_quantizer *quantizer = uniform_quantizer(cases[i].bits, 99.0f);
        check_context("case %zu", i);
        CHECK_FLOAT(scale_after_init(quantizer, cases[i].w, 3), cases[i].scale);
        float step = 99.0f;
        CHECK_OK(diffquant_quantizer_step_size(quantizer, 0, &step));
        CHECK_FLOAT(step, cases[i].scale);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(an_alpha_is_the_largest_magnitude_over_pi_by_k_times_half_a_step_more_than_the_largest_code) {
    static const struct {
        uint32_t bits, k;
        float w[3], alpha;
    } cases[] = {
        {3, 4, {1.0f, -3.0f, 0.5f}, 0x1.176298p+0f},  /* 3 / (PI / 4 * 3.5) */
        {2, 3, {3.0f, 0.0f, -1.5f}, 0x1.e8ec8ap+0f},  /* 3 / (PI / 3 * 1.5) */
        {5, 5, {-0.75f, 0.7f, 0.1f}, 0x1.3b6f50p-4f}, /* 0.75 / (PI / 5 * 15.5) */
        {4, 2, {-10.0f, 9.0f, 8.0f}, 0x1.b2995ep-1f}, /* 10 / (PI / 2 * 7.5) */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        diffquant_quantizer *quantizer = pi_quantizer(cases[i].bits, cases[i].k);
        check_context("case %zu", i);
        CHECK_FLOAT(scale_after_init(quantizer, cases[i].w, 3), cases[i].alpha);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(each_channel_is_calibrated_from_its_own_weights) {
    static const float w[] = {1.0f, -7.5f, 0.0f, -0.0f, 0.75f, 0.25f, -15.0f, 3.0f};
    static const float expected[] = {1.0f, 1.0f, 0.1f, 2.0f};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 99.0f);
    REQUIRE_OK(diffquant_quantizer_init_per_channel(quantizer, 4));
    CHECK_OK(diffquant_quantizer_init_scale(quantizer, w, 8));
    const struct quantizer_state state = state_of(quantizer);
    CHECK_FLOATS(state.scales, expected, 4);
    CHECK_FLOATS(state.steps, expected, 4);
    diffquant_quantizer_free(quantizer);
}

TEST(the_largest_weight_counts_wherever_it_stands) {
    enum { LONGEST = 100 };
    float w[LONGEST];
    diffquant_quantizer *quantizer = uniform_quantizer(2, 99.0f);
    for (size_t n = 1; n <= LONGEST; n++) {
        size_t found = 0;
        for (size_t at = 0; at < n; at++) {
            for (size_t i = 0; i < n; i++) {
                w[i] = i % 2 == 0 ? 0.5f : -0.5f;
            }
            w[at] = at % 2 == 0 ? -3.0f : 3.0f;
            float scale = 99.0f;
            diffquant_quantizer_init_scale(quantizer, w, n);
            diffquant_quantizer_scales(quantizer, &scale, 1);
            found += scale == 2.0f;
        }
        check_context("%zu weights", n);
        CHECK_UINT(found, n);
    }
    diffquant_quantizer_free(quantizer);
}

/* ---- Floors ------------------------------------------------------------------------------------------------------ */

TEST(weights_that_are_all_zero_give_scale_1) {
    static const float zeros[] = {0.0f, -0.0f, 0.0f};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 99.0f);
    CHECK_FLOAT(scale_after_init(quantizer, zeros, 3), 1.0f);
    diffquant_quantizer_free(quantizer);
    quantizer = pi_quantizer(3, 4);
    REQUIRE_OK(diffquant_quantizer_set_scale(quantizer, 0, 99.0f));
    CHECK_FLOAT(scale_after_init(quantizer, zeros, 3), 1.0f);
    diffquant_quantizer_free(quantizer);
}

TEST(a_scale_has_a_floor_so_that_it_is_never_zero) {
    static const float tiny[] = {0.0f, -FLT_TRUE_MIN};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 99.0f);
    CHECK_FLOAT(scale_after_init(quantizer, tiny, 2), FLT_MIN);
    diffquant_quantizer_free(quantizer);
    quantizer = pi_quantizer(3, 4);
    CHECK_FLOAT(scale_after_init(quantizer, tiny, 2), 1e-6f);
    /* Just above the floor it is the formula: 4e-6 / (PI / 4 * 3.5). */
    static const float small[] = {4e-6f};
    CHECK_FLOAT(scale_after_init(quantizer, small, 1), 0x1.869bd4p-20f);
    diffquant_quantizer_free(quantizer);
}

/* ---- Refusals ---------------------------------------------------------------------------------------------------- */

TEST(a_weight_that_is_not_finite_is_refused_by_its_index_and_changes_no_scale) {
    enum { N = 90, CHANNELS = 3 };
    static const struct {
        float value;
        const char *text;
    } bad[] = {{NAN, "NaN"}, {-NAN, "NaN"}, {INFINITY, "inf"}, {-INFINITY, "-inf"}};
    /* First, in the middle of a block, last of the first channel; the same of a later one; last of all. */
    static const size_t places[] = {0, 1, 15, 29, 30, 31, 45, 59, 60, 89};
    static const float scales[] = {0.5f, 0.25f, 2.0f};
    diffquant_quantizer *quantizer = channel_quantizer(4, scales, CHANNELS);
    const struct quantizer_state before = state_of(quantizer);
    float w[N];
    for (size_t i = 0; i < COUNT(places) * COUNT(bad); i++) {
        const size_t at = places[i % COUNT(places)];
        fill_weights(w, N, 7, false);
        w[at] = bad[i / COUNT(places)].value;
        check_context("%s at %zu", bad[i / COUNT(places)].text, at);
        CHECK_REFUSED(diffquant_quantizer_init_scale(quantizer, w, N), DIFFQUANT_STATUS_NON_FINITE, "w",
                      decimal(at).text, bad[i / COUNT(places)].text);
        CHECK_STATE(quantizer, &before);
        /* The message names the first one. */
        w[N - 1] = NAN;
        CHECK_REFUSED(diffquant_quantizer_init_scale(quantizer, w, N), DIFFQUANT_STATUS_NON_FINITE, "w",
                      decimal(at).text);
        CHECK_STATE(quantizer, &before);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(weights_so_large_that_the_step_overflows_are_refused) {
    /* max / (PI / 3 * 1.5) is finite, times PI it is not. */
    static const float w[] = {1.0f, FLT_MAX};
    diffquant_quantizer *quantizer = pi_quantizer(2, 3);
    REQUIRE_OK(diffquant_quantizer_set_scale(quantizer, 0, 0.5f));
    const struct quantizer_state before = state_of(quantizer);
    CHECK_REFUSED(diffquant_quantizer_init_scale(quantizer, w, 2), DIFFQUANT_STATUS_INVALID_ARGUMENT, "scale", "step");
    CHECK_STATE(quantizer, &before);
    diffquant_quantizer_free(quantizer);
}

TEST(no_weights_change_no_scale) {
    static const float scales[] = {0.5f, 0.25f, 2.0f};
    diffquant_quantizer *quantizer = channel_quantizer(4, scales, 3);
    const struct quantizer_state before = state_of(quantizer);
    CHECK_OK(diffquant_quantizer_init_scale(quantizer, NULL, 0));
    CHECK_STATE(quantizer, &before);
    diffquant_quantizer_free(quantizer);
}

TEST(calibration_keeps_estimator_rounding_and_channels) {
    diffquant_quantizer *quantizer = uniform_quantizer(3, 1.0f);
    REQUIRE_OK(diffquant_quantizer_init_per_channel(quantizer, 2));
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_EWGS, 0.5f));
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_HALF_EVEN));
    struct quantizer_state expected = state_of(quantizer);
    static const float w[] = {3.5f, 1.0f, -1.0f, 7.0f};
    CHECK_OK(diffquant_quantizer_init_scale(quantizer, w, 4));
    expected.scales[1] = expected.steps[1] = 2.0f;
    CHECK_STATE(quantizer, &expected);
    diffquant_quantizer_free(quantizer);
}
