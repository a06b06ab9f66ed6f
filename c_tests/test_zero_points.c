/* Zero points and offsets: which code stands for 0, and what is added to every value. */

#include "granular.h"

static const float three_scales[] = {0.5f, 0.25f, 2.0f};

static diffquant_quantizer *asymmetric_quantizer(uint32_t bits, const int32_t *zero_points) {
    diffquant_quantizer *quantizer = channel_quantizer(bits, three_scales, 3);
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, zero_points, 3));
    return quantizer;
}

/* ---- Symmetry ---------------------------------------------------------------------------------------------------- */

TEST(a_quantizer_is_symmetric_until_it_is_told_otherwise) {
    static const int32_t zero_points[] = {1, -8, 7}, home[] = {0, 0, 0};
    uint32_t symmetric = 99;
    diffquant_quantizer *quantizer = channel_quantizer(4, three_scales, 3);
    CHECK_OK(diffquant_quantizer_symmetric(quantizer, &symmetric));
    CHECK_UINT(symmetric, 1);
    CHECK_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    CHECK_OK(diffquant_quantizer_symmetric(quantizer, &symmetric));
    CHECK_UINT(symmetric, 0);
    CHECK_INTS(state_of(quantizer).zero_points, home, 3);
    CHECK_OK(diffquant_quantizer_set_zero_points(quantizer, zero_points, 3));
    /* Freeing what is free leaves it. */
    CHECK_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    CHECK_INTS(state_of(quantizer).zero_points, zero_points, 3);
    /* Fixing takes them home. */
    CHECK_OK(diffquant_quantizer_set_symmetric(quantizer, 1));
    CHECK_INTS(state_of(quantizer).zero_points, home, 3);
    CHECK_FLOATS(state_of(quantizer).scales, three_scales, 3);
    diffquant_quantizer_free(quantizer);
}

TEST(neither_yes_nor_no_leaves_the_symmetry) {
    static const uint32_t bad[] = {2, 255, 256, UINT32_MAX};
    static const int32_t zero_points[] = {1, 2, 3};
    diffquant_quantizer *quantizer = asymmetric_quantizer(4, zero_points);
    const struct quantizer_state before = state_of(quantizer);
    for (size_t i = 0; i < COUNT(bad); i++) {
        CHECK_REFUSED(diffquant_quantizer_set_symmetric(quantizer, bad[i]), DIFFQUANT_STATUS_INVALID_ARGUMENT,
                      "symmetric", decimal(bad[i]).text);
        CHECK_STATE(quantizer, &before);
    }
    diffquant_quantizer_free(quantizer);
}

/* ---- Setting and getting ----------------------------------------------------------------------------------------- */

TEST(zero_points_are_given_back_and_nothing_beside_them) {
    static const int32_t zero_points[] = {-8, 0, 7};
    diffquant_quantizer *quantizer = asymmetric_quantizer(4, zero_points);
    struct guarded out = guarded_new(sizeof zero_points);
    CHECK_OK(diffquant_quantizer_zero_points(quantizer, out.data, 3));
    CHECK_INTS((int32_t *)out.data, zero_points, 3);
    CHECK_GUARDS(&out);
    guarded_free(&out);
    diffquant_quantizer_free(quantizer);
}

TEST(another_number_of_zero_points_or_offsets_is_refused_both_ways) {
    static const size_t counts[] = {0, 1, 2, 4, 300};
    static const int32_t zero_points[300] = {1}, good[] = {1, 2, 3};
    static const float offsets[300] = {1.0f};
    diffquant_quantizer *quantizer = asymmetric_quantizer(4, good);
    const struct quantizer_state before = state_of(quantizer);
    struct guarded out = guarded_new(300 * sizeof(float));
    for (size_t i = 0; i < COUNT(counts); i++) {
        const struct decimal text = decimal(counts[i]);
        check_context("%zu of them", counts[i]);
        CHECK_REFUSED(diffquant_quantizer_zero_points(quantizer, out.data, counts[i]), DIFFQUANT_STATUS_LENGTH_MISMATCH,
                      "out", text.text, "3");
        CHECK_REFUSED(diffquant_quantizer_offsets(quantizer, out.data, counts[i]), DIFFQUANT_STATUS_LENGTH_MISMATCH,
                      "out", text.text, "3");
        CHECK_REFUSED(diffquant_quantizer_set_zero_points(quantizer, zero_points, counts[i]),
                      DIFFQUANT_STATUS_LENGTH_MISMATCH, "zero_points", text.text, "3");
        CHECK_REFUSED(diffquant_quantizer_set_offsets(quantizer, offsets, counts[i]), DIFFQUANT_STATUS_LENGTH_MISMATCH,
                      "offsets", text.text, "3");
    }
    CHECK_UNTOUCHED(&out);
    CHECK_STATE(quantizer, &before);
    guarded_free(&out);
    diffquant_quantizer_free(quantizer);
}

TEST(one_zero_point_that_is_no_code_changes_none_wherever_it_is) {
    static const struct {
        uint32_t bits;
        diffquant_code_range range;
        int32_t bad;
        const char *text;
    } cases[] = {
        {4, DIFFQUANT_CODE_RANGE_FULL, 8, "8"},
        {4, DIFFQUANT_CODE_RANGE_FULL, -9, "-9"},
        {4, DIFFQUANT_CODE_RANGE_NARROW, -8, "-8"},
        {4, DIFFQUANT_CODE_RANGE_UNSIGNED, 15, "15"},
        {8, DIFFQUANT_CODE_RANGE_FULL, 128, "128"},
        {8, DIFFQUANT_CODE_RANGE_FULL, 256, "256"},
        {8, DIFFQUANT_CODE_RANGE_NARROW, -128, "-128"},
        {2, DIFFQUANT_CODE_RANGE_FULL, INT32_MAX, "2147483647"},
        {2, DIFFQUANT_CODE_RANGE_FULL, INT32_MIN, "-2147483648"},
    };
    static const int32_t good[] = {1, -1, 0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        diffquant_quantizer *quantizer = asymmetric_quantizer(cases[i].bits, good);
        REQUIRE_OK(diffquant_quantizer_set_code_range(quantizer, cases[i].range));
        REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, good, 3));
        const struct quantizer_state before = state_of(quantizer);
        for (size_t at = 0; at < 3; at++) {
            int32_t zero_points[] = {0, 1, 1};
            zero_points[at] = cases[i].bad;
            check_context("case %zu at %zu", i, at);
            CHECK_REFUSED(diffquant_quantizer_set_zero_points(quantizer, zero_points, 3),
                          DIFFQUANT_STATUS_INVALID_ARGUMENT, "zero_points", cases[i].text, decimal(at).text);
            CHECK_STATE(quantizer, &before);
        }
        diffquant_quantizer_free(quantizer);
    }
}

TEST(a_symmetric_quantizer_has_no_zero_point_to_set) {
    static const int32_t zero_points[] = {0, 0, 0};
    diffquant_quantizer *quantizer = channel_quantizer(4, three_scales, 3);
    const struct quantizer_state before = state_of(quantizer);
    CHECK_REFUSED(diffquant_quantizer_set_zero_points(quantizer, zero_points, 3), DIFFQUANT_STATUS_NOT_APPLICABLE,
                  "zero point", "symmetric");
    CHECK_STATE(quantizer, &before);
    diffquant_quantizer_free(quantizer);
}

TEST(offsets_are_given_back_and_nothing_beside_them) {
    static const float offsets[] = {-0.5f, 1e30f, 0.0f}, zeros[] = {0.0f, 0.0f, 0.0f};
    diffquant_quantizer *quantizer = channel_quantizer(4, three_scales, 3);
    struct guarded out = guarded_new(sizeof offsets);
    CHECK_OK(diffquant_quantizer_offsets(quantizer, out.data, 3));
    CHECK_FLOATS((float *)out.data, zeros, 3);
    CHECK_OK(diffquant_quantizer_set_offsets(quantizer, offsets, 3));
    CHECK_OK(diffquant_quantizer_offsets(quantizer, out.data, 3));
    CHECK_FLOATS((float *)out.data, offsets, 3);
    CHECK_GUARDS(&out);
    guarded_free(&out);
    diffquant_quantizer_free(quantizer);
}

TEST(one_offset_that_is_not_finite_changes_none_wherever_it_is) {
    static const struct {
        float bad;
        const char *text;
    } cases[] = {{NAN, "NaN"}, {INFINITY, "inf"}, {-INFINITY, "-inf"}};
    static const float good[] = {1.0f, -2.0f, 3.0f};
    diffquant_quantizer *quantizer = channel_quantizer(4, three_scales, 3);
    REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, good, 3));
    const struct quantizer_state before = state_of(quantizer);
    for (size_t i = 0; i < COUNT(cases) * 3; i++) {
        float offsets[] = {4.0f, 5.0f, 6.0f};
        offsets[i % 3] = cases[i / 3].bad;
        check_context("%s at %zu", cases[i / 3].text, i % 3);
        CHECK_REFUSED(diffquant_quantizer_set_offsets(quantizer, offsets, 3), DIFFQUANT_STATUS_INVALID_ARGUMENT,
                      "offsets", cases[i / 3].text, decimal(i % 3).text);
        CHECK_STATE(quantizer, &before);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(a_scale_can_be_changed_without_its_zero_point_and_offset) {
    static const int32_t zero_points[] = {3, -2, 1};
    static const float offsets[] = {0.5f, -1.0f, 2.0f}, scales[] = {4.0f, 5.0f, 6.0f};
    diffquant_quantizer *quantizer = asymmetric_quantizer(4, zero_points);
    REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, offsets, 3));
    CHECK_OK(diffquant_quantizer_set_scales(quantizer, scales, 3));
    CHECK_OK(diffquant_quantizer_set_scale(quantizer, 1, 7.0f));
    CHECK_INTS(state_of(quantizer).zero_points, zero_points, 3);
    CHECK_FLOATS(state_of(quantizer).offsets, offsets, 3);
    diffquant_quantizer_free(quantizer);
}

/* ---- What they do ------------------------------------------------------------------------------------------------ */

TEST(a_zero_point_moves_the_codes_and_what_they_can_reach) {
    /* Step 1, 3 bits, codes -4 to 3. Zero point 2: levels -6 to 1. Zero point -4: levels 0 to 7. */
    static const float scale = 1.0f, w[] = {0.0f, 1.0f, 2.0f, -6.0f, -7.0f, -1.5f, NAN, INFINITY, -INFINITY, 6.5f};
    static const struct {
        int32_t zero_point;
        int8_t codes[10];
        float values[10];
    } cases[] = {
        {2, {2, 3, 3, -4, -4, 0, 2, 3, -4, 3}, {0.0f, 1.0f, 1.0f, -6.0f, -6.0f, -2.0f, 0.0f, 1.0f, -6.0f, 1.0f}},
        {-4, {-4, -3, -2, -4, -4, -4, -4, 3, -4, 3}, {0.0f, 1.0f, 2.0f, 0.0f, 0.0f, 0.0f, 0.0f, 7.0f, 0.0f, 7.0f}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int8_t codes[10];
        float values[10], again[10];
        diffquant_quantizer *quantizer = channel_quantizer(3, &scale, 1);
        REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
        REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, &cases[i].zero_point, 1));
        check_context("zero point %d", cases[i].zero_point);
        CHECK_OK(diffquant_quantizer_forward(quantizer, w, 10, codes, values));
        CHECK_CODES(codes, cases[i].codes, 10);
        CHECK_FLOATS(values, cases[i].values, 10);
        CHECK_OK(diffquant_quantizer_dequantize(quantizer, codes, 10, again));
        CHECK_FLOATS(again, cases[i].values, 10);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(a_zero_point_is_added_after_rounding) {
    /* 2.5 rounds to even 2, then 2 + 1; rounded after the sum it would be 3.5, to even 4. */
    static const float scale = 1.0f, w[] = {2.5f, -2.5f};
    static const int32_t zero_point = 1;
    static const int8_t expected[] = {3, -1};
    int8_t codes[2];
    diffquant_quantizer *quantizer = channel_quantizer(4, &scale, 1);
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_HALF_EVEN));
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, &zero_point, 1));
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, 2, codes, NULL));
    CHECK_CODES(codes, expected, 2);
    diffquant_quantizer_free(quantizer);
}

TEST(an_offset_moves_the_values_and_not_the_codes) {
    /* Step 0.5, offset 10: 10 is code 0, 11.5 code 3 and the last at 3 bits. */
    static const float scale = 0.5f, offset = 10.0f;
    static const float w[] = {10.0f, 10.5f, 9.0f, 0.0f, 99.0f, NAN},
                       expected[] = {10.0f, 10.5f, 9.0f, 8.0f, 11.5f, 10.0f};
    static const int8_t expected_codes[] = {0, 1, -2, -4, 3, 0}, beyond = 100;
    int8_t codes[6];
    float values[6], far = 99.0f;
    diffquant_quantizer *quantizer = channel_quantizer(3, &scale, 1);
    REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, &offset, 1));
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, 6, codes, values));
    CHECK_CODES(codes, expected_codes, 6);
    CHECK_FLOATS(values, expected, 6);
    CHECK_OK(diffquant_quantizer_dequantize(quantizer, codes, 6, values));
    CHECK_FLOATS(values, expected, 6);
    CHECK_OK(diffquant_quantizer_dequantize(quantizer, &beyond, 1, &far));
    CHECK_FLOAT(far, 60.0f);
    diffquant_quantizer_free(quantizer);
}

TEST(the_seed_estimators_see_values_with_zero_point_and_offset) {
    /* EWGS: g * (1 + lambda * |w - value|). 10.75 lies 0.75 above its value, the largest. */
    static const float scale = 0.5f, offset = 10.0f, w[] = {10.75f, 12.5f}, g[] = {2.0f, -4.0f};
    static const int32_t zero_point = 3; /* codes -4 to 3 reach from 10 - 3.5 to 10 */
    static const float expected[] = {2.0f * (1.0f + 0.5f * 0.75f), -4.0f * (1.0f + 0.5f * 2.5f)};
    float grad_w[2], values[2];
    diffquant_quantizer *quantizer = channel_quantizer(3, &scale, 1);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_EWGS, 0.5f));
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, &zero_point, 1));
    REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, &offset, 1));
    REQUIRE_OK(diffquant_quantizer_forward(quantizer, w, 2, NULL, values));
    CHECK_FLOAT(values[0], 10.0f);
    CHECK_OK(diffquant_quantizer_backward(quantizer, w, NULL, g, 2, grad_w));
    CHECK_FLOATS(grad_w, expected, 2);
    CHECK_OK(diffquant_quantizer_backward(quantizer, w, values, g, 2, grad_w));
    CHECK_FLOATS(grad_w, expected, 2);
    diffquant_quantizer_free(quantizer);
}
