/* Forward with scales of the call's own: those of init_scale, for every granularity, and for any number of tokens. */

#include "granular.h"

#include <float.h>

/* Weights of different magnitudes for different scales, some groups all zero. */
static void fill_groups(float *w, const struct granular_case *one, size_t n, uint32_t seed) {
    fill_weights(w, n, seed, false);
    for (size_t i = 0; i < n; i++) {
        const size_t scale = granular_scale_of(one, i);
        w[i] *= scale % 7 == 3 ? 0.0f : 1.0f + (float)(scale % 4);
    }
}

/* ---- The same as init_scale and forward ---------------------------------------------------------------------------
 */

static void check_same_as_two_calls(const struct granular_case *one, diffquant_code_range range,
                                    diffquant_rounding rounding) {
    const size_t n = granular_elements(one);
    static float w[MOST_ELEMENTS], expected_values[MOST_ELEMENTS];
    static int8_t expected_codes[MOST_ELEMENTS];
    fill_groups(w, one, n, 77);
    diffquant_quantizer *quantizer = granular_quantizer(one, 4), *calibrated = NULL;
    REQUIRE_OK(diffquant_quantizer_set_code_range(quantizer, range));
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, rounding));
    REQUIRE_OK(diffquant_quantizer_clone(quantizer, &calibrated));
    REQUIRE_OK(diffquant_quantizer_init_scale(calibrated, w, n));
    REQUIRE_OK(diffquant_quantizer_forward(calibrated, w, n, expected_codes, expected_values));
    const struct quantizer_state expected = state_of(calibrated);

    /* What the quantizer has itself is neither used nor changed. */
    int32_t zero_points[MOST_SCALES];
    float offsets[MOST_SCALES];
    for (size_t i = 0; i < one->scales; i++) {
        zero_points[i] = (int32_t)(i % 5);
        offsets[i] = (float)i + 0.5f;
    }
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, zero_points, one->scales));
    REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, offsets, one->scales));
    const struct quantizer_state before = state_of(quantizer);

    struct guarded codes = guarded_new(n), values = guarded_new(n * sizeof(float)),
                   scales = guarded_new(one->scales * sizeof(float));
    CHECK_OK(diffquant_quantizer_forward_dynamic(quantizer, w, n, codes.data, values.data, scales.data, one->scales));
    CHECK_CODES((int8_t *)codes.data, expected_codes, n);
    CHECK_FLOATS((float *)values.data, expected_values, n);
    CHECK_FLOATS((float *)scales.data, expected.scales, one->scales);
    CHECK_GUARDS(&codes);
    CHECK_GUARDS(&values);
    CHECK_GUARDS(&scales);

    touch_not(codes.data, n);
    CHECK_OK(diffquant_quantizer_forward_dynamic(quantizer, w, n, codes.data, NULL, scales.data, one->scales));
    CHECK_CODES((int8_t *)codes.data, expected_codes, n);
    touch_not(values.data, n * sizeof(float));
    CHECK_OK(diffquant_quantizer_forward_dynamic(quantizer, w, n, NULL, values.data, scales.data, one->scales));
    CHECK_FLOATS((float *)values.data, expected_values, n);
    touch_not(scales.data, one->scales * sizeof(float));
    CHECK_OK(diffquant_quantizer_forward_dynamic(quantizer, w, n, NULL, NULL, scales.data, one->scales));
    CHECK_FLOATS((float *)scales.data, expected.scales, one->scales);
    touch_not(codes.data, n);
    CHECK_OK(diffquant_quantizer_forward_dynamic(quantizer, w, n, codes.data, w, scales.data, one->scales));
    CHECK_CODES((int8_t *)codes.data, expected_codes, n);
    CHECK_FLOATS(w, expected_values, n);
    CHECK_STATE(quantizer, &before);

    guarded_free(&codes);
    guarded_free(&values);
    guarded_free(&scales);
    diffquant_quantizer_free(calibrated);
    diffquant_quantizer_free(quantizer);
}

TEST(a_dynamic_forward_is_calibration_and_forward_without_a_trace) {
    for (size_t i = 0; i < granular_case_count; i++) {
        for (diffquant_code_range range = 0; range <= DIFFQUANT_CODE_RANGE_UNSIGNED; range++) {
            for (diffquant_rounding rounding = 0; rounding <= DIFFQUANT_ROUNDING_HALF_EVEN; rounding++) {
                check_context("%s, range %u, rounding %u", granular_cases[i].name, range, rounding);
                check_same_as_two_calls(&granular_cases[i], range, rounding);
            }
        }
    }
}

TEST(dynamic_scales_worked_out_by_hand) {
    /* 4 bits: the largest magnitude over 7.5. Tokens of 3: 7.5, 0 and 15. */
    static const size_t shape[] = {1, 3};
    static const float w[] = {7.5f, -1.0f, 2.5f, 0.0f, -0.0f, 0.0f, 3.0f, -15.0f, 2.9f};
    static const float expected_scales[] = {1.0f, 1.0f, 2.0f};
    static const float expected_values[] = {7.0f, -1.0f, 3.0f, 0.0f, 0.0f, 0.0f, 4.0f, -16.0f, 2.0f};
    static const int8_t expected_codes[] = {7, -1, 3, 0, 0, 0, 2, -8, 1};
    float scales[3], values[9];
    int8_t codes[9];
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.01f);
    REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, DIFFQUANT_GRANULARITY_PER_TOKEN, 0));
    REQUIRE_OK(diffquant_quantizer_set_shape(quantizer, shape, 2, 0));
    CHECK_OK(diffquant_quantizer_forward_dynamic(quantizer, w, 9, codes, values, scales, 3));
    CHECK_FLOATS(scales, expected_scales, 3);
    CHECK_CODES(codes, expected_codes, 9);
    CHECK_FLOATS(values, expected_values, 9);
    diffquant_quantizer_free(quantizer);
}

TEST(the_dynamic_scales_of_a_pi_quantizer_are_alphas) {
    static const float w[] = {3.0f, -1.5f, 0.25f, 3.0f};
    float scale = 99.0f, values[4];
    int8_t codes[4];
    diffquant_quantizer *quantizer = NULL;
    REQUIRE_OK(diffquant_quantizer_new_pi(2, 3, &quantizer));
    CHECK_OK(diffquant_quantizer_forward_dynamic(quantizer, w, 4, codes, values, &scale, 1));
    CHECK_FLOAT(scale, 0x1.e8ec8ap+0f); /* 3 / (PI / 3 * 1.5) */
    REQUIRE_OK(diffquant_quantizer_set_scale(quantizer, 0, scale));
    CHECK_INT(codes[0], 1);
    CHECK_FLOAT(values[0], state_of(quantizer).steps[0]);
    diffquant_quantizer_free(quantizer);
}

/* ---- Tokens that come and go ---------------------------------------------------------------------------------------
 */

TEST(the_number_of_tokens_may_change_from_call_to_call) {
    enum { MOST_TOKENS = 9, LONGEST = 100 };
    static const size_t lasts[] = {1, 3, 32, 45, 100};
    float w[MOST_TOKENS * LONGEST];
    fill_weights(w, COUNT(w), 5, false);
    for (size_t i = 0; i < COUNT(lasts); i++) {
        const size_t last = lasts[i], shape[] = {2, 3, last};
        diffquant_quantizer *quantizer = uniform_quantizer(8, 1.0f);
        REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, DIFFQUANT_GRANULARITY_PER_TOKEN, 0));
        REQUIRE_OK(diffquant_quantizer_set_shape(quantizer, shape, 3, 0));
        for (size_t tokens = 1; tokens <= MOST_TOKENS; tokens++) {
            const size_t n = tokens * last;
            struct guarded codes = guarded_new(n), values = guarded_new(n * sizeof(float)),
                           scales = guarded_new(tokens * sizeof(float));
            check_context("%zu tokens of %zu", tokens, last);
            CHECK_OK(
                diffquant_quantizer_forward_dynamic(quantizer, w, n, codes.data, values.data, scales.data, tokens));
            for (size_t token = 0; token < tokens; token++) {
                float largest = 0.0f;
                for (size_t j = 0; j < last; j++) {
                    largest = fmaxf(largest, fabsf(w[token * last + j]));
                }
                const float scale = largest == 0.0f ? 1.0f : largest / 127.5f;
                int8_t expected[LONGEST];
                for (size_t j = 0; j < last; j++) {
                    expected[j] = code_of(w[token * last + j], scale, 8, false);
                }
                CHECK_FLOAT(((float *)scales.data)[token], scale);
                CHECK_CODES((int8_t *)codes.data + token * last, expected, last);
            }
            CHECK_GUARDS(&codes);
            CHECK_GUARDS(&values);
            CHECK_GUARDS(&scales);
            guarded_free(&codes);
            guarded_free(&values);
            guarded_free(&scales);
        }
        diffquant_quantizer_free(quantizer);
    }
}

/* ---- Refusals ---------------------------------------------------------------------------------------------------- */

/* Outputs that must be as they were. */
struct outputs {
    struct guarded codes, values, scales;
};

static struct outputs outputs_new(void) {
    return (struct outputs){guarded_new(64), guarded_new(64 * sizeof(float)), guarded_new(64 * sizeof(float))};
}

static void check_outputs(struct outputs *outputs) {
    CHECK_UNTOUCHED(&outputs->codes);
    CHECK_UNTOUCHED(&outputs->values);
    CHECK_UNTOUCHED(&outputs->scales);
    guarded_free(&outputs->codes);
    guarded_free(&outputs->values);
    guarded_free(&outputs->scales);
}

static diffquant_quantizer *token_quantizer(void) {
    static const size_t shape[] = {2, 4};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, DIFFQUANT_GRANULARITY_PER_TOKEN, 0));
    REQUIRE_OK(diffquant_quantizer_set_shape(quantizer, shape, 2, 0));
    return quantizer;
}

TEST(a_weight_that_is_not_finite_is_named_and_nothing_is_written) {
    static const struct {
        float bad;
        const char *text;
    } bad[] = {{NAN, "NaN"}, {INFINITY, "inf"}, {-INFINITY, "-inf"}};
    diffquant_quantizer *quantizer = token_quantizer();
    const struct quantizer_state before = state_of(quantizer);
    struct outputs out = outputs_new();
    for (size_t i = 0; i < COUNT(bad) * 8; i++) {
        float w[8] = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f, 8.0f};
        w[i % 8] = bad[i / 8].bad;
        CHECK_REFUSED(
            diffquant_quantizer_forward_dynamic(quantizer, w, 8, out.codes.data, out.values.data, out.scales.data, 2),
            DIFFQUANT_STATUS_NON_FINITE, "w", decimal(i % 8).text, bad[i / 8].text);
    }
    CHECK_STATE(quantizer, &before);
    check_outputs(&out);
    diffquant_quantizer_free(quantizer);
}

TEST(a_length_that_does_not_fit_writes_nothing) {
    static const float w[64] = {1.0f};
    static const size_t lengths[] = {1, 3, 5, 7, 63}, counts[] = {0, 1, 3, 64};
    diffquant_quantizer *quantizer = token_quantizer();
    struct outputs out = outputs_new();
    for (size_t i = 0; i < COUNT(lengths); i++) {
        CHECK_REFUSED(diffquant_quantizer_forward_dynamic(quantizer, w, lengths[i], out.codes.data, out.values.data,
                                                          out.scales.data, lengths[i] / 4),
                      DIFFQUANT_STATUS_LENGTH_MISMATCH, "n", decimal(lengths[i]).text, "4");
    }
    for (size_t i = 0; i < COUNT(counts); i++) {
        CHECK_REFUSED(diffquant_quantizer_forward_dynamic(quantizer, w, 8, out.codes.data, out.values.data,
                                                          out.scales.data, counts[i]),
                      DIFFQUANT_STATUS_LENGTH_MISMATCH, "scales", decimal(counts[i]).text, "2");
    }
    diffquant_quantizer_free(quantizer);
    quantizer = uniform_quantizer(4, 1.0f);
    REQUIRE_OK(diffquant_quantizer_init_per_channel(quantizer, 3));
    CHECK_REFUSED(
        diffquant_quantizer_forward_dynamic(quantizer, w, 8, out.codes.data, out.values.data, out.scales.data, 3),
        DIFFQUANT_STATUS_LENGTH_MISMATCH, "n", "8", "3");
    check_outputs(&out);
    diffquant_quantizer_free(quantizer);
}

TEST(no_weights_touch_nothing_whatever_the_pointers_are) {
    diffquant_quantizer *quantizer = token_quantizer();
    void *const anything[] = {NULL, at_offset(NULL, 1), at_offset(NULL, SIZE_MAX)};
    for (size_t i = 0; i < COUNT(anything); i++) {
        void *p = anything[i];
        CHECK_OK(diffquant_quantizer_forward_dynamic(quantizer, p, 0, p, p, p, i * 100));
    }
    struct outputs out = outputs_new();
    CHECK_OK(
        diffquant_quantizer_forward_dynamic(quantizer, NULL, 0, out.codes.data, out.values.data, out.scales.data, 2));
    check_outputs(&out);
    diffquant_quantizer_free(quantizer);
}

TEST(a_step_that_would_overflow_writes_nothing) {
    /* max / (PI / 3 * 1.5) is finite, times PI it is not. */
    static const float w[] = {1.0f, FLT_MAX};
    diffquant_quantizer *quantizer = NULL;
    REQUIRE_OK(diffquant_quantizer_new_pi(2, 3, &quantizer));
    struct outputs out = outputs_new();
    CHECK_REFUSED(
        diffquant_quantizer_forward_dynamic(quantizer, w, 2, out.codes.data, out.values.data, out.scales.data, 1),
        DIFFQUANT_STATUS_INVALID_ARGUMENT, "scale", "step");
    check_outputs(&out);
    diffquant_quantizer_free(quantizer);
}
