/* One step of gradient descent on the scales, which stay positive and finite whatever the gradients are. */

#include "granular.h"

#include <float.h>

static const float three[] = {0.5f, 0.25f, 2.0f};

TEST(a_step_goes_down_the_gradient) {
    static const float grad_scale[] = {1.0f, -1.0f, 4.0f}, expected[] = {0.375f, 0.375f, 1.5f};
    size_t projected = 99;
    diffquant_quantizer *quantizer = channel_quantizer(4, three, 3);
    struct quantizer_state state = state_of(quantizer);
    CHECK_OK(diffquant_quantizer_apply_scale_step(quantizer, grad_scale, 3, 0.125f, 0.001f, &projected));
    CHECK_UINT(projected, 0);
    memcpy(state.scales, expected, sizeof expected);
    memcpy(state.steps, expected, sizeof expected);
    CHECK_STATE(quantizer, &state);
    /* Without a count. */
    CHECK_OK(diffquant_quantizer_apply_scale_step(quantizer, grad_scale, 3, 0.125f, 0.001f, NULL));
    CHECK_FLOAT(state_of(quantizer).scales[2], 1.0f);
    diffquant_quantizer_free(quantizer);
}

TEST(a_step_is_computed_as_if_without_overflow_and_rounded_once) {
    /* 1e30 * 1e30 is no float; minus itself, nearly, it would be NaN or 0 in single precision. */
    static const float scale = 1.0f, grad_scale = 1e-30f;
    size_t projected = 99;
    diffquant_quantizer *quantizer = channel_quantizer(4, &scale, 1);
    CHECK_OK(diffquant_quantizer_apply_scale_step(quantizer, &grad_scale, 1, 0.5e30f, 0.001f, &projected));
    CHECK_FLOAT(state_of(quantizer).scales[0], (float)(1.0 - (double)0.5e30f * (double)1e-30f));
    CHECK_UINT(projected, 0);
    diffquant_quantizer_free(quantizer);
}

TEST(a_scale_that_would_fall_below_the_smallest_becomes_the_smallest_and_is_counted) {
    static const struct {
        float grad_scale[3], expected[3];
        size_t projected;
    } cases[] = {
        {{10.0f, 0.0f, 0.0f}, {0.125f, 0.25f, 2.0f}, 1},
        {{10.0f, 10.0f, 100.0f}, {0.125f, 0.125f, 0.125f}, 3},
        {{INFINITY, FLT_MAX, 0.0f}, {0.125f, 0.125f, 2.0f}, 2},
        /* Exactly the smallest is no projection: 0.5 - 0.375, 0.25 - 0.125. */
        {{0.375f, 0.125f, 1.875f}, {0.125f, 0.125f, 0.125f}, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t projected = 99;
        diffquant_quantizer *quantizer = channel_quantizer(4, three, 3);
        check_context("case %zu", i);
        CHECK_OK(diffquant_quantizer_apply_scale_step(quantizer, cases[i].grad_scale, 3, 1.0f, 0.125f, &projected));
        CHECK_FLOATS(state_of(quantizer).scales, cases[i].expected, 3);
        CHECK_UINT(projected, cases[i].projected);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(a_scale_that_would_become_infinite_stays_and_is_counted) {
    static const float grad_scale[] = {-INFINITY, -FLT_MAX, -1.0f}, expected[] = {0.5f, 0.25f, FLT_MAX};
    size_t projected = 99;
    diffquant_quantizer *quantizer = channel_quantizer(4, three, 3);
    CHECK_OK(diffquant_quantizer_apply_scale_step(quantizer, grad_scale, 3, FLT_MAX, 0.001f, &projected));
    CHECK_FLOATS(state_of(quantizer).scales, expected, 3);
    CHECK_UINT(projected, 2);
    diffquant_quantizer_free(quantizer);
}

TEST(no_scale_is_left_below_the_smallest_wherever_its_gradient_points) {
    static const float scales[] = {0.5f, 0.25f, 0.125f}, grad_scale[] = {0.0f, -INFINITY, -0.5f},
                       expected[] = {1.0f, 1.0f, 1.0f};
    size_t projected = 99;
    diffquant_quantizer *quantizer = channel_quantizer(4, scales, 3);
    CHECK_OK(diffquant_quantizer_apply_scale_step(quantizer, grad_scale, 3, 1.0f, 1.0f, &projected));
    CHECK_FLOATS(state_of(quantizer).scales, expected, 3);
    CHECK_UINT(projected, 3);
    diffquant_quantizer_free(quantizer);
}

TEST(the_step_of_an_alpha_follows_it_and_stays_finite) {
    static const float towards[] = {1.0f, -1.0f};
    diffquant_quantizer *quantizer = NULL;
    size_t projected = 99;
    REQUIRE_OK(diffquant_quantizer_new_pi(3, 4, &quantizer));
    REQUIRE_OK(diffquant_quantizer_init_per_channel(quantizer, 2));
    CHECK_OK(diffquant_quantizer_apply_scale_step(quantizer, towards, 2, 0.5f, 0.001f, &projected));
    CHECK_FLOAT(state_of(quantizer).scales[0], 0.5f);
    CHECK_FLOAT(state_of(quantizer).steps[0], 0x1.921fb6p-2f);
    CHECK_FLOAT(state_of(quantizer).scales[1], 1.5f);
    CHECK_FLOAT(state_of(quantizer).steps[1], 0x1.2d97c8p+0f);
    CHECK_UINT(projected, 0);
    /* FLT_MAX would do as an alpha, but not as alpha * PI. */
    CHECK_OK(diffquant_quantizer_apply_scale_step(quantizer, towards, 2, FLT_MAX, 0.001f, &projected));
    CHECK_FLOAT(state_of(quantizer).scales[0], 0.001f);
    CHECK_FLOAT(state_of(quantizer).scales[1], 1.5f);
    CHECK_UINT(projected, 2);
    diffquant_quantizer_free(quantizer);
}

TEST(gradients_from_hell_leave_every_scale_positive_and_finite) {
    float grad_scale[16];
    diffquant_quantizer *quantizer = uniform_quantizer(2, 1.0f);
    REQUIRE_OK(diffquant_quantizer_init_per_channel(quantizer, 16));
    for (uint32_t round = 0; round < 200; round++) {
        fill_weights(grad_scale, 16, round, true);
        for (size_t i = 0; i < 16; i++) {
            grad_scale[i] = isnan(grad_scale[i]) ? 0.0f : grad_scale[i];
        }
        check_context("round %u", round);
        CHECK_OK(diffquant_quantizer_apply_scale_step(quantizer, grad_scale, 16, 1.0f, 1e-6f, NULL));
        const struct quantizer_state state = state_of(quantizer);
        for (size_t i = 0; i < 16; i++) {
            CHECK(state.scales[i] >= 1e-6f && state.scales[i] <= FLT_MAX);
        }
    }
    diffquant_quantizer_free(quantizer);
}

TEST(a_step_leaves_zero_points_and_offsets) {
    static const float offsets[] = {1.0f, -2.0f, 0.5f}, grad_scale[] = {0.25f, 0.25f, 0.25f};
    static const int32_t zero_points[] = {3, -4, 0};
    diffquant_quantizer *quantizer = channel_quantizer(4, three, 3);
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, zero_points, 3));
    REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, offsets, 3));
    CHECK_OK(diffquant_quantizer_apply_scale_step(quantizer, grad_scale, 3, 0.5f, 0.001f, NULL));
    CHECK_INTS(state_of(quantizer).zero_points, zero_points, 3);
    CHECK_FLOATS(state_of(quantizer).offsets, offsets, 3);
    diffquant_quantizer_free(quantizer);
}

TEST(a_learned_scale_finds_the_grid_that_the_weights_came_from) {
    /* The loss is half the squared error; weights on a grid of 0.3, the scale starts at 0.36. */
    float w[64], values[64], grad_scale = 99.0f;
    for (size_t i = 0; i < 64; i++) {
        w[i] = 0.3f * (float)((int)(i % 8) - 4);
    }
    diffquant_quantizer *quantizer = uniform_quantizer(3, 0.36f);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_LSQ, 0.0f));
    for (int round = 0; round < 300; round++) {
        REQUIRE_OK(diffquant_quantizer_forward(quantizer, w, 64, NULL, values));
        for (size_t i = 0; i < 64; i++) {
            values[i] -= w[i];
        }
        REQUIRE_OK(diffquant_quantizer_backward_scale(quantizer, w, values, 64, NULL, &grad_scale));
        REQUIRE_OK(diffquant_quantizer_apply_scale_step(quantizer, &grad_scale, 1, 0.1f, 1e-4f, NULL));
    }
    CHECK_NEAR((double)state_of(quantizer).scales[0], 0.3, 1e-3);
    diffquant_quantizer_free(quantizer);
}

/* ---- Refusals ---------------------------------------------------------------------------------------------------- */

TEST(one_gradient_that_is_nan_changes_nothing_wherever_it_is) {
    size_t projected = 99;
    diffquant_quantizer *quantizer = channel_quantizer(4, three, 3);
    const struct quantizer_state before = state_of(quantizer);
    for (size_t at = 0; at < 3; at++) {
        float grad_scale[] = {1.0f, 100.0f, -1.0f};
        grad_scale[at] = NAN;
        CHECK_REFUSED(diffquant_quantizer_apply_scale_step(quantizer, grad_scale, 3, 0.125f, 0.001f, &projected),
                      DIFFQUANT_STATUS_INVALID_ARGUMENT, "grad_scale", "NaN", decimal(at).text);
        CHECK_STATE(quantizer, &before);
        CHECK_UINT(projected, 99);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(a_bad_rate_or_smallest_scale_changes_nothing) {
    static const struct {
        float learning_rate, min_scale;
        const char *argument, *value;
    } cases[] = {
        {0.0f, 0.1f, "learning_rate", "0"},       {-0.0f, 0.1f, "learning_rate", "-0"},
        {-1.0f, 0.1f, "learning_rate", "-1"},     {NAN, 0.1f, "learning_rate", "NaN"},
        {INFINITY, 0.1f, "learning_rate", "inf"}, {0.1f, 0.0f, "min_scale", "0"},
        {0.1f, -0.0f, "min_scale", "-0"},         {0.1f, -1.0f, "min_scale", "-1"},
        {0.1f, NAN, "min_scale", "NaN"},          {0.1f, INFINITY, "min_scale", "inf"},
        {0.1f, -INFINITY, "min_scale", "-inf"},
    };
    static const float grad_scale[] = {1.0f, 2.0f, 3.0f};
    size_t projected = 99;
    diffquant_quantizer *quantizer = channel_quantizer(4, three, 3);
    const struct quantizer_state before = state_of(quantizer);
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_context("case %zu", i);
        CHECK_REFUSED(diffquant_quantizer_apply_scale_step(quantizer, grad_scale, 3, cases[i].learning_rate,
                                                           cases[i].min_scale, &projected),
                      DIFFQUANT_STATUS_INVALID_ARGUMENT, cases[i].argument, cases[i].value);
        CHECK_STATE(quantizer, &before);
        CHECK_UINT(projected, 99);
    }
    diffquant_quantizer_free(quantizer);
    REQUIRE_OK(diffquant_quantizer_new_pi(3, 5, &quantizer));
    const struct quantizer_state pi_before = state_of(quantizer);
    CHECK_REFUSED(diffquant_quantizer_apply_scale_step(quantizer, grad_scale, 1, 0.1f, FLT_MAX, &projected),
                  DIFFQUANT_STATUS_INVALID_ARGUMENT, "min_scale", "step");
    CHECK_STATE(quantizer, &pi_before);
    CHECK_UINT(projected, 99);
    diffquant_quantizer_free(quantizer);
}

TEST(another_number_of_gradients_changes_nothing) {
    static const size_t counts[] = {0, 1, 2, 4, 300};
    static const float grad_scale[300] = {1.0f};
    size_t projected = 99;
    diffquant_quantizer *quantizer = channel_quantizer(4, three, 3);
    const struct quantizer_state before = state_of(quantizer);
    for (size_t i = 0; i < COUNT(counts); i++) {
        CHECK_REFUSED(diffquant_quantizer_apply_scale_step(quantizer, grad_scale, counts[i], 0.1f, 0.1f, &projected),
                      DIFFQUANT_STATUS_LENGTH_MISMATCH, "grad_scale", decimal(counts[i]).text, "3");
        CHECK_STATE(quantizer, &before);
    }
    CHECK_UINT(projected, 99);
    diffquant_quantizer_free(quantizer);
}

TEST(a_count_among_the_gradients_is_refused) {
    union {
        float grad_scale[4];
        size_t counts[2];
    } memory = {.grad_scale = {1.0f, 1.0f, 1.0f, 1.0f}};
    diffquant_quantizer *quantizer = channel_quantizer(4, three, 3);
    const struct quantizer_state before = state_of(quantizer);
    for (size_t i = 0; i < COUNT(memory.counts); i++) {
        CHECK_REFUSED(
            diffquant_quantizer_apply_scale_step(quantizer, memory.grad_scale, 3, 0.1f, 0.1f, &memory.counts[i]),
            DIFFQUANT_STATUS_OVERLAP, "grad_scale", "projected");
        CHECK_STATE(quantizer, &before);
        CHECK_FLOAT(memory.grad_scale[2 * i], 1.0f);
        CHECK_FLOAT(memory.grad_scale[2 * i + 1], 1.0f);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(a_quantizer_without_scales_takes_a_step_of_nothing) {
    size_t projected = 99;
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, DIFFQUANT_GRANULARITY_PER_TOKEN, 0));
    CHECK_OK(diffquant_quantizer_apply_scale_step(quantizer, NULL, 0, 0.1f, 0.1f, &projected));
    CHECK_UINT(projected, 0);
    diffquant_quantizer_free(quantizer);
}
