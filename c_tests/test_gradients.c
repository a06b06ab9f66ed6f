/* The published gradients: RANGE_CLIPPED, LSQ, LSQ_PLUS and EWGS_SIGNED, worked out by hand. (Against the formulas in
 * double precision, for every granularity: test_granularities.c.) */

#include "granular.h"

static const diffquant_ste published[] = {DIFFQUANT_STE_RANGE_CLIPPED, DIFFQUANT_STE_LSQ, DIFFQUANT_STE_LSQ_PLUS,
                                          DIFFQUANT_STE_EWGS_SIGNED};

static diffquant_quantizer *quantizer_with(uint32_t bits, float scale, diffquant_ste ste, float ste_param) {
    diffquant_quantizer *quantizer = uniform_quantizer(bits, scale);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, ste, ste_param));
    return quantizer;
}

/* ---- Weights ----------------------------------------------------------------------------------------------------- */

/* 3 bits, step 1: Qn = -4 and Qp = 3. */
enum { EDGES = 16 };
static const float edges[EDGES] = {0.0f,   2.5f,  3.0f,           2.75f, 3.25f,          3.5f,   -4.0f,    -3.75f,
                                   -4.25f, -4.5f, 0x1.bffffep+1f, 99.0f, 0x1.7ffffep+1f, -99.0f, INFINITY, NAN};

static void check_passing(diffquant_ste ste, float ste_param, diffquant_rounding rounding, const bool *passes) {
    float g[EDGES], expected[EDGES], grad_w[EDGES];
    diffquant_quantizer *quantizer = quantizer_with(3, 1.0f, ste, ste_param);
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, rounding));
    for (size_t i = 0; i < EDGES; i++) {
        g[i] = i % 2 == 0 ? 2.0f : -3.0f;
        expected[i] = passes[i] ? g[i] : 0.0f;
    }
    CHECK_OK(diffquant_quantizer_backward(quantizer, edges, NULL, g, EDGES, grad_w));
    CHECK_FLOATS(grad_w, expected, EDGES);
    diffquant_quantizer_free(quantizer);
}

TEST(range_clipped_passes_the_gradient_of_a_weight_that_rounds_into_the_range) {
    static const bool away[EDGES] = {true, true,  true, true,  true, false, true,  true,
                                     true, false, true, false, true, false, false, false};
    /* To even, 3.5 is 4 too, but -4.5 is -4. */
    static const bool even[EDGES] = {true, true, true, true,  true, false, true,  true,
                                     true, true, true, false, true, false, false, false};
    check_passing(DIFFQUANT_STE_RANGE_CLIPPED, 0.0f, DIFFQUANT_ROUNDING_HALF_AWAY, away);
    check_passing(DIFFQUANT_STE_RANGE_CLIPPED, 0.0f, DIFFQUANT_ROUNDING_HALF_EVEN, even);
}

TEST(lsq_passes_the_gradient_of_a_weight_strictly_between_the_ends) {
    static const bool passes[EDGES] = {true,  true,  false, true,  false, false, false, true,
                                       false, false, false, false, true,  false, false, false};
    for (diffquant_rounding rounding = 0; rounding <= DIFFQUANT_ROUNDING_HALF_EVEN; rounding++) {
        check_passing(DIFFQUANT_STE_LSQ, 0.0f, rounding, passes);
        check_passing(DIFFQUANT_STE_LSQ_PLUS, 0.0f, rounding, passes);
        /* With a delta of 0 there is nothing but the mask. */
        check_passing(DIFFQUANT_STE_EWGS_SIGNED, 0.0f, rounding, passes);
    }
}

TEST(a_gradient_that_does_not_pass_is_plus_zero_whatever_it_was) {
    static const float w[] = {99.0f, 99.0f, 99.0f, 99.0f, 99.0f}, g[] = {-1.0f, NAN, INFINITY, -0.0f, -INFINITY};
    static const float zeros[5] = {0.0f};
    for (size_t i = 0; i < COUNT(published); i++) {
        float grad_w[5];
        diffquant_quantizer *quantizer = quantizer_with(4, 1.0f, published[i], 0.5f);
        check_context("ste %u", published[i]);
        CHECK_OK(diffquant_quantizer_backward(quantizer, w, NULL, g, 5, grad_w));
        CHECK_FLOATS(grad_w, zeros, 5);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(ewgs_signed_pushes_a_weight_on_in_the_direction_in_which_it_moves) {
    /* v - r is 0.25, -0.25, 0, 0.5 (2.5 rounds to 2 here) and outside; delta 0.5. */
    static const float w[] = {1.25f, 0.75f, 1.0f, 2.5f, 7.25f, 1.25f, 0.75f},
                       g[] = {2.0f, 2.0f, 2.0f, 4.0f, 4.0f, -2.0f, -2.0f};
    static const float expected[] = {2.25f, 1.75f, 2.0f, 5.0f, 0.0f, -1.75f, -2.25f};
    float grad_w[7];
    diffquant_quantizer *quantizer = quantizer_with(4, 1.0f, DIFFQUANT_STE_EWGS_SIGNED, 0.5f);
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_HALF_EVEN));
    CHECK_OK(diffquant_quantizer_backward(quantizer, w, NULL, g, 7, grad_w));
    CHECK_FLOATS(grad_w, expected, 7);
    diffquant_quantizer_free(quantizer);
}

TEST(delta_is_per_step_not_per_unit_of_w) {
    /* Step 4: 5 is 1.25 steps. */
    static const float w = 5.0f, g = 2.0f;
    float grad_w = 99.0f;
    diffquant_quantizer *quantizer = quantizer_with(4, 4.0f, DIFFQUANT_STE_EWGS_SIGNED, 0.5f);
    CHECK_OK(diffquant_quantizer_backward(quantizer, &w, NULL, &g, 1, &grad_w));
    CHECK_FLOAT(grad_w, 2.25f);
    diffquant_quantizer_free(quantizer);
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

TEST(the_gradient_of_an_lsq_scale_is_that_of_the_paper) {
    /* 4 bits, Qp = 7, over sqrt(7 * 7) = 7. r - v: 1 - 1.25 = -0.25, 0.25, -2.5 -> -3: -0.5; then 7 on its edge, 7 and
     * -8 beyond; 0 for what is exactly a code. */
    static const float w[] = {1.25f, 0.75f, -2.5f, 7.0f, 100.0f, -100.0f, 3.0f},
                       g[] = {4.0f, 2.0f, 2.0f, 1.0f, -1.0f, 3.0f, 5.0f};
    /* -1 + 0.5 - 1 + 7 - 7 - 24 + 0 = -25.5 */
    for (size_t i = 1; i < COUNT(published); i++) {
        float grad_scale = 99.0f;
        diffquant_quantizer *quantizer = quantizer_with(4, 1.0f, published[i], 0.75f);
        check_context("ste %u", published[i]);
        CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, 7, NULL, &grad_scale));
        CHECK_NEAR((double)grad_scale, -25.5 / 7.0, 4e-7);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(the_gradient_of_a_range_clipped_scale_looks_at_rounded_weights) {
    /* 7.25 rounds into the range and has r - v = -0.25 where LSQ has 7. Over sqrt(7 * 1). */
    static const float w = 7.25f, g = 4.0f;
    float grad_scale = 99.0f;
    diffquant_quantizer *quantizer = quantizer_with(4, 1.0f, DIFFQUANT_STE_RANGE_CLIPPED, 0.0f);
    CHECK_OK(diffquant_quantizer_backward_scale(quantizer, &w, &g, 1, NULL, &grad_scale));
    CHECK_NEAR((double)grad_scale, -1.0 / sqrt(7.0), 1e-7);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_LSQ, 0.0f));
    CHECK_OK(diffquant_quantizer_backward_scale(quantizer, &w, &g, 1, NULL, &grad_scale));
    CHECK_NEAR((double)grad_scale, 28.0 / sqrt(7.0), 2e-6);
    diffquant_quantizer_free(quantizer);
}

TEST(the_gradient_of_an_lsq_alpha_has_the_factor_pi_by_k) {
    /* 2 bits: Qn = -2, Qp = 1. In steps: 0.25, -1.25, -5, 5, so r - v of -0.25 and 0.25, then -2 and 1. */
    static const float in_steps[] = {0.25f, -1.25f, -5.0f, 5.0f}, g[] = {4.0f, 8.0f, 1.0f, 3.0f};
    for (uint32_t k = 2; k <= 5; k++) {
        diffquant_quantizer *quantizer = NULL;
        float w[4], step = 99.0f, grad_scale = 99.0f;
        REQUIRE_OK(diffquant_quantizer_new_pi(2, k, &quantizer));
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_LSQ, 0.0f));
        REQUIRE_OK(diffquant_quantizer_set_scale(quantizer, 0, 0.5f));
        REQUIRE_OK(diffquant_quantizer_step_size(quantizer, 0, &step));
        for (size_t i = 0; i < 4; i++) {
            w[i] = in_steps[i] * step;
        }
        check_context("k %u", k);
        CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, 4, NULL, &grad_scale));
        /* -1 + 2 - 2 + 3 = 2, over sqrt(4 * 1) */
        CHECK_NEAR((double)grad_scale, 3.14159265358979323846 / k, 8e-7);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(a_zero_point_moves_the_range_of_the_gradients) {
    /* 3 bits, zero point -4: Qn = 0, Qp = 7, while the normalizer keeps the largest code, 3. */
    static const float scale = 1.0f, w[] = {-0.25f, 0.0f, 5.25f, 8.0f}, g[] = {1.0f, 2.0f, 4.0f, 8.0f};
    static const float passed[] = {0.0f, 0.0f, 4.0f, 0.0f}, passed_rounded[] = {1.0f, 2.0f, 4.0f, 0.0f};
    static const int32_t zero_point = -4;
    float grad_w[4], grad_scale = 99.0f, grad_offset = 99.0f;
    diffquant_quantizer *quantizer = channel_quantizer(3, &scale, 1);
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, &zero_point, 1));
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_LSQ, 0.0f));
    CHECK_OK(diffquant_quantizer_backward_scale_offset(quantizer, w, g, 4, grad_w, &grad_scale, &grad_offset));
    CHECK_FLOATS(grad_w, passed, 4);
    /* 0 + 0 - 0.25 * 4 + 7 * 8 = 55, over sqrt(4 * 3) */
    CHECK_NEAR((double)grad_scale, 55.0 / sqrt(12.0), 2e-6);
    CHECK_FLOAT(grad_offset, 11.0f);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_RANGE_CLIPPED, 0.0f));
    CHECK_OK(diffquant_quantizer_backward_scale_offset(quantizer, w, g, 4, grad_w, &grad_scale, &grad_offset));
    CHECK_FLOATS(grad_w, passed_rounded, 4);
    /* 0.25 * 1 + 0 - 1 + 56 = 55.25 */
    CHECK_NEAR((double)grad_scale, 55.25 / sqrt(12.0), 2e-6);
    CHECK_FLOAT(grad_offset, 8.0f);
    diffquant_quantizer_free(quantizer);
}

/* ---- Offsets ----------------------------------------------------------------------------------------------------- */

TEST(the_gradient_of_an_offset_is_the_sum_of_what_does_not_pass) {
    /* Two channels, offsets 10 and -1, step 0.5, 3 bits: the first passes from 8 to 11.5, the second from -3 to 0.5. */
    static const float scales[] = {0.5f, 0.5f}, offsets[] = {10.0f, -1.0f};
    static const float w[] = {10.0f, 12.0f, 7.0f, 8.0f, -1.0f, 0.0f, 10.0f, -2.9f},
                       g[] = {1.0f, 2.0f, 4.0f, 8.0f, 16.0f, 32.0f, 64.0f, 128.0f};
    static const float expected[] = {14.0f, 64.0f}, expected_w[] = {1.0f, 0.0f, 0.0f, 0.0f, 16.0f, 32.0f, 0.0f, 128.0f};
    struct guarded grad_w = guarded_new(sizeof w), grad_scale = guarded_new(sizeof scales),
                   grad_offset = guarded_new(sizeof scales);
    diffquant_quantizer *quantizer = channel_quantizer(3, scales, 2);
    REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, offsets, 2));
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_LSQ_PLUS, 0.0f));
    CHECK_OK(
        diffquant_quantizer_backward_scale_offset(quantizer, w, g, 8, grad_w.data, grad_scale.data, grad_offset.data));
    CHECK_FLOATS((float *)grad_w.data, expected_w, 8);
    CHECK_FLOATS((float *)grad_offset.data, expected, 2);
    /* 0 + 3 * 2 - 4 * 4 - 4 * 8 = -42, over sqrt(4 * 3). */
    CHECK_NEAR((double)((float *)grad_scale.data)[0], -42.0 / sqrt(12.0), 2e-6);
    CHECK_GUARDS(&grad_w);
    CHECK_GUARDS(&grad_scale);
    CHECK_GUARDS(&grad_offset);
    /* Without grad_w, and in place of grad_out. */
    float in_place[8], scale_again[2], offset_again[2];
    CHECK_OK(diffquant_quantizer_backward_scale_offset(quantizer, w, g, 8, NULL, scale_again, offset_again));
    CHECK_FLOATS(scale_again, (float *)grad_scale.data, 2);
    CHECK_FLOATS(offset_again, expected, 2);
    memcpy(in_place, g, sizeof g);
    CHECK_OK(diffquant_quantizer_backward_scale_offset(quantizer, w, in_place, 8, in_place, scale_again, offset_again));
    CHECK_FLOATS(in_place, expected_w, 8);
    CHECK_FLOATS(scale_again, (float *)grad_scale.data, 2);
    CHECK_FLOATS(offset_again, expected, 2);
    guarded_free(&grad_w);
    guarded_free(&grad_scale);
    guarded_free(&grad_offset);
    diffquant_quantizer_free(quantizer);
}

TEST(an_estimator_that_ignores_the_range_has_no_gradient_of_the_offset) {
    static const diffquant_ste others[] = {DIFFQUANT_STE_STANDARD, DIFFQUANT_STE_CLIPPED,
                                           DIFFQUANT_STE_LEARNED_STEP_SIZE, DIFFQUANT_STE_EWGS};
    static const float w[] = {1.0f, 2.0f}, g[] = {1.0f, 1.0f};
    for (size_t i = 0; i < COUNT(others); i++) {
        struct guarded grad_w = guarded_new(sizeof w), grad_scale = guarded_new(4), grad_offset = guarded_new(4);
        diffquant_quantizer *quantizer = quantizer_with(4, 1.0f, others[i], 0.5f);
        check_context("ste %u", others[i]);
        CHECK_REFUSED(diffquant_quantizer_backward_scale_offset(quantizer, w, g, 2, grad_w.data, grad_scale.data,
                                                                grad_offset.data),
                      DIFFQUANT_STATUS_NOT_APPLICABLE, "gradient of the offset", "estimator");
        CHECK_UNTOUCHED(&grad_w);
        CHECK_UNTOUCHED(&grad_scale);
        CHECK_UNTOUCHED(&grad_offset);
        guarded_free(&grad_w);
        guarded_free(&grad_scale);
        guarded_free(&grad_offset);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(a_gradient_that_is_nan_shows_in_its_channel_alone) {
    static const float scales[] = {1.0f, 1.0f, 1.0f}, w[] = {0.25f, 99.0f, 0.25f, 99.0f, 0.25f, 99.0f},
                       g[] = {1.0f, 1.0f, 1.0f, NAN, 1.0f, 1.0f};
    float grad_w[6], grad_scale[3], grad_offset[3];
    diffquant_quantizer *quantizer = channel_quantizer(4, scales, 3);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_LSQ, 0.0f));
    CHECK_OK(diffquant_quantizer_backward_scale_offset(quantizer, w, g, 6, grad_w, grad_scale, grad_offset));
    CHECK(isnan(grad_scale[1]) && isnan(grad_offset[1]));
    for (size_t i = 0; i < 3; i += 2) {
        CHECK_NEAR((double)grad_scale[i], 6.75 / sqrt(14.0), 2e-7);
        CHECK_FLOAT(grad_offset[i], 1.0f);
    }
    diffquant_quantizer_free(quantizer);
}

/* ---- Against the loss -------------------------------------------------------------------------------------------- */

TEST(the_gradients_of_scale_and_offset_are_those_of_the_loss_with_the_residual_held_fixed) {
    /* loss = sum(g * value). What the estimator differentiates: value = offset + s * clamp((w - offset) / s +
     * residual), the rounding residual a constant. Central differences in double precision. */
    enum { N = 200 };
    const double step = 0.37, offset = -0.4, h = 1e-6, lowest = -4.0, highest = 3.0;
    float w[N], g[N], grad_w[N], grad_scale = 99.0f, grad_offset = 99.0f;
    const float float_step = (float)step, float_offset = (float)offset;
    fill_weights(w, N, 55, false);
    fill_weights(g, N, 56, false);
    double by_scale = 0.0, by_offset = 0.0, magnitudes = 0.0;
    for (size_t i = 0; i < N; i++) {
        const double v = ((double)w[i] - (double)float_offset) / (double)float_step;
        const double residual = v > lowest && v < highest ? round(v) - v : 0.0;
        double losses[4];
        for (size_t j = 0; j < 4; j++) {
            const double s = (double)float_step + (j == 0 ? h : j == 1 ? -h : 0.0);
            const double o = (double)float_offset + (j == 2 ? h : j == 3 ? -h : 0.0);
            const double level = fmin(fmax(((double)w[i] - o) / s, lowest), highest) + residual;
            losses[j] = (double)g[i] * (o + s * level);
        }
        by_scale += (losses[0] - losses[1]) / (2.0 * h);
        by_offset += (losses[2] - losses[3]) / (2.0 * h);
        magnitudes += fabs((double)g[i]) * 4.0;
    }
    diffquant_quantizer *quantizer = quantizer_with(3, float_step, DIFFQUANT_STE_LSQ_PLUS, 0.0f);
    REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, &float_offset, 1));
    CHECK_OK(diffquant_quantizer_backward_scale_offset(quantizer, w, g, N, grad_w, &grad_scale, &grad_offset));
    CHECK_NEAR((double)grad_scale * sqrt(N * highest), by_scale, 1e-6 * magnitudes);
    CHECK_NEAR((double)grad_offset, by_offset, 1e-6 * magnitudes);
    CHECK(fabs(by_scale) > 1.0 && fabs(by_offset) > 1.0);
    diffquant_quantizer_free(quantizer);
}
