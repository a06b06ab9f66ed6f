/* Code ranges: full, narrow, and unsigned codes kept in signed bytes. */

#include "granular.h"

static const struct {
    diffquant_code_range range;
    uint32_t bits;
    int32_t smallest, largest, zero_point;
} ranges[] = {
    {DIFFQUANT_CODE_RANGE_FULL, 2, -2, 1, 0},         {DIFFQUANT_CODE_RANGE_FULL, 4, -8, 7, 0},
    {DIFFQUANT_CODE_RANGE_FULL, 8, -128, 127, 0},     {DIFFQUANT_CODE_RANGE_NARROW, 2, -1, 1, 0},
    {DIFFQUANT_CODE_RANGE_NARROW, 4, -7, 7, 0},       {DIFFQUANT_CODE_RANGE_NARROW, 8, -127, 127, 0},
    {DIFFQUANT_CODE_RANGE_UNSIGNED, 2, -2, 1, -2},    {DIFFQUANT_CODE_RANGE_UNSIGNED, 4, -8, 7, -8},
    {DIFFQUANT_CODE_RANGE_UNSIGNED, 5, -16, 15, -16}, {DIFFQUANT_CODE_RANGE_UNSIGNED, 8, -128, 127, -128},
};

TEST(a_range_can_be_changed_and_asked_and_says_its_bounds) {
    static const float scales[] = {0.5f, 0.25f, 2.0f};
    for (size_t i = 0; i < COUNT(ranges); i++) {
        diffquant_quantizer *quantizer = channel_quantizer(ranges[i].bits, scales, 3);
        struct quantizer_state expected = state_of(quantizer);
        diffquant_code_range range = 99;
        int32_t smallest = 999, largest = 999;
        check_context("range %u, %u bits", ranges[i].range, ranges[i].bits);
        CHECK_UINT(expected.code_range, DIFFQUANT_CODE_RANGE_FULL);
        CHECK_OK(diffquant_quantizer_set_code_range(quantizer, ranges[i].range));
        CHECK_OK(diffquant_quantizer_code_range(quantizer, &range));
        CHECK_UINT(range, ranges[i].range);
        CHECK_OK(diffquant_quantizer_code_bounds(quantizer, &smallest, &largest));
        CHECK_INT(smallest, ranges[i].smallest);
        CHECK_INT(largest, ranges[i].largest);
        expected.code_range = ranges[i].range;
        expected.smallest = ranges[i].smallest;
        expected.largest = ranges[i].largest;
        for (size_t scale = 0; scale < 3; scale++) {
            expected.zero_points[scale] = ranges[i].zero_point;
        }
        CHECK_STATE(quantizer, &expected);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(a_range_that_is_not_known_leaves_the_old_one) {
    static const uint32_t unknown[] = {3, 256, UINT32_MAX};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    REQUIRE_OK(diffquant_quantizer_set_code_range(quantizer, DIFFQUANT_CODE_RANGE_UNSIGNED));
    const struct quantizer_state before = state_of(quantizer);
    for (size_t i = 0; i < COUNT(unknown); i++) {
        CHECK_REFUSED(diffquant_quantizer_set_code_range(quantizer, unknown[i]), DIFFQUANT_STATUS_UNKNOWN_CONSTANT,
                      "range", decimal(unknown[i]).text);
        CHECK_STATE(quantizer, &before);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(a_change_of_range_takes_free_zero_points_home) {
    static const float scales[] = {0.5f, 0.25f};
    static const int32_t zero_points[] = {3, -5}, at_home[] = {0, 0}, at_unsigned_home[] = {-8, -8};
    diffquant_quantizer *quantizer = channel_quantizer(4, scales, 2);
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, zero_points, 2));
    CHECK_OK(diffquant_quantizer_set_code_range(quantizer, DIFFQUANT_CODE_RANGE_UNSIGNED));
    CHECK_INTS(state_of(quantizer).zero_points, at_unsigned_home, 2);
    REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, zero_points, 2));
    CHECK_OK(diffquant_quantizer_set_code_range(quantizer, DIFFQUANT_CODE_RANGE_NARROW));
    CHECK_INTS(state_of(quantizer).zero_points, at_home, 2);
    CHECK_FLOATS(state_of(quantizer).scales, scales, 2);
    CHECK_UINT(state_of(quantizer).symmetric, 0);
    diffquant_quantizer_free(quantizer);
}

TEST(codes_are_cut_at_the_ends_of_the_range) {
    /* Step 0.5 at 3 bits. Full: -4 to 3. Narrow: -3 to 3. Unsigned: 0 to 7, kept as -4 to 3, which stand for 0 to 3.5.
     */
    enum { N = 9 };
    static const float w[N] = {0.0f, 0.5f, -0.5f, 1.3f, -1.8f, 100.0f, -100.0f, NAN, 3.2f};
    static const struct {
        diffquant_code_range range;
        int8_t codes[N];
        float values[N];
    } cases[] = {
        {DIFFQUANT_CODE_RANGE_FULL,
         {0, 1, -1, 3, -4, 3, -4, 0, 3},
         {0.0f, 0.5f, -0.5f, 1.5f, -2.0f, 1.5f, -2.0f, 0.0f, 1.5f}},
        {DIFFQUANT_CODE_RANGE_NARROW,
         {0, 1, -1, 3, -3, 3, -3, 0, 3},
         {0.0f, 0.5f, -0.5f, 1.5f, -1.5f, 1.5f, -1.5f, 0.0f, 1.5f}},
        {DIFFQUANT_CODE_RANGE_UNSIGNED,
         {-4, -3, -4, -1, -4, 3, -4, -4, 2},
         {0.0f, 0.5f, 0.0f, 1.5f, 0.0f, 3.5f, 0.0f, 0.0f, 3.0f}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int8_t codes[N];
        float values[N], again[N];
        diffquant_quantizer *quantizer = uniform_quantizer(3, 0.5f);
        REQUIRE_OK(diffquant_quantizer_set_code_range(quantizer, cases[i].range));
        check_context("range %u", cases[i].range);
        CHECK_OK(diffquant_quantizer_forward(quantizer, w, N, codes, values));
        CHECK_CODES(codes, cases[i].codes, N);
        CHECK_FLOATS(values, cases[i].values, N);
        CHECK_OK(diffquant_quantizer_dequantize(quantizer, codes, N, again));
        CHECK_FLOATS(again, cases[i].values, N);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(a_narrow_range_of_2_bits_is_ternary) {
    static const float w[] = {0.49f, 0.5f, -0.5f, -7.0f, 7.0f, 0.0f};
    static const int8_t expected[] = {0, 1, -1, -1, 1, 0};
    int8_t codes[6];
    diffquant_quantizer *quantizer = uniform_quantizer(2, 1.0f);
    REQUIRE_OK(diffquant_quantizer_set_code_range(quantizer, DIFFQUANT_CODE_RANGE_NARROW));
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, 6, codes, NULL));
    CHECK_CODES(codes, expected, 6);
    diffquant_quantizer_free(quantizer);
}

TEST(calibration_fits_the_largest_code_of_the_range) {
    /* 4 bits, 15 the largest magnitude: 7.5 steps of 2 with 7 levels above 0; unsigned there are 15, so 15 / 15.5. */
    static const float w[] = {1.0f, -15.0f, 2.0f};
    static const float expected[] = {2.0f, 2.0f, 15.0f / 15.5f};
    for (diffquant_code_range range = 0; range <= DIFFQUANT_CODE_RANGE_UNSIGNED; range++) {
        diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
        REQUIRE_OK(diffquant_quantizer_set_code_range(quantizer, range));
        check_context("range %u", range);
        CHECK_OK(diffquant_quantizer_init_scale(quantizer, w, 3));
        CHECK_FLOAT(state_of(quantizer).scales[0], expected[range]);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(the_reference_gradient_of_the_scale_counts_levels_from_the_zero_point) {
    /* Unsigned, 4 bits: levels 3, 0 and 15; 3 - 0 + 30 = 33 and 0 for the NaN, over sqrt(4 * 16) = 8. */
    static const float w[] = {3.0f, -2.0f, 99.0f, NAN}, g[] = {1.0f, 5.0f, 2.0f, 7.0f};
    float grad_scale = 99.0f;
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    REQUIRE_OK(diffquant_quantizer_set_code_range(quantizer, DIFFQUANT_CODE_RANGE_UNSIGNED));
    CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, 4, NULL, &grad_scale));
    CHECK_FLOAT(grad_scale, 4.125f);
    diffquant_quantizer_free(quantizer);
}

TEST(a_pi_quantizer_has_ranges_too) {
    static const float levels[] = {0.0f, 1.0f, 6.0f, 7.0f, 8.0f, -1.0f};
    static const int8_t expected[] = {-4, -3, 2, 3, 3, -4};
    float w[6], values[6];
    int8_t codes[6];
    diffquant_quantizer *quantizer = NULL;
    REQUIRE_OK(diffquant_quantizer_new_pi(3, 4, &quantizer));
    REQUIRE_OK(diffquant_quantizer_set_code_range(quantizer, DIFFQUANT_CODE_RANGE_UNSIGNED));
    const float step = state_of(quantizer).steps[0];
    for (size_t i = 0; i < 6; i++) {
        w[i] = levels[i] * step;
    }
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, 6, codes, values));
    CHECK_CODES(codes, expected, 6);
    for (size_t i = 0; i < 6; i++) {
        CHECK_FLOAT(values[i], (float)(expected[i] + 4) * step);
    }
    diffquant_quantizer_free(quantizer);
}
