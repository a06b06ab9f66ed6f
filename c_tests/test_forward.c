/* Forward: code = clamp(round(w / step)), value = code * step. The numbers are worked out by hand. */

#include "support.h"

#include <float.h>

struct forward_case {
    float w;
    int8_t away, even; /* the code in each rounding mode */
};

/* Runs both modes over the whole table at once, and checks the values against code * step. */
static void check_table(diffquant_quantizer *quantizer, const struct forward_case *cases, size_t n) {
    enum { MOST = 64 };
    float w[MOST], values[MOST], expected_values[MOST];
    int8_t codes[MOST], expected[MOST];
    REQUIRE(n <= MOST);
    const float step = state_of(quantizer).steps[0];
    for (uint32_t rounding = DIFFQUANT_ROUNDING_HALF_AWAY; rounding <= DIFFQUANT_ROUNDING_HALF_EVEN; rounding++) {
        for (size_t i = 0; i < n; i++) {
            w[i] = cases[i].w;
            expected[i] = rounding == DIFFQUANT_ROUNDING_HALF_AWAY ? cases[i].away : cases[i].even;
            expected_values[i] = (float)expected[i] * step; /* +0.0 for code 0, whatever the sign of w */
        }
        REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, rounding));
        touch_not(codes, sizeof codes);
        touch_not(values, sizeof values);
        CHECK_OK(diffquant_quantizer_forward(quantizer, w, n, codes, values));
        CHECK_CODES(codes, expected, n);
        CHECK_FLOATS(values, expected_values, n);
    }
}

/* ---- Rounding ---------------------------------------------------------------------------------------------------- */

TEST(ties_go_away_from_zero_or_to_the_even_code) {
    /* 3 bits: codes -4 to 3; step 0.5, so that w / step is 2 w. */
    static const struct forward_case cases[] = {
        {0.25f, 1, 0},    {-0.25f, -1, 0},  /* 0.5 */
        {0.75f, 2, 2},    {-0.75f, -2, -2}, /* 1.5 */
        {1.25f, 3, 2},    {-1.25f, -3, -2}, /* 2.5 */
        {-1.75f, -4, -4}, {1.75f, 3, 3},    /* 3.5: 4 is past the range */
    };
    diffquant_quantizer *quantizer = uniform_quantizer(3, 0.5f);
    check_table(quantizer, cases, COUNT(cases));
    diffquant_quantizer_free(quantizer);
}

TEST(only_a_tie_is_a_tie) {
    /* Step 1: the neighbours of 0.5, 1.5 and 2.5 go to the nearest code in both modes. */
    static const struct forward_case cases[] = {
        {0x1.fffffep-2f, 0, 0}, {-0x1.fffffep-2f, 0, 0},
        {0x1.000002p-1f, 1, 1}, {-0x1.000002p-1f, -1, -1},
        {0x1.7ffffep+0f, 1, 1}, {-0x1.7ffffep+0f, -1, -1},
        {0x1.800002p+0f, 2, 2}, {-0x1.800002p+0f, -2, -2},
        {0x1.3ffffep+1f, 2, 2}, {-0x1.3ffffep+1f, -2, -2},
        {0x1.400002p+1f, 3, 3}, {-0x1.400002p+1f, -3, -3},
        {0.0f, 0, 0},           {-0.0f, 0, 0},
        {1.0f, 1, 1},           {-1.0f, -1, -1},
        {0x1.fffffep-1f, 1, 1}, {0x1.000002p+0f, 1, 1},
        {7.0f, 7, 7},           {-8.0f, -8, -8},
    };
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    check_table(quantizer, cases, COUNT(cases));
    diffquant_quantizer_free(quantizer);
}

TEST(the_quotient_is_the_one_of_ieee_single_precision) {
    static const struct {
        float step;
        struct forward_case one;
    } cases[] = {
        /* Exactly 2.49999996, which as a float is 2.5: double precision would give 2. */
        {0.1f, {0.25f, 3, 2}},
        /* The quotient is the largest float below the tie; times 1 / step it would be the tie. */
        {0.1f, {0x1.4ccccc0p-1f, 6, 6}},
        {0.3f, {0x1.a666660p+0f, 5, 5}},
        {0.7f, {0x1.bffffe0p+0f, 2, 2}},
        {0.9f, {0x1.5999980p+0f, 1, 1}},
        {0.9f, {-0x1.affffe0p+2f, -7, -7}},
        /* The quotient is the tie; times 1 / step it would be below. */
        {0.55f, {0x1.a666660p-1f, 2, 2}},
        {0.55f, {-0x1.0800000p+2f, -8, -8}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        diffquant_quantizer *quantizer = uniform_quantizer(4, cases[i].step);
        check_context("case %zu", i);
        check_table(quantizer, &cases[i].one, 1);
        diffquant_quantizer_free(quantizer);
    }
}

/* ---- The range --------------------------------------------------------------------------------------------------- */

TEST(codes_stop_at_both_ends_of_the_range_for_every_width) {
    for (uint32_t bits = 2; bits <= 8; bits++) {
        const float half = (float)(1 << (bits - 1));
        const int8_t min = (int8_t)-(1 << (bits - 1)), max = (int8_t)((1 << (bits - 1)) - 1);
        const struct forward_case cases[] = {
            {half - 1.0f, max, max},
            {half - 0.5f, max, max}, /* would round to half */
            {half, max, max},
            {half + 100.0f, max, max},
            {half - 2.0f, (int8_t)(max - 1), (int8_t)(max - 1)},
            {-half, min, min},
            {-half - 0.25f, min, min},
            {-half - 0.5f, min, min},
            {-half - 100.0f, min, min},
            {-half + 1.0f, (int8_t)(min + 1), (int8_t)(min + 1)},
            {1e10f, max, max},
            {-1e10f, min, min},
            {4194304.5f, max, max}, /* past what a rounding by adding 2^23 can do */
            {-16777217.0f, min, min},
        };
        check_context("%u bits", bits);
        diffquant_quantizer *quantizer = uniform_quantizer(bits, 1.0f);
        check_table(quantizer, cases, COUNT(cases));
        diffquant_quantizer_free(quantizer);
    }
}

TEST(nan_gives_code_0_infinities_saturate_and_no_value_is_minus_zero) {
    static const struct forward_case cases[] = {
        {NAN, 0, 0},        {-NAN, 0, 0},         {INFINITY, 3, 3},      {-INFINITY, -4, -4},
        {-0.0f, 0, 0},      {-0.2f, 0, 0},        {-0.25f, -1, 0},       {FLT_MAX, 3, 3},
        {-FLT_MAX, -4, -4}, {FLT_TRUE_MIN, 0, 0}, {-FLT_TRUE_MIN, 0, 0}, {-FLT_MIN, 0, 0},
    };
    diffquant_quantizer *quantizer = uniform_quantizer(3, 0.5f);
    check_table(quantizer, cases, COUNT(cases));
    diffquant_quantizer_free(quantizer);
}

TEST(a_signalling_nan_is_a_nan) {
    const uint32_t bits = 0x7fa00001u;
    float w, value = 99.0f;
    int8_t code = 99;
    memcpy(&w, &bits, sizeof w);
    diffquant_quantizer *quantizer = uniform_quantizer(3, 0.5f);
    CHECK_OK(diffquant_quantizer_forward(quantizer, &w, 1, &code, &value));
    CHECK_INT(code, 0);
    CHECK_FLOAT(value, 0.0f);
    diffquant_quantizer_free(quantizer);
}

TEST(the_extremes_of_scales_give_codes_like_any_other) {
    static const struct {
        float step;
        struct forward_case one;
    } cases[] = {
        {FLT_TRUE_MIN, {0.0f, 0, 0}},    {FLT_TRUE_MIN, {2 * FLT_TRUE_MIN, 2, 2}},
        {FLT_TRUE_MIN, {1.0f, 7, 7}}, /* the quotient is infinite */
        {FLT_TRUE_MIN, {-1.0f, -8, -8}}, {FLT_MIN, {-3 * FLT_MIN, -3, -3}},
        {FLT_MAX, {FLT_MAX, 1, 1}},      {FLT_MAX, {1.0f, 0, 0}},
        {FLT_MAX, {-FLT_MAX, -1, -1}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        diffquant_quantizer *quantizer = uniform_quantizer(4, cases[i].step);
        check_context("case %zu", i);
        check_table(quantizer, &cases[i].one, 1);
        diffquant_quantizer_free(quantizer);
    }
}

/* ---- Groups and outputs ------------------------------------------------------------------------------------------ */

TEST(each_channel_is_quantized_with_its_own_step) {
    static const float scales[] = {0.5f, 0.25f, 2.0f};
    static const float w[] = {1.0f, -1.25f, 1.0f, -1.25f, 1.0f, -1.25f};
    static const int8_t codes[] = {2, -3, 4, -5, 1, -1};
    static const float values[] = {1.0f, -1.5f, 1.0f, -1.25f, 2.0f, -2.0f};
    diffquant_quantizer *quantizer = channel_quantizer(4, scales, 3);
    int8_t got_codes[6];
    float got_values[6];
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, 6, got_codes, got_values));
    CHECK_CODES(got_codes, codes, 6);
    CHECK_FLOATS(got_values, values, 6);
    diffquant_quantizer_free(quantizer);
}

TEST(a_pi_quantizer_rounds_to_multiples_of_alpha_times_pi_by_k) {
    /* 3 bits, k = 4, alpha 1: step = PI / 4 = 0.785398; w is n times PI / 8, so that odd n are ties. */
    static const struct forward_case cases[] = {
        {0x1.921fb6p-2f, 1, 0},
        {-0x1.921fb6p-2f, -1, 0},
        {0x1.921fb6p-1f, 1, 1},
        {0x1.921fb6p+0f, 2, 2},
        {-0x1.921fb6p+0f, -2, -2},
        {0x1.921fb6p+1f, 3, 3},
        {-0x1.921fb6p+1f, -4, -4},
        {-0x1.921fb6p+3f, -4, -4},
        {1.0f, 1, 1},
        {1.2f, 2, 2},
        {-2.7f, -3, -3},
        {-2.8f, -4, -4},
    };
    diffquant_quantizer *quantizer = NULL;
    REQUIRE_OK(diffquant_quantizer_new_pi(3, 4, &quantizer));
    check_table(quantizer, cases, COUNT(cases));
    diffquant_quantizer_free(quantizer);
}

TEST(either_output_may_be_left_out) {
    static const float w[] = {1.25f, -0.25f, 100.0f};
    static const int8_t codes[] = {3, -1, 3};
    static const float values[] = {1.5f, -0.5f, 1.5f};
    diffquant_quantizer *quantizer = uniform_quantizer(3, 0.5f);
    int8_t got_codes[3];
    float got_values[3];
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, 3, got_codes, NULL));
    CHECK_CODES(got_codes, codes, 3);
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, 3, NULL, got_values));
    CHECK_FLOATS(got_values, values, 3);
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, 3, NULL, NULL));
    diffquant_quantizer_free(quantizer);
}

TEST(forward_changes_neither_its_input_nor_the_quantizer) {
    float w[50], before[50];
    int8_t codes[50];
    float values[50];
    fill_weights(w, 50, 3, true);
    memcpy(before, w, sizeof w);
    diffquant_quantizer *quantizer = uniform_quantizer(3, 0.5f);
    const struct quantizer_state state = state_of(quantizer);
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, 50, codes, values));
    CHECK(memcmp(w, before, sizeof w) == 0);
    CHECK_STATE(quantizer, &state);
    diffquant_quantizer_free(quantizer);
}
