/* Backward: the gradient of the loss by each weight, by the formula of each estimator. */

#include "support.h"

#include <float.h>

static diffquant_quantizer *quantizer_with(diffquant_ste ste, float ste_param) {
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, ste, ste_param));
    return quantizer;
}

struct backward_case {
    float w, g, expected;
};

/* Runs the table with the values that forward gave, and without. */
static void check_table(const diffquant_quantizer *quantizer, const struct backward_case *cases, size_t n) {
    enum { MOST = 32 };
    float w[MOST], g[MOST], expected[MOST], values[MOST], grad_w[MOST];
    REQUIRE(n <= MOST);
    for (size_t i = 0; i < n; i++) {
        w[i] = cases[i].w;
        g[i] = cases[i].g;
        expected[i] = cases[i].expected;
    }
    REQUIRE_OK(diffquant_quantizer_forward(quantizer, w, n, NULL, values));
    touch_not(grad_w, sizeof grad_w);
    CHECK_OK(diffquant_quantizer_backward(quantizer, w, values, g, n, grad_w));
    CHECK_FLOATS(grad_w, expected, n);
    touch_not(grad_w, sizeof grad_w);
    CHECK_OK(diffquant_quantizer_backward(quantizer, w, NULL, g, n, grad_w));
    CHECK_FLOATS(grad_w, expected, n);
    /* backward_scale gives the same gradient of the weights. */
    float grad_scale;
    touch_not(grad_w, sizeof grad_w);
    CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, n, grad_w, &grad_scale));
    CHECK_FLOATS(grad_w, expected, n);
}

/* ---- The estimators ---------------------------------------------------------------------------------------------- */

TEST(standard_and_learned_step_size_pass_every_gradient_unchanged) {
    static const struct backward_case cases[] = {
        {0.5f, 1.0f, 1.0f},
        {-3.0f, -2.5f, -2.5f},
        {100.0f, 3.0f, 3.0f},
        {-100.0f, -3.0f, -3.0f},
        {0.0f, -0.0f, -0.0f},
        {NAN, 4.0f, 4.0f},
        {INFINITY, 5.0f, 5.0f},
        {1.0f, NAN, NAN},
        {1.0f, INFINITY, INFINITY},
        {1.0f, -INFINITY, -INFINITY},
        {1.0f, FLT_TRUE_MIN, FLT_TRUE_MIN},
    };
    static const diffquant_ste estimators[] = {DIFFQUANT_STE_STANDARD, DIFFQUANT_STE_LEARNED_STEP_SIZE};
    for (size_t i = 0; i < COUNT(estimators); i++) {
        diffquant_quantizer *quantizer = quantizer_with(estimators[i], 0.0f);
        check_context("ste %u", estimators[i]);
        check_table(quantizer, cases, COUNT(cases));
        diffquant_quantizer_free(quantizer);
    }
}

TEST(clipped_stops_the_gradient_outside_the_clip_and_passes_it_on_its_edge) {
    static const struct backward_case cases[] = {
        {1.5f, 2.0f, 2.0f},
        {-1.5f, 2.0f, 2.0f},
        {0x1.800002p+0f, 2.0f, 0.0f},
        {-0x1.800002p+0f, 2.0f, 0.0f},
        {0x1.7ffffep+0f, 2.0f, 2.0f},
        {0.0f, -2.0f, -2.0f},
        {-0.0f, -0.0f, -0.0f},
        {7.0f, -2.0f, 0.0f},
        {INFINITY, 2.0f, 0.0f},
        {-INFINITY, 2.0f, 0.0f},
        {NAN, 2.0f, 0.0f},
        {2.0f, NAN, 0.0f},
        {2.0f, INFINITY, 0.0f},
        {1.0f, NAN, NAN},
    };
    diffquant_quantizer *quantizer = quantizer_with(DIFFQUANT_STE_CLIPPED, 1.5f);
    check_table(quantizer, cases, COUNT(cases));
    diffquant_quantizer_free(quantizer);
}

TEST(ewgs_scales_the_gradient_with_the_distance_to_the_value) {
    /* 1 + 0.5 * |w - value|; step 1, codes -8 to 7. */
    static const struct backward_case cases[] = {
        {0.25f, 1.0f, 1.125f}, {-0.25f, 1.0f, 1.125f},     {0.75f, -2.0f, -2.25f},        {2.5f, 4.0f, 5.0f},
        {3.0f, 1.0f, 1.0f},    {100.0f, 2.0f, 95.0f},      {-100.0f, 2.0f, 94.0f},        {0.0f, -0.0f, -0.0f},
        {NAN, 2.0f, NAN},      {INFINITY, 2.0f, INFINITY}, {-INFINITY, -2.0f, -INFINITY},
    };
    diffquant_quantizer *quantizer = quantizer_with(DIFFQUANT_STE_EWGS, 0.5f);
    check_table(quantizer, cases, COUNT(cases));
    diffquant_quantizer_free(quantizer);
}

TEST(ewgs_is_computed_in_single_precision_in_the_order_written_and_not_fused) {
    /* lambda * |w - value| = 0.1f * 0.3f = 0.030000001..., and 1 + that is rounded before it meets g. */
    const float lambda = 0.1f, w = 0.3f, g = 0.7f;
    const volatile float product = lambda * w;
    const volatile float sum = 1.0f + product;
    const volatile float expected = g * sum;
    const struct backward_case cases[] = {{w, g, expected}, {-w, g, expected}, {-w, -g, -expected}};
    diffquant_quantizer *quantizer = quantizer_with(DIFFQUANT_STE_EWGS, lambda);
    check_table(quantizer, cases, COUNT(cases));
    diffquant_quantizer_free(quantizer);
}

TEST(ewgs_with_lambda_zero_is_standard) {
    static const struct backward_case cases[] = {{0.25f, 3.0f, 3.0f}, {-1e30f, -0.5f, -0.5f}, {9.5f, 1e-40f, 1e-40f}};
    diffquant_quantizer *quantizer = quantizer_with(DIFFQUANT_STE_EWGS, 0.0f);
    check_table(quantizer, cases, COUNT(cases));
    diffquant_quantizer_free(quantizer);
}

/* ---- Values and groups ------------------------------------------------------------------------------------------- */

TEST(given_values_are_the_ones_that_count) {
    /* The optimiser changed the scale after forward: what forward gave is no longer what it would give. */
    static const float w[] = {0.25f, 0.75f}, g[] = {1.0f, 1.0f};
    static const float given[] = {1.125f, 1.125f}, recomputed[] = {1.125f, 1.375f};
    float values[2], grad_w[2];
    diffquant_quantizer *quantizer = quantizer_with(DIFFQUANT_STE_EWGS, 0.5f);
    REQUIRE_OK(diffquant_quantizer_forward(quantizer, w, 2, NULL, values));
    REQUIRE_OK(diffquant_quantizer_set_scale(quantizer, 0, 4.0f));
    CHECK_OK(diffquant_quantizer_backward(quantizer, w, values, g, 2, grad_w));
    CHECK_FLOATS(grad_w, given, 2);
    CHECK_OK(diffquant_quantizer_backward(quantizer, w, NULL, g, 2, grad_w));
    CHECK_FLOATS(grad_w, recomputed, 2);
    diffquant_quantizer_free(quantizer);
}

TEST(recomputed_values_are_those_of_forward_in_every_channel_and_rounding_mode) {
    enum { N = 60 };
    static const float scales[] = {0.1f, 0.7f, 0.3f};
    float w[N], g[N], values[N], with[N], without[N];
    fill_weights(w, N, 5, true);
    fill_weights(g, N, 6, false);
    diffquant_quantizer *quantizer = channel_quantizer(3, scales, 3);
    for (diffquant_rounding rounding = DIFFQUANT_ROUNDING_HALF_AWAY; rounding <= DIFFQUANT_ROUNDING_HALF_EVEN;
         rounding++) {
        check_context("rounding %u", rounding);
        REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, rounding));
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_EWGS, 0.3f));
        REQUIRE_OK(diffquant_quantizer_forward(quantizer, w, N, NULL, values));
        CHECK_OK(diffquant_quantizer_backward(quantizer, w, values, g, N, with));
        CHECK_OK(diffquant_quantizer_backward(quantizer, w, NULL, g, N, without));
        CHECK_FLOATS(without, with, N);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(backward_changes_neither_its_inputs_nor_the_quantizer) {
    enum { N = 50 };
    float w[N], g[N], values[N], w_before[N], g_before[N], values_before[N], grad_w[N], grad_scale;
    fill_weights(w, N, 3, true);
    fill_weights(g, N, 4, true);
    diffquant_quantizer *quantizer = quantizer_with(DIFFQUANT_STE_EWGS, 0.5f);
    REQUIRE_OK(diffquant_quantizer_forward(quantizer, w, N, NULL, values));
    memcpy(w_before, w, sizeof w);
    memcpy(g_before, g, sizeof g);
    memcpy(values_before, values, sizeof values);
    const struct quantizer_state state = state_of(quantizer);
    CHECK_OK(diffquant_quantizer_backward(quantizer, w, values, g, N, grad_w));
    CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, N, grad_w, &grad_scale));
    CHECK(memcmp(w, w_before, sizeof w) == 0);
    CHECK(memcmp(g, g_before, sizeof g) == 0);
    CHECK(memcmp(values, values_before, sizeof values) == 0);
    CHECK_STATE(quantizer, &state);
    diffquant_quantizer_free(quantizer);
}
