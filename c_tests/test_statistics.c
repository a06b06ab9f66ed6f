/* Forward with statistics: the codes and values of forward, and sums that are worked out in double precision. */

#include "granular.h"

#include <float.h>

static bool is_finite(float w) {
    return fabsf(w) <= FLT_MAX;
}

/* Squares of less than 1e-22 steps, which are 0; steps here are below 1, and groups small. */
static const double LOST = 1e-42;

/* Far out, but not so far that its square is infinite. */
static void bring_in(float *w, size_t n) {
    for (size_t at = 0; at < n; at++) {
        w[at] = w[at] == 1e30f ? 1e15f : w[at];
    }
}

/* ---- Sums ---------------------------------------------------------------------------------------------------------- */

TEST(statistics_are_those_of_the_codes_and_values_of_forward_in_every_granularity) {
    static float w[MOST_ELEMENTS], values[MOST_ELEMENTS], expected_values[MOST_ELEMENTS];
    static int8_t codes[MOST_ELEMENTS], expected_codes[MOST_ELEMENTS];
    static diffquant_statistics found[MOST_SCALES], expected[MOST_SCALES];
    for (size_t i = 0; i < granular_case_count * 6; i++) {
        const struct granular_case *one = &granular_cases[i / 6];
        const size_t n = granular_elements(one);
        const diffquant_rounding rounding = (diffquant_rounding)(i % 3);
        diffquant_quantizer *quantizer = granular_quantizer(one, 2 + (uint32_t)(i % 7));
        REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, rounding));
        REQUIRE_OK(diffquant_quantizer_set_seed(quantizer, i, i));
        if (i % 2 == 1) {
            REQUIRE_OK(diffquant_quantizer_set_code_range(quantizer, DIFFQUANT_CODE_RANGE_UNSIGNED));
        }
        int32_t smallest = 0, largest = 0;
        REQUIRE_OK(diffquant_quantizer_code_bounds(quantizer, &smallest, &largest));
        fill_weights(w, n, (uint32_t)i, true);
        bring_in(w, n);
        REQUIRE_OK(diffquant_quantizer_forward(quantizer, w, n, expected_codes, expected_values));
        memset(expected, 0, sizeof expected);
        for (size_t at = 0; at < n; at++) {
            diffquant_statistics *group = &expected[granular_scale_of(one, at)];
            if (!is_finite(w[at])) {
                group->non_finite++;
                continue;
            }
            const double error = (double)w[at] - (double)expected_values[at];
            group->count++;
            group->at_min += expected_codes[at] == smallest;
            group->at_max += expected_codes[at] == largest;
            group->squared_error += error * error;
            group->signal_power += (double)w[at] * (double)w[at];
        }
        check_context("%s, rounding %u", one->name, rounding);
        CHECK_OK(diffquant_quantizer_forward_statistics(quantizer, w, n, codes, values, found, one->scales));
        CHECK_CODES(codes, expected_codes, n);
        CHECK_FLOATS(values, expected_values, n);
        for (size_t scale = 0; scale < one->scales; scale++) {
            CHECK_UINT(found[scale].count, expected[scale].count);
            CHECK_UINT(found[scale].non_finite, expected[scale].non_finite);
            CHECK_UINT(found[scale].at_min, expected[scale].at_min);
            CHECK_UINT(found[scale].at_max, expected[scale].at_max);
            CHECK_NEAR(found[scale].squared_error, expected[scale].squared_error,
                       1e-6 * expected[scale].squared_error + LOST);
            CHECK_NEAR(found[scale].signal_power, expected[scale].signal_power,
                       1e-6 * expected[scale].signal_power + LOST);
            if (found[scale].squared_error > 0.0) {
                const double ratio = found[scale].signal_power / found[scale].squared_error;
                CHECK_NEAR(found[scale].sqnr_db, 10.0 * log10(ratio), 1e-12 * (1.0 + fabs(log10(ratio))));
            } else {
                CHECK(found[scale].sqnr_db == (double)INFINITY);
            }
        }
        /* Codes and values are optional, and values may be w. */
        diffquant_statistics again[MOST_SCALES];
        CHECK_OK(diffquant_quantizer_forward_statistics(quantizer, w, n, NULL, NULL, again, one->scales));
        CHECK(memcmp(again, found, one->scales * sizeof *again) == 0);
        CHECK_OK(diffquant_quantizer_forward_statistics(quantizer, w, n, NULL, w, again, one->scales));
        CHECK(memcmp(again, found, one->scales * sizeof *again) == 0);
        CHECK_FLOATS(w, expected_values, n);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(statistics_worked_out_by_hand) {
    /* Step 0.5, codes -4 to 3: values 1, -2, 1.5, 0.5. */
    static const float w[] = {0.75f, -5.0f, 4.0f, 0.5f, NAN, INFINITY};
    diffquant_statistics found;
    diffquant_quantizer *quantizer = uniform_quantizer(3, 0.5f);
    CHECK_OK(diffquant_quantizer_forward_statistics(quantizer, w, 6, NULL, NULL, &found, 1));
    CHECK_UINT(found.count, 4);
    CHECK_UINT(found.non_finite, 2);
    CHECK_UINT(found.at_min, 1);
    CHECK_UINT(found.at_max, 1);
    CHECK(found.squared_error == 0.0625 + 9.0 + 6.25);
    CHECK(found.signal_power == 0.5625 + 25.0 + 16.0 + 0.25);
    CHECK_NEAR(found.sqnr_db, 4.3626, 1e-4);
    diffquant_quantizer_free(quantizer);
}

TEST(without_an_error_the_ratio_is_infinite_and_without_a_finite_weight_everything_is_zero) {
    static const float exact[] = {0.5f, -1.0f}, zeros[] = {0.0f, 0.0f}, none[] = {NAN, INFINITY};
    const struct {
        const float *w;
        uint64_t count, non_finite;
        double signal_power;
    } cases[] = {{exact, 2, 0, 1.25}, {zeros, 2, 0, 0.0}, {none, 0, 2, 0.0}};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    for (size_t i = 0; i < COUNT(cases); i++) {
        diffquant_statistics found;
        check_context("case %zu", i);
        CHECK_OK(diffquant_quantizer_forward_statistics(quantizer, cases[i].w, 2, NULL, NULL, &found, 1));
        CHECK_UINT(found.count, cases[i].count);
        CHECK_UINT(found.non_finite, cases[i].non_finite);
        CHECK(found.squared_error == 0.0);
        CHECK(found.signal_power == cases[i].signal_power);
        CHECK(found.sqnr_db == (double)INFINITY);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(squares_neither_overflow_nor_vanish_with_the_scale_of_the_weights) {
    /* Squares of floats near 1e-30 or 1e30 are no floats. */
    static const float scales[] = {1e-37f, 1e-30f, 1e-10f, 1.0f, 1e10f, 1e30f, 1e36f};
    enum { COUNT_OF_WEIGHTS = 1000 };
    static float w[COUNT_OF_WEIGHTS];
    static float values[COUNT_OF_WEIGHTS];
    for (size_t i = 0; i < COUNT(scales); i++) {
        fill_weights(w, COUNT_OF_WEIGHTS, 7, false);
        double error = 0.0, signal = 0.0;
        diffquant_statistics found;
        diffquant_quantizer *quantizer = uniform_quantizer(4, scales[i]);
        for (size_t at = 0; at < COUNT_OF_WEIGHTS; at++) {
            w[at] *= scales[i];
        }
        CHECK_OK(diffquant_quantizer_forward_statistics(quantizer, w, COUNT_OF_WEIGHTS, NULL, values, &found, 1));
        for (size_t at = 0; at < COUNT_OF_WEIGHTS; at++) {
            const double difference = (double)w[at] - (double)values[at];
            error += difference * difference;
            signal += (double)w[at] * (double)w[at];
        }
        check_context("scale %g", (double)scales[i]);
        CHECK(error > 0.0 && signal > error);
        CHECK_NEAR(found.squared_error, error, 1e-6 * error);
        CHECK_NEAR(found.signal_power, signal, 1e-6 * signal);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(statistics_of_many_weights_are_exact_counts_and_the_same_bits_for_any_number_of_threads) {
    enum { MANY = (5 << 20) + 3 };
    float *w = malloc(MANY * sizeof *w);
    REQUIRE(w != NULL);
    fill_weights(w, MANY, 9, true);
    bring_in(w, MANY);
    diffquant_statistics one, several;
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.3f);
    CHECK_OK(diffquant_quantizer_forward_statistics(quantizer, w, MANY, NULL, NULL, &one, 1));
    double error = 0.0, signal = 0.0;
    uint64_t non_finite = 0, at_min = 0, at_max = 0;
    for (size_t at = 0; at < MANY; at++) {
        if (!is_finite(w[at])) {
            non_finite++;
            continue;
        }
        const int8_t code = code_of(w[at], 0.3f, 4, false);
        const double difference = (double)w[at] - (double)value_of(code, 0.3f);
        at_min += code == -8;
        at_max += code == 7;
        error += difference * difference;
        signal += (double)w[at] * (double)w[at];
    }
    CHECK_UINT(one.count, MANY - non_finite);
    CHECK_UINT(one.non_finite, non_finite);
    CHECK_UINT(one.at_min, at_min);
    CHECK_UINT(one.at_max, at_max);
    CHECK_NEAR(one.squared_error, error, 1e-6 * error);
    CHECK_NEAR(one.signal_power, signal, 1e-6 * signal);
    for (size_t threads = 2; threads <= 4; threads++) {
        REQUIRE_OK(diffquant_quantizer_set_threads(quantizer, threads));
        CHECK_OK(diffquant_quantizer_forward_statistics(quantizer, w, MANY, NULL, NULL, &several, 1));
        check_context("%zu threads", threads);
        CHECK(memcmp(&several, &one, sizeof one) == 0);
    }
    diffquant_quantizer_free(quantizer);
    free(w);
}

/* ---- Refusals ------------------------------------------------------------------------------------------------------ */

enum { N = 40, CHANNELS = 4 };

struct outputs {
    struct guarded codes, values, statistics;
};

static struct outputs outputs_new(void) {
    return (struct outputs){guarded_new(2 * N), guarded_new(2 * N * sizeof(float)),
                            guarded_new((CHANNELS + 2) * sizeof(diffquant_statistics))};
}

static void check_outputs(struct outputs *outputs) {
    CHECK_UNTOUCHED(&outputs->codes);
    CHECK_UNTOUCHED(&outputs->values);
    CHECK_UNTOUCHED(&outputs->statistics);
    guarded_free(&outputs->codes);
    guarded_free(&outputs->values);
    guarded_free(&outputs->statistics);
}

TEST(statistics_refuse_what_does_not_fit_and_write_nothing) {
    static const float scales[CHANNELS] = {0.5f, 0.25f, 1.0f, 0.7f};
    static const size_t counts[] = {0, 1, CHANNELS - 1, CHANNELS + 1};
    float w[N + 1];
    fill_weights(w, N + 1, 3, false);
    struct outputs out = outputs_new();
    void *const c = out.codes.data, *const v = out.values.data, *const s = out.statistics.data;
    diffquant_quantizer *q = channel_quantizer(4, scales, CHANNELS);
    const struct quantizer_state before = state_of(q);
    for (size_t i = 0; i < COUNT(counts); i++) {
        CHECK_REFUSED(diffquant_quantizer_forward_statistics(q, w, N, c, v, s, counts[i]),
                      DIFFQUANT_STATUS_LENGTH_MISMATCH, "statistics", decimal(counts[i]).text, "4");
    }
    CHECK_REFUSED(diffquant_quantizer_forward_statistics(q, w, N + 1, c, v, s, CHANNELS),
                  DIFFQUANT_STATUS_LENGTH_MISMATCH, "n", "41", "4");
    CHECK_REFUSED(diffquant_quantizer_forward_statistics(NULL, w, N, c, v, s, CHANNELS), DIFFQUANT_STATUS_NULL_POINTER,
                  "quantizer");
    CHECK_REFUSED(diffquant_quantizer_forward_statistics(q, NULL, N, c, v, s, CHANNELS), DIFFQUANT_STATUS_NULL_POINTER,
                  "w");
    CHECK_REFUSED(diffquant_quantizer_forward_statistics(q, w, N, c, v, NULL, CHANNELS), DIFFQUANT_STATUS_NULL_POINTER,
                  "statistics");
    CHECK_REFUSED(diffquant_quantizer_forward_statistics(q, w, N, c, v, at_offset(s, 4), CHANNELS),
                  DIFFQUANT_STATUS_MISALIGNED, "statistics");
    CHECK_REFUSED(diffquant_quantizer_forward_statistics(q, w, N, c, at_offset(v, 2), s, CHANNELS),
                  DIFFQUANT_STATUS_MISALIGNED, "values");
    CHECK_REFUSED(diffquant_quantizer_forward_statistics(q, at_offset(w, 1), N, c, v, s, CHANNELS),
                  DIFFQUANT_STATUS_MISALIGNED, "w");
    CHECK_REFUSED(diffquant_quantizer_forward_statistics(q, w, SIZE_MAX / 2, c, v, s, CHANNELS),
                  DIFFQUANT_STATUS_SIZE_OVERFLOW, "w");
    CHECK_REFUSED(diffquant_quantizer_forward_statistics(q, w, N, c, v, s, SIZE_MAX), DIFFQUANT_STATUS_SIZE_OVERFLOW,
                  "statistics");
    CHECK_STATE(q, &before);
    REQUIRE_OK(diffquant_quantizer_set_granularity(q, DIFFQUANT_GRANULARITY_PER_TOKEN, 0));
    CHECK_REFUSED(diffquant_quantizer_forward_statistics(q, w, N, c, v, s, CHANNELS), DIFFQUANT_STATUS_NO_SHAPE,
                  "shape");
    check_outputs(&out);
    diffquant_quantizer_free(q);
}

TEST(statistics_of_no_weights_touch_nothing_whatever_the_pointers_are) {
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    void *const anything[] = {NULL, at_offset(NULL, 1), at_offset(NULL, SIZE_MAX)};
    for (size_t i = 0; i < COUNT(anything); i++) {
        void *p = anything[i];
        CHECK_OK(diffquant_quantizer_forward_statistics(quantizer, p, 0, p, p, p, i * 100));
    }
    struct outputs out = outputs_new();
    CHECK_OK(diffquant_quantizer_forward_statistics(quantizer, NULL, 0, out.codes.data, out.values.data,
                                                    out.statistics.data, 1));
    check_outputs(&out);
    diffquant_quantizer_free(quantizer);
}
