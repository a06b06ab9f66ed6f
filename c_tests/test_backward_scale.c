/* The gradient of the scale: sum(grad_out * code * d) / sqrt(m * 2^bits), d = 1 for uniform and PI / k for pi. */

#include "support.h"

static const struct {
    diffquant_ste ste;
    float parameter;
} estimators[] = {
    {DIFFQUANT_STE_STANDARD, 0.0f},
    {DIFFQUANT_STE_CLIPPED, 0.5f}, /* clips most weights below: the scale does not care */
    {DIFFQUANT_STE_LEARNED_STEP_SIZE, 0.0f},
    {DIFFQUANT_STE_EWGS, 0.75f},
};

TEST(the_gradient_of_a_uniform_scale_is_the_sum_over_the_root_whatever_the_estimator) {
    /* Codes 1, -2, 3 and 3 (half to even: 2); 1 - 4 + 9 + 12 = 18 (14), over sqrt(4 * 16) = 8. */
    static const float w[] = {1.0f, -2.0f, 3.0f, 2.5f}, g[] = {1.0f, 2.0f, 3.0f, 4.0f};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    for (size_t i = 0; i < COUNT(estimators); i++) {
        float grad_scale = 99.0f;
        check_context("ste %u", estimators[i].ste);
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, estimators[i].ste, estimators[i].parameter));
        REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_HALF_AWAY));
        CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, 4, NULL, &grad_scale));
        CHECK_FLOAT(grad_scale, 2.25f);
        REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_HALF_EVEN));
        CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, 4, NULL, &grad_scale));
        CHECK_FLOAT(grad_scale, 1.75f);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(the_gradient_of_an_alpha_has_the_factor_pi_by_k) {
    /* 2 bits: codes -2 to 1. Codes 1, -2, 0, -1 and g of 1, 2, 4, -1 give 1 - 4 + 0 + 1 = -2, over sqrt(4 * 4) = 4, so
     * minus half of PI / k. */
    static const float expected[] = {
        [2] = -0x1.921fb6p-1f, [3] = -0x1.0c1524p-1f, [4] = -0x1.921fb6p-2f, [5] = -0x1.41b2f8p-2f};
    static const float codes[] = {1.0f, -2.0f, 0.0f, -1.0f}, g[] = {1.0f, 2.0f, 4.0f, -1.0f};
    for (uint32_t k = 2; k <= 5; k++) {
        diffquant_quantizer *quantizer = NULL;
        float w[4], step = 99.0f, grad_scale = 99.0f;
        check_context("k %u", k);
        REQUIRE_OK(diffquant_quantizer_new_pi(2, k, &quantizer));
        REQUIRE_OK(diffquant_quantizer_set_scale(quantizer, 0, 0.5f));
        REQUIRE_OK(diffquant_quantizer_step_size(quantizer, 0, &step));
        for (size_t i = 0; i < 4; i++) {
            w[i] = codes[i] * step;
        }
        CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, 4, NULL, &grad_scale));
        CHECK_FLOAT(grad_scale, expected[k]);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(every_channel_has_its_own_sum_and_count) {
    /* Two weights each: sqrt(2 * 8) = 4. Steps 0.5, 0.25 and 2; codes 2 and -3, 3 (cut) and -4 (cut), 1 and -1. */
    static const float scales[] = {0.5f, 0.25f, 2.0f};
    static const float w[] = {1.0f, -1.25f, 1.0f, -1.25f, 1.0f, -1.25f}, g[] = {1.0f, 2.0f, 1.0f, -2.0f, 8.0f, 4.0f};
    static const float expected[] = {-1.0f, 2.75f, 1.0f};
    diffquant_quantizer *quantizer = channel_quantizer(3, scales, 3);
    struct guarded grad_scale = guarded_new(3 * sizeof(float));
    CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, 6, NULL, grad_scale.data));
    CHECK_FLOATS((float *)grad_scale.data, expected, 3);
    CHECK_GUARDS(&grad_scale);
    guarded_free(&grad_scale);
    diffquant_quantizer_free(quantizer);
}

TEST(weights_outside_the_range_and_nan_count_with_the_code_that_they_have) {
    /* Codes 7, -8, 0, 7: no range mask. 7 + 8 + 0 + 14 = 29, over 8. */
    static const float w[] = {100.0f, -INFINITY, NAN, INFINITY}, g[] = {1.0f, -1.0f, 5.0f, 2.0f};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    float grad_scale = 99.0f;
    CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, 4, NULL, &grad_scale));
    CHECK_FLOAT(grad_scale, 3.625f);
    diffquant_quantizer_free(quantizer);
}

TEST(a_gradient_that_is_not_finite_shows_in_the_sum_of_its_channel_alone) {
    static const float scales[] = {1.0f, 1.0f, 1.0f};
    static const float w[] = {1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f}, g[] = {1.0f, NAN, 1.0f, 1.0f, INFINITY, 1.0f};
    diffquant_quantizer *quantizer = channel_quantizer(3, scales, 3);
    float grad_scale[3];
    CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, 6, NULL, grad_scale));
    CHECK(isnan(grad_scale[0]));
    CHECK_FLOAT(grad_scale[1], 0.5f);
    CHECK_FLOAT(grad_scale[2], INFINITY);
    diffquant_quantizer_free(quantizer);
}

/* The header's bound, against a sum in double precision. */
static void check_sum(const diffquant_quantizer *quantizer, const float *w, const float *g, size_t n) {
    const struct quantizer_state state = state_of(quantizer);
    float grad_scale = 99.0f;
    double sum = 0.0, magnitudes = 0.0;
    for (size_t i = 0; i < n; i++) {
        const int8_t code = code_of(w[i], state.steps[0], state.bits, false);
        sum += (double)g[i] * code;
        magnitudes += fabs((double)g[i] * code);
    }
    const double normalizer = sqrt((double)n * state.levels);
    CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, n, NULL, &grad_scale));
    CHECK(fabs((double)grad_scale - sum / normalizer) <= 1e-6 * magnitudes / normalizer);
}

TEST(a_long_sum_is_within_a_millionth_of_the_sum_of_magnitudes) {
    static const size_t lengths[] = {1, 31, 32, 33, 511, 512, 513, 4096, 131072, 300001};
    const size_t longest = 300001;
    float *w = malloc(longest * sizeof *w), *g = malloc(longest * sizeof *g);
    REQUIRE(w != NULL && g != NULL);
    fill_weights(w, longest, 21, false);
    fill_weights(g, longest, 22, false);
    diffquant_quantizer *quantizer = uniform_quantizer(8, 0.03f);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        check_context("random, %zu", lengths[i]);
        check_sum(quantizer, w, g, lengths[i]);
    }
    /* All of one sign: where a sum in single precision loses most. */
    for (size_t i = 0; i < longest; i++) {
        w[i] = 1.0f;
        g[i] = 0.1f;
    }
    for (size_t i = 0; i < COUNT(lengths); i++) {
        check_context("constant, %zu", lengths[i]);
        check_sum(quantizer, w, g, lengths[i]);
    }
    diffquant_quantizer_free(quantizer);
    free(w);
    free(g);
}

TEST(the_gradient_of_the_weights_is_that_of_backward_for_every_estimator_and_length) {
    enum { LONGEST = 100 };
    float w[LONGEST], g[LONGEST], expected[LONGEST], grad_w[LONGEST];
    float with = 99.0f, without = 99.0f;
    fill_weights(w, LONGEST, 8, true);
    fill_weights(g, LONGEST, 9, false);
    diffquant_quantizer *quantizer = uniform_quantizer(3, 0.3f);
    for (size_t i = 0; i < COUNT(estimators); i++) {
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, estimators[i].ste, estimators[i].parameter));
        for (size_t n = 1; n <= LONGEST; n++) {
            check_context("ste %u, n %zu", estimators[i].ste, n);
            CHECK_OK(diffquant_quantizer_backward(quantizer, w, NULL, g, n, expected));
            CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, n, grad_w, &with));
            CHECK_FLOATS(grad_w, expected, n);
            /* And asking for it does not change the gradient of the scale. */
            CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, n, NULL, &without));
            CHECK_FLOAT(with, without);
        }
    }
    diffquant_quantizer_free(quantizer);
}
