/* Tensors of 16-bit elements: results are those of the float functions, rounded once, to the nearest and halves to even. */

#include "support.h"

#include <float.h>

enum { N = 75, CHANNELS = 3 };

static const diffquant_dtype dtypes[] = {DIFFQUANT_DTYPE_F16, DIFFQUANT_DTYPE_BF16};

/* ---- Floats of 16 bits, in plain C ------------------------------------------------------------------------------- */

struct format {
    int exponent_bits, fraction_bits;
};

static struct format format_of(diffquant_dtype dtype) {
    return dtype == DIFFQUANT_DTYPE_F16 ? (struct format){5, 10} : (struct format){8, 7};
}

static float widened(uint16_t bits, diffquant_dtype dtype) {
    const struct format format = format_of(dtype);
    const int bias = (1 << (format.exponent_bits - 1)) - 1;
    const int fraction = bits & ((1 << format.fraction_bits) - 1);
    const int exponent = (bits & 0x7fff) >> format.fraction_bits;
    const float sign = bits & 0x8000 ? -1.0f : 1.0f;
    if (exponent == (1 << format.exponent_bits) - 1) {
        return fraction == 0 ? sign * INFINITY : NAN;
    }
    const int normal = exponent == 0 ? 0 : 1 << format.fraction_bits;
    const int power = (exponent == 0 ? 1 : exponent) - bias - format.fraction_bits;
    return sign * ldexpf((float)(fraction + normal), power);
}

static uint16_t rounded(float number, diffquant_dtype dtype) {
    const struct format format = format_of(dtype);
    const int bias = (1 << (format.exponent_bits - 1)) - 1;
    const int infinite = ((1 << format.exponent_bits) - 1) << format.fraction_bits;
    const int sign = signbit(number) ? 0x8000 : 0;
    if (isnan(number)) {
        return (uint16_t)(infinite | 1 << (format.fraction_bits - 1));
    }
    int exponent = 0;
    const double magnitude = fabs((double)number);
    frexp(magnitude, &exponent); /* magnitude is below 2^exponent, and no less than half of that */
    exponent = magnitude == 0.0 || exponent - 1 < 1 - bias ? 1 - bias : exponent - 1;
    if (isinf(number) || exponent > bias) {
        return (uint16_t)(sign | infinite);
    }
    /* Carries of the fraction go into the exponent, where they belong. */
    const int fraction = (int)rint(ldexp(magnitude, format.fraction_bits - exponent));
    return (uint16_t)(sign | (((exponent + bias - 1) << format.fraction_bits) + fraction));
}

/* The same floats; `bits` are those of the dtype. */
#define CHECK_HALVES(actual, expected, dtype) check_halves((actual), (expected), (dtype), #actual, __LINE__)

static void check_halves(const uint16_t *actual, const float *expected, diffquant_dtype dtype, const char *text,
                         int line) {
    float found[N], wanted[N];
    for (size_t i = 0; i < N; i++) {
        found[i] = widened(actual[i], dtype);
        wanted[i] = widened(rounded(expected[i], dtype), dtype);
    }
    check_floats(found, wanted, N, text, __FILE__, line);
}

/* Weights or gradients, and the floats that they are. */
static void fill_halves(uint16_t *bits, float *floats, diffquant_dtype dtype, uint32_t seed, bool specials) {
    fill_weights(floats, N, seed, specials);
    for (size_t i = 0; i < N; i++) {
        bits[i] = rounded(floats[i], dtype);
        floats[i] = widened(bits[i], dtype);
    }
}

static diffquant_quantizer *make_quantizer(diffquant_ste ste) {
    static const float scales[CHANNELS] = {0.5f, 0.3f, 0.7f};
    static const float offsets[CHANNELS] = {0.0f, 0.1f, -0.2f};
    diffquant_quantizer *quantizer = channel_quantizer(4, scales, CHANNELS);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, ste, 0.3f));
    REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, offsets, CHANNELS));
    return quantizer;
}

/* ---- What is computed -------------------------------------------------------------------------------------------- */

TEST(the_conversions_of_this_test_agree_with_known_numbers) {
    static const struct {
        float number;
        uint16_t f16, bf16;
    } cases[] = {
        {1.0f, 0x3c00, 0x3f80},     {-2.0f, 0xc000, 0xc000},       {65504.0f, 0x7bff, 0x4780},
        {65520.0f, 0x7c00, 0x4780}, {0x1p-24f, 0x0001, 0x3380},    {0x1p-25f, 0x0000, 0x3300},
        {0x3p-25f, 0x0002, 0x33c0}, {0x1.004p0f, 0x3c01, 0x3f80},  {0x1.002p0f, 0x3c00, 0x3f80},
        {0x1.01p0f, 0x3c04, 0x3f80}, {0x1.03p0f, 0x3c0c, 0x3f82}, {FLT_MAX, 0x7c00, 0x7f80},
        {-0.0f, 0x8000, 0x8000},    {0x1p-133f, 0x0000, 0x0001},   {-INFINITY, 0xfc00, 0xff80},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_context("case %zu", i);
        CHECK_UINT(rounded(cases[i].number, DIFFQUANT_DTYPE_F16), cases[i].f16);
        CHECK_UINT(rounded(cases[i].number, DIFFQUANT_DTYPE_BF16), cases[i].bf16);
    }
    for (uint32_t bits = 0; bits <= UINT16_MAX; bits++) {
        for (size_t d = 0; d < COUNT(dtypes); d++) {
            const float number = widened((uint16_t)bits, dtypes[d]);
            CHECK(isnan(number) || rounded(number, dtypes[d]) == bits);
        }
    }
}

TEST(forward_rounds_the_values_and_gives_the_same_codes) {
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        check_context("dtype %u", dtypes[d]);
        uint16_t w[N], values[N];
        float floats[N], expected[N];
        int8_t codes[N], expected_codes[N];
        fill_halves(w, floats, dtypes[d], 1, true);
        diffquant_quantizer *quantizer = make_quantizer(DIFFQUANT_STE_STANDARD);
        REQUIRE_OK(diffquant_quantizer_forward(quantizer, floats, N, expected_codes, expected));
        CHECK_OK(diffquant_quantizer_forward_typed(quantizer, dtypes[d], w, N, codes, values));
        CHECK_CODES(codes, expected_codes, N);
        CHECK_HALVES(values, expected, dtypes[d]);
        memset(codes, 77, sizeof codes);
        CHECK_OK(diffquant_quantizer_forward_typed(quantizer, dtypes[d], w, N, codes, NULL));
        CHECK_CODES(codes, expected_codes, N);
        CHECK_OK(diffquant_quantizer_forward_typed(quantizer, dtypes[d], w, N, NULL, w)); /* in place */
        CHECK_HALVES(w, expected, dtypes[d]);
        REQUIRE_OK(diffquant_quantizer_dequantize(quantizer, codes, N, expected));
        CHECK_OK(diffquant_quantizer_dequantize_typed(quantizer, dtypes[d], codes, N, values));
        CHECK_HALVES(values, expected, dtypes[d]);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(backward_rounds_the_gradients_and_computes_in_float) {
    static const diffquant_ste estimators[] = {DIFFQUANT_STE_STANDARD,     DIFFQUANT_STE_CLIPPED,
                                               DIFFQUANT_STE_EWGS,         DIFFQUANT_STE_RANGE_CLIPPED,
                                               DIFFQUANT_STE_LSQ,          DIFFQUANT_STE_LSQ_PLUS,
                                               DIFFQUANT_STE_EWGS_SIGNED,  DIFFQUANT_STE_LEARNED_STEP_SIZE};
    for (size_t i = 0; i < COUNT(estimators) * COUNT(dtypes); i++) {
        const diffquant_ste ste = estimators[i / COUNT(dtypes)];
        const diffquant_dtype dtype = dtypes[i % COUNT(dtypes)];
        check_context("dtype %u, ste %u", dtype, ste);
        uint16_t w[N], values[N], g[N], grad_w[N];
        float w_floats[N], values_floats[N], g_floats[N], expected[N];
        float grad_scale[CHANNELS], expected_scale[CHANNELS], grad_offset[CHANNELS], expected_offset[CHANNELS];
        fill_halves(w, w_floats, dtype, 2, false);
        fill_halves(g, g_floats, dtype, 3, false);
        diffquant_quantizer *quantizer = make_quantizer(ste);

        CHECK_OK(diffquant_quantizer_forward_typed(quantizer, dtype, w, N, NULL, values));
        for (size_t at = 0; at < N; at++) values_floats[at] = widened(values[at], dtype);
        REQUIRE_OK(diffquant_quantizer_backward(quantizer, w_floats, values_floats, g_floats, N, expected));
        CHECK_OK(diffquant_quantizer_backward_typed(quantizer, dtype, w, values, g, N, grad_w));
        CHECK_HALVES(grad_w, expected, dtype);
        REQUIRE_OK(diffquant_quantizer_backward(quantizer, w_floats, NULL, g_floats, N, expected));
        CHECK_OK(diffquant_quantizer_backward_typed(quantizer, dtype, w, NULL, g, N, grad_w));
        CHECK_HALVES(grad_w, expected, dtype);

        REQUIRE_OK(diffquant_quantizer_backward_scale(quantizer, w_floats, g_floats, N, expected, expected_scale));
        CHECK_OK(diffquant_quantizer_backward_scale_typed(quantizer, dtype, w, g, N, NULL, grad_scale));
        CHECK_FLOATS(grad_scale, expected_scale, CHANNELS);
        if (i / COUNT(dtypes) >= 3 && ste != DIFFQUANT_STE_LEARNED_STEP_SIZE) {
            REQUIRE_OK(diffquant_quantizer_backward_scale_offset(quantizer, w_floats, g_floats, N, NULL, expected_scale,
                                                                 expected_offset));
            CHECK_OK(diffquant_quantizer_backward_scale_offset_typed(quantizer, dtype, w, g, N, grad_w, grad_scale,
                                                                     grad_offset));
            CHECK_HALVES(grad_w, expected, dtype);
            CHECK_FLOATS(grad_scale, expected_scale, CHANNELS);
            CHECK_FLOATS(grad_offset, expected_offset, CHANNELS);
        }
        CHECK_OK(diffquant_quantizer_backward_scale_typed(quantizer, dtype, w, g, N, g, grad_scale)); /* in place */
        CHECK_HALVES(g, expected, dtype);
        CHECK_FLOATS(grad_scale, expected_scale, CHANNELS);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(scales_come_from_16_bit_weights_as_from_floats) {
    static const diffquant_scale_init methods[] = {DIFFQUANT_SCALE_INIT_MAX_ABS, DIFFQUANT_SCALE_INIT_MIN_MAX,
                                                   DIFFQUANT_SCALE_INIT_LSQ, DIFFQUANT_SCALE_INIT_PERCENTILE,
                                                   DIFFQUANT_SCALE_INIT_MSE};
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        uint16_t w[N], values[N];
        float floats[N], expected[N], scales[CHANNELS], expected_scales[CHANNELS];
        int8_t codes[N], expected_codes[N];
        fill_halves(w, floats, dtypes[d], 4, false);
        diffquant_quantizer *quantizer = make_quantizer(DIFFQUANT_STE_STANDARD);
        REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
        for (size_t i = 0; i < COUNT(methods); i++) {
            check_context("dtype %u, method %u", dtypes[d], methods[i]);
            REQUIRE_OK(diffquant_quantizer_init_scale_with(quantizer, methods[i], 97.0f, floats, N));
            const struct quantizer_state state = state_of(quantizer);
            REQUIRE_OK(diffquant_quantizer_set_scale(quantizer, 0, 99.0f));
            CHECK_OK(diffquant_quantizer_init_scale_with_typed(quantizer, dtypes[d], methods[i], 97.0f, w, N));
            CHECK_STATE(quantizer, &state);
        }
        check_context("dtype %u, dynamic", dtypes[d]);
        REQUIRE_OK(diffquant_quantizer_forward_dynamic(quantizer, floats, N, expected_codes, expected, expected_scales,
                                                       CHANNELS));
        CHECK_OK(
            diffquant_quantizer_forward_dynamic_typed(quantizer, dtypes[d], w, N, codes, values, scales, CHANNELS));
        CHECK_FLOATS(scales, expected_scales, CHANNELS);
        CHECK_CODES(codes, expected_codes, N);
        CHECK_HALVES(values, expected, dtypes[d]);
        diffquant_quantizer_free(quantizer);
    }
}

/* Statistics are of what was computed in float, before it is rounded. */
TEST(statistics_and_observers_see_16_bit_elements_as_floats) {
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        check_context("dtype %u", dtypes[d]);
        uint16_t w[N], values[N];
        float floats[N], expected[N];
        int8_t codes[N], expected_codes[N];
        diffquant_statistics statistics[CHANNELS], expected_statistics[CHANNELS];
        fill_halves(w, floats, dtypes[d], 8, true);
        diffquant_quantizer *quantizer = make_quantizer(DIFFQUANT_STE_STANDARD);
        REQUIRE_OK(diffquant_quantizer_forward_statistics(quantizer, floats, N, expected_codes, expected,
                                                          expected_statistics, CHANNELS));
        CHECK_OK(diffquant_quantizer_forward_statistics_typed(quantizer, dtypes[d], w, N, codes, values, statistics,
                                                              CHANNELS));
        CHECK_CODES(codes, expected_codes, N);
        CHECK_HALVES(values, expected, dtypes[d]);
        for (size_t c = 0; c < CHANNELS; c++) {
            CHECK_UINT(statistics[c].count, expected_statistics[c].count);
            CHECK_UINT(statistics[c].non_finite, expected_statistics[c].non_finite);
            CHECK_UINT(statistics[c].at_min, expected_statistics[c].at_min);
            CHECK_UINT(statistics[c].at_max, expected_statistics[c].at_max);
            CHECK(memcmp(&statistics[c].squared_error, &expected_statistics[c].squared_error, sizeof(double)) == 0);
            CHECK(memcmp(&statistics[c].signal_power, &expected_statistics[c].signal_power, sizeof(double)) == 0);
        }
        diffquant_quantizer_free(quantizer);

        diffquant_observer *typed = new_observer(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
        diffquant_observer *on_floats = new_observer(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
        CHECK_OK(diffquant_observer_observe_typed(typed, dtypes[d], w, N));
        CHECK_OK(diffquant_observer_observe_typed(typed, DIFFQUANT_DTYPE_F32, floats, N));
        CHECK_OK(diffquant_observer_observe_typed(typed, dtypes[d], NULL, 0));
        REQUIRE_OK(diffquant_observer_observe(on_floats, floats, N));
        REQUIRE_OK(diffquant_observer_observe(on_floats, floats, N));
        const struct observer_text before = observer_text_of(on_floats);
        CHECK_OBSERVER(typed, &before);
        diffquant_observer_free(typed);
        diffquant_observer_free(on_floats);
    }
}

TEST(f32_is_a_dtype_like_the_others) {
    float w[N], g[N], values[N], expected[N], number[CHANNELS], expected_number[CHANNELS], offset[CHANNELS];
    int8_t codes[N], expected_codes[N];
    fill_weights(w, N, 5, false);
    fill_weights(g, N, 6, false);
    const diffquant_dtype dtype = DIFFQUANT_DTYPE_F32;
    diffquant_quantizer *q = make_quantizer(DIFFQUANT_STE_LSQ);
    REQUIRE_OK(diffquant_quantizer_forward(q, w, N, expected_codes, expected));
    CHECK_OK(diffquant_quantizer_forward_typed(q, dtype, w, N, codes, values));
    CHECK_CODES(codes, expected_codes, N);
    CHECK_FLOATS(values, expected, N);
    CHECK_OK(diffquant_quantizer_dequantize_typed(q, dtype, codes, N, values));
    CHECK_FLOATS(values, expected, N);
    REQUIRE_OK(diffquant_quantizer_backward(q, w, NULL, g, N, expected));
    CHECK_OK(diffquant_quantizer_backward_typed(q, dtype, w, NULL, g, N, values));
    CHECK_FLOATS(values, expected, N);
    REQUIRE_OK(diffquant_quantizer_backward_scale(q, w, g, N, expected, expected_number));
    CHECK_OK(diffquant_quantizer_backward_scale_typed(q, dtype, w, g, N, values, number));
    CHECK_FLOATS(values, expected, N);
    CHECK_FLOATS(number, expected_number, CHANNELS);
    number[0] = 99.0f;
    CHECK_OK(diffquant_quantizer_backward_scale_offset_typed(q, dtype, w, g, N, values, number, offset));
    CHECK_FLOATS(number, expected_number, CHANNELS);
    REQUIRE_OK(diffquant_quantizer_forward_dynamic(q, w, N, NULL, expected, expected_number, CHANNELS));
    CHECK_OK(diffquant_quantizer_forward_dynamic_typed(q, dtype, w, N, NULL, values, number, CHANNELS));
    CHECK_FLOATS(values, expected, N);
    CHECK_FLOATS(number, expected_number, CHANNELS);
    CHECK_OK(diffquant_quantizer_init_scale_with_typed(q, dtype, DIFFQUANT_SCALE_INIT_MAX_ABS, 0.0f, w, N));
    REQUIRE_OK(diffquant_quantizer_scales(q, number, CHANNELS));
    CHECK_FLOATS(number, expected_number, CHANNELS);
    diffquant_quantizer_free(q);
}
