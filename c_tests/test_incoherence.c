/* Quantizers that rotate: each call against a plain quantizer between two rotations. */

#include "granular.h"

enum { ROWS = 3, LENGTH = 40, N = ROWS * LENGTH };

static const uint64_t seed = 77;

/* A rotated quantizer of ROWS rows of LENGTH, and the plain one to which it comes down. */
struct pair {
    diffquant_quantizer *rotated, *plain;
    diffquant_rotation *rotation;
};

static struct pair pair_of(diffquant_ste ste) {
    static const size_t shape[] = {ROWS, LENGTH};
    static const float scales[ROWS] = {0.5f, 0.31f, 0.7f};
    struct pair pair = {0};
    REQUIRE_OK(diffquant_quantizer_new_uniform(3, ste, 0.3f, &pair.plain));
    REQUIRE_OK(diffquant_quantizer_set_granularity(pair.plain, DIFFQUANT_GRANULARITY_PER_CHANNEL, 0));
    REQUIRE_OK(diffquant_quantizer_set_shape(pair.plain, shape, 2, 0));
    REQUIRE_OK(diffquant_quantizer_set_scales(pair.plain, scales, ROWS));
    REQUIRE_OK(diffquant_quantizer_clone(pair.plain, &pair.rotated));
    REQUIRE_OK(diffquant_quantizer_set_incoherence(pair.rotated, 1));
    REQUIRE_OK(diffquant_quantizer_set_rotation_seed(pair.rotated, seed));
    REQUIRE_OK(diffquant_rotation_new(LENGTH, seed, &pair.rotation));
    return pair;
}

static void pair_free(struct pair *pair) {
    diffquant_quantizer_free(pair->rotated);
    diffquant_quantizer_free(pair->plain);
    diffquant_rotation_free(pair->rotation);
}

static void turn(const struct pair *pair, const float *x, float *turned) {
    memcpy(turned, x, N * sizeof(float));
    REQUIRE_OK(diffquant_rotation_apply(pair->rotation, turned, N));
}

static void turn_back(const struct pair *pair, float *x) {
    REQUIRE_OK(diffquant_rotation_apply_transpose(pair->rotation, x, N));
}

TEST(forward_quantizes_rotated_rows_and_rotates_their_values_back) {
    struct pair pair = pair_of(DIFFQUANT_STE_STANDARD);
    float w[N], turned[N], values[N], expected[N];
    int8_t codes[N], expected_codes[N];
    fill_weights(w, N, 3, false);
    turn(&pair, w, turned);
    REQUIRE_OK(diffquant_quantizer_forward(pair.plain, turned, N, expected_codes, expected));
    turn_back(&pair, expected);

    CHECK_OK(diffquant_quantizer_forward(pair.rotated, w, N, codes, values));
    CHECK_CODES(codes, expected_codes, N);
    CHECK_FLOATS(values, expected, N);
    touch_not(codes, sizeof codes);
    CHECK_OK(diffquant_quantizer_forward(pair.rotated, w, N, codes, NULL));
    CHECK_CODES(codes, expected_codes, N);
    CHECK_OK(diffquant_quantizer_forward(pair.rotated, w, N, NULL, NULL));
    CHECK_OK(diffquant_quantizer_dequantize(pair.rotated, codes, N, values));
    CHECK_FLOATS(values, expected, N);
    touch_not(codes, sizeof codes);
    CHECK_OK(diffquant_quantizer_forward(pair.rotated, w, N, codes, w));
    CHECK_CODES(codes, expected_codes, N);
    CHECK_FLOATS(w, expected, N);
    CHECK_OK(diffquant_quantizer_forward(pair.rotated, NULL, 0, NULL, NULL));
    pair_free(&pair);
}

TEST(draws_and_statistics_are_those_of_rotated_rows_and_the_policy_looks_at_the_weights) {
    struct pair pair = pair_of(DIFFQUANT_STE_STANDARD);
    float w[N], turned[N], values[N], expected[N];
    int8_t codes[N], expected_codes[N];
    diffquant_statistics found[ROWS], statistics[ROWS];
    fill_weights(w, N, 3, false);
    turn(&pair, w, turned);
    for (size_t i = 0; i < 2; i++) {
        diffquant_quantizer *quantizer = i == 0 ? pair.plain : pair.rotated;
        REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_STOCHASTIC));
        REQUIRE_OK(diffquant_quantizer_set_seed(quantizer, 5, 9));
        REQUIRE_OK(diffquant_quantizer_set_non_finite(quantizer, DIFFQUANT_NON_FINITE_REJECT));
    }
    REQUIRE_OK(diffquant_quantizer_forward_statistics(pair.plain, turned, N, expected_codes, expected, statistics, ROWS));
    turn_back(&pair, expected);
    CHECK_OK(diffquant_quantizer_forward_statistics(pair.rotated, w, N, codes, values, found, ROWS));
    CHECK_CODES(codes, expected_codes, N);
    CHECK_FLOATS(values, expected, N);
    CHECK(memcmp(found, statistics, sizeof found) == 0);
    CHECK_OK(diffquant_quantizer_forward_statistics(pair.rotated, w, N, NULL, NULL, found, ROWS));
    CHECK(memcmp(found, statistics, sizeof found) == 0);
    CHECK_OK(diffquant_quantizer_forward(pair.rotated, w, N, codes, values));
    CHECK_CODES(codes, expected_codes, N);
    CHECK_FLOATS(values, expected, N);

    w[N - 1] = NAN;
    touch_not(codes, sizeof codes);
    touch_not(values, sizeof values);
    touch_not(found, sizeof found);
    CHECK_REFUSED(diffquant_quantizer_forward(pair.rotated, w, N, codes, values), DIFFQUANT_STATUS_NON_FINITE, "w",
                  decimal(N - 1).text);
    CHECK_REFUSED(diffquant_quantizer_forward_statistics(pair.rotated, w, N, codes, values, found, ROWS),
                  DIFFQUANT_STATUS_NON_FINITE, "w", decimal(N - 1).text);
    CHECK(still_untouched(codes, sizeof codes));
    CHECK(still_untouched(values, sizeof values));
    CHECK(still_untouched(found, sizeof found));
    pair_free(&pair);
}

TEST(gradients_pass_the_estimator_in_rotated_rows) {
    static const diffquant_ste estimators[] = {
        DIFFQUANT_STE_STANDARD, DIFFQUANT_STE_LEARNED_STEP_SIZE, DIFFQUANT_STE_CLIPPED,     DIFFQUANT_STE_EWGS,
        DIFFQUANT_STE_LSQ,      DIFFQUANT_STE_LSQ_PLUS,          DIFFQUANT_STE_RANGE_CLIPPED};
    float w[N], g[N], turned[N], turned_g[N], grad_w[N], expected[N], values[N];
    float grad_scale[ROWS], expected_scale[ROWS], grad_offset[ROWS], expected_offset[ROWS];
    fill_weights(w, N, 3, false);
    fill_weights(g, N, 4, false);
    memset(values, 0, sizeof values); /* not looked at */
    for (size_t i = 0; i < COUNT(estimators); i++) {
        const diffquant_ste ste = estimators[i];
        struct pair pair = pair_of(ste);
        check_context("ste %u", ste);
        turn(&pair, w, turned);
        turn(&pair, g, turned_g);
        REQUIRE_OK(diffquant_quantizer_backward_scale(pair.plain, turned, turned_g, N, expected, expected_scale));
        turn_back(&pair, expected);
        if (ste == DIFFQUANT_STE_STANDARD || ste == DIFFQUANT_STE_LEARNED_STEP_SIZE) {
            memcpy(expected, g, sizeof g); /* there and back is nowhere */
        }

        CHECK_OK(diffquant_quantizer_backward(pair.rotated, w, NULL, g, N, grad_w));
        CHECK_FLOATS(grad_w, expected, N);
        CHECK_OK(diffquant_quantizer_backward(pair.rotated, w, values, g, N, grad_w));
        CHECK_FLOATS(grad_w, expected, N);
        touch_not(grad_w, sizeof grad_w);
        CHECK_OK(diffquant_quantizer_backward_scale(pair.rotated, w, g, N, grad_w, grad_scale));
        CHECK_FLOATS(grad_w, expected, N);
        CHECK_FLOATS(grad_scale, expected_scale, ROWS);
        CHECK_OK(diffquant_quantizer_backward_scale(pair.rotated, w, g, N, NULL, grad_scale));
        CHECK_FLOATS(grad_scale, expected_scale, ROWS);
        memcpy(grad_w, g, sizeof g);
        CHECK_OK(diffquant_quantizer_backward_scale(pair.rotated, w, grad_w, N, grad_w, grad_scale));
        CHECK_FLOATS(grad_w, expected, N);
        if (ste >= DIFFQUANT_STE_RANGE_CLIPPED) {
            REQUIRE_OK(diffquant_quantizer_backward_scale_offset(pair.plain, turned, turned_g, N, NULL, expected_scale,
                                                                 expected_offset));
            CHECK_OK(diffquant_quantizer_backward_scale_offset(pair.rotated, w, g, N, grad_w, grad_scale, grad_offset));
            CHECK_FLOATS(grad_offset, expected_offset, ROWS);
        }
        pair_free(&pair);
    }
}

TEST(calibration_and_dynamic_scales_look_at_rotated_rows) {
    struct pair pair = pair_of(DIFFQUANT_STE_STANDARD);
    float w[N], turned[N], scales[ROWS], expected[ROWS], values[N], expected_values[N];
    int8_t codes[N], expected_codes[N];
    fill_weights(w, N, 5, false);
    turn(&pair, w, turned);
    for (uint32_t method = DIFFQUANT_SCALE_INIT_MAX_ABS; method <= DIFFQUANT_SCALE_INIT_MSE; method++) {
        check_context("method %u", method);
        REQUIRE_OK(diffquant_quantizer_init_scale_with(pair.plain, method, 99.0f, turned, N));
        REQUIRE_OK(diffquant_quantizer_scales(pair.plain, expected, ROWS));
        CHECK_OK(diffquant_quantizer_init_scale_with(pair.rotated, method, 99.0f, w, N));
        CHECK_OK(diffquant_quantizer_scales(pair.rotated, scales, ROWS));
        CHECK_FLOATS(scales, expected, ROWS);
    }
    REQUIRE_OK(diffquant_quantizer_forward_dynamic(pair.plain, turned, N, expected_codes, expected_values, expected, ROWS));
    turn_back(&pair, expected_values);
    CHECK_OK(diffquant_quantizer_forward_dynamic(pair.rotated, w, N, codes, NULL, scales, ROWS));
    CHECK_CODES(codes, expected_codes, N);
    CHECK_FLOATS(scales, expected, ROWS);
    CHECK_OK(diffquant_quantizer_forward_dynamic(pair.rotated, w, N, NULL, values, scales, ROWS));
    CHECK_FLOATS(values, expected_values, N);
    CHECK_OK(diffquant_quantizer_forward_dynamic(pair.rotated, w, N, codes, w, scales, ROWS));
    CHECK_FLOATS(w, expected_values, N);

    /* The first NaN is named by its place among the weights, although a rotation spreads it. */
    w[LENGTH + 7] = NAN;
    touch_not(scales, sizeof scales);
    CHECK_REFUSED(diffquant_quantizer_init_scale(pair.rotated, w, N), DIFFQUANT_STATUS_NON_FINITE, "w", "47");
    CHECK_REFUSED(diffquant_quantizer_forward_dynamic(pair.rotated, w, N, codes, NULL, scales, ROWS),
                  DIFFQUANT_STATUS_NON_FINITE, "w", "47");
    CHECK(still_untouched(scales, sizeof scales));
    pair_free(&pair);
}

/* Without a shape a row is a channel, or the whole tensor; with one it is the last dimension, whatever shares a scale. */
TEST(a_row_is_the_last_dimension_or_a_channel_or_the_tensor) {
    static float w[MOST_ELEMENTS], values[MOST_ELEMENTS], expected[MOST_ELEMENTS];
    fill_weights(w, MOST_ELEMENTS, 6, false);
    for (size_t i = 0; i < granular_case_count; i++) {
        const struct granular_case *one = &granular_cases[i];
        const size_t n = granular_elements(one);
        diffquant_quantizer *plain = granular_quantizer(one, 8), *rotated = granular_quantizer(one, 8);
        const size_t length = one->shape[one->ndim - 1];
        diffquant_rotation *rotation = NULL;
        check_context("%s", one->name);
        REQUIRE_OK(diffquant_rotation_new(length, 0, &rotation));
        memcpy(expected, w, n * sizeof(float));
        REQUIRE_OK(diffquant_rotation_apply(rotation, expected, n));
        REQUIRE_OK(diffquant_quantizer_forward(plain, expected, n, NULL, expected));
        REQUIRE_OK(diffquant_rotation_apply_transpose(rotation, expected, n));
        REQUIRE_OK(diffquant_quantizer_set_incoherence(rotated, 1));
        CHECK_OK(diffquant_quantizer_forward(rotated, w, n, NULL, values));
        CHECK_FLOATS(values, expected, n);
        diffquant_rotation_free(rotation);
        diffquant_quantizer_free(plain);
        diffquant_quantizer_free(rotated);
    }

    static const float scales[] = {0.1f, 0.2f, 0.3f};
    for (size_t channels = 1; channels <= 3; channels += 2) {
        diffquant_quantizer *plain = channel_quantizer(8, scales, channels), *rotated = NULL;
        diffquant_rotation *rotation = NULL;
        check_context("%zu channels", channels);
        REQUIRE_OK(diffquant_quantizer_clone(plain, &rotated));
        REQUIRE_OK(diffquant_quantizer_set_incoherence(rotated, 1));
        for (size_t n = 30; n <= 300; n *= 10) {
            REQUIRE_OK(diffquant_rotation_new(n / channels, 0, &rotation));
            memcpy(expected, w, n * sizeof(float));
            REQUIRE_OK(diffquant_rotation_apply(rotation, expected, n));
            REQUIRE_OK(diffquant_quantizer_forward(plain, expected, n, NULL, expected));
            REQUIRE_OK(diffquant_rotation_apply_transpose(rotation, expected, n));
            CHECK_OK(diffquant_quantizer_forward(rotated, w, n, NULL, values));
            CHECK_FLOATS(values, expected, n);
            diffquant_rotation_free(rotation);
        }
        diffquant_quantizer_free(plain);
        diffquant_quantizer_free(rotated);
    }
}

TEST(a_configuration_asks_for_incoherence_and_a_setter_starts_and_stops_it) {
    diffquant_config *config = NULL;
    diffquant_quantizer *quantizer = NULL;
    uint32_t incoherence = 99;
    uint64_t number = 99;
    REQUIRE_OK(diffquant_config_new_preset(DIFFQUANT_PRESET_PIQ2, &config));
    REQUIRE_OK(diffquant_quantizer_new(config, &quantizer));
    CHECK_OK(diffquant_quantizer_incoherence(quantizer, &incoherence));
    CHECK_UINT(incoherence, 1);
    CHECK_OK(diffquant_quantizer_rotation_seed(quantizer, &number));
    CHECK_UINT(number, 0);
    CHECK_OK(diffquant_quantizer_set_rotation_seed(quantizer, UINT64_MAX));
    CHECK_OK(diffquant_quantizer_rotation_seed(quantizer, &number));
    CHECK_UINT(number, UINT64_MAX);
    const struct quantizer_state before = state_of(quantizer);
    CHECK_REFUSED(diffquant_quantizer_set_incoherence(quantizer, 2), DIFFQUANT_STATUS_INVALID_ARGUMENT, "incoherence",
                  "2");
    CHECK_REFUSED(diffquant_quantizer_set_incoherence(NULL, 0), DIFFQUANT_STATUS_NULL_POINTER, "quantizer");
    CHECK_REFUSED(diffquant_quantizer_set_rotation_seed(NULL, 0), DIFFQUANT_STATUS_NULL_POINTER, "quantizer");
    CHECK_REFUSED(diffquant_quantizer_incoherence(NULL, &incoherence), DIFFQUANT_STATUS_NULL_POINTER, "quantizer");
    CHECK_REFUSED(diffquant_quantizer_incoherence(quantizer, NULL), DIFFQUANT_STATUS_NULL_POINTER, "out");
    CHECK_REFUSED(diffquant_quantizer_rotation_seed(NULL, &number), DIFFQUANT_STATUS_NULL_POINTER, "quantizer");
    CHECK_REFUSED(diffquant_quantizer_rotation_seed(quantizer, NULL), DIFFQUANT_STATUS_NULL_POINTER, "out");
    CHECK_STATE(quantizer, &before);
    CHECK_OK(diffquant_quantizer_set_incoherence(quantizer, 0));
    CHECK_OK(diffquant_quantizer_incoherence(quantizer, &incoherence));
    CHECK_UINT(incoherence, 0);
    diffquant_quantizer_free(quantizer);

    REQUIRE_OK(diffquant_config_set_use_incoherence(config, 0));
    REQUIRE_OK(diffquant_quantizer_new(config, &quantizer));
    CHECK_OK(diffquant_quantizer_incoherence(quantizer, &incoherence));
    CHECK_UINT(incoherence, 0);
    diffquant_quantizer_free(quantizer);
    diffquant_config_free(config);
}
