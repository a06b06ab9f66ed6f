/* Calibration by every method: worked out by hand, against plain loops for every granularity, and MSE against a search
 * that tries everything. */

#include "granular.h"

#include <float.h>

#define PI_NUMBER 3.14159265358979323846

static diffquant_quantizer *quantizer_of(uint32_t bits, diffquant_code_range range, bool symmetric) {
    diffquant_quantizer *quantizer = uniform_quantizer(bits, 99.0f);
    REQUIRE_OK(diffquant_quantizer_set_code_range(quantizer, range));
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, symmetric ? 1 : 0));
    return quantizer;
}

struct calibration_case {
    uint32_t bits;
    diffquant_code_range range;
    bool symmetric;
    float parameter, w[10];
    size_t n;
    double scale;
    int32_t zero_point;
};

static void check_table(diffquant_scale_init method, const struct calibration_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        diffquant_quantizer *quantizer = quantizer_of(cases[i].bits, cases[i].range, cases[i].symmetric);
        const float offset = 3.0f;
        REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, &offset, 1));
        check_context("method %u, case %zu", method, i);
        CHECK_OK(diffquant_quantizer_init_scale_with(quantizer, method, cases[i].parameter, cases[i].w, cases[i].n));
        const struct quantizer_state state = state_of(quantizer);
        CHECK_NEAR((double)state.scales[0], cases[i].scale, 1e-7 * cases[i].scale);
        CHECK_FLOAT(state.steps[0], state.scales[0]);
        CHECK_INT(state.zero_points[0], cases[i].zero_point);
        CHECK_FLOAT(state.offsets[0], 0.0f);
        CHECK_UINT(state.symmetric, cases[i].symmetric ? 1 : 0);
        diffquant_quantizer_free(quantizer);
    }
}

#define FULL DIFFQUANT_CODE_RANGE_FULL
#define NARROW DIFFQUANT_CODE_RANGE_NARROW
#define UNSIGNED DIFFQUANT_CODE_RANGE_UNSIGNED

/* ---- By hand ----------------------------------------------------------------------------------------------------- */

TEST(max_abs_puts_the_largest_magnitude_half_a_step_beyond_the_largest_code) {
    static const struct calibration_case cases[] = {
        {4, FULL, true, NAN, {1.0f, -3.0f}, 2, 3.0 / 7.5, 0},
        {4, NARROW, true, 0.0f, {1.0f, -3.0f}, 2, 3.0 / 7.5, 0},
        {4, UNSIGNED, true, 0.0f, {1.0f, 3.0f}, 2, 3.0 / 15.5, -8},
        /* A free zero point goes home. */
        {4, FULL, false, 0.0f, {1.0f, -3.0f}, 2, 3.0 / 7.5, 0},
        {4, UNSIGNED, false, 0.0f, {1.0f, 3.0f}, 2, 3.0 / 15.5, -8},
    };
    check_table(DIFFQUANT_SCALE_INIT_MAX_ABS, cases, COUNT(cases));
}

TEST(min_max_is_the_smallest_step_that_clamps_nothing) {
    static const struct calibration_case cases[] = {
        /* -8 to 7: a side each. */
        {4, FULL, true, NAN, {-4.0f, 2.0f}, 2, 0.5, 0},
        {4, FULL, true, 0.0f, {-1.0f, 7.0f}, 2, 1.0, 0},
        {4, NARROW, true, 0.0f, {-14.0f, 7.0f}, 2, 2.0, 0},
        /* 0 to 15; nothing stands for what is negative. */
        {4, UNSIGNED, true, 0.0f, {-100.0f, 30.0f}, 2, 2.0, -8},
        {4, UNSIGNED, true, 0.0f, {-100.0f, -30.0f}, 2, 1.0, -8},
        /* Free: 15 steps from the smallest to the largest, and 0 among them. */
        {4, FULL, false, 0.0f, {-2.0f, 5.5f, 1.0f}, 3, 0.5, -4},
        {4, FULL, false, 0.0f, {3.0f, 7.5f}, 2, 0.5, -8},
        {4, FULL, false, 0.0f, {-3.0f, -7.5f}, 2, 0.5, 7},
        {4, NARROW, false, 0.0f, {-2.0f, 5.0f}, 2, 0.5, -3},
        {4, UNSIGNED, false, 0.0f, {-2.0f, 5.5f}, 2, 0.5, -4},
        {8, FULL, false, 0.0f, {-1.0f, 254.0f}, 2, 1.0, -127},
        {2, FULL, false, 0.0f, {-0.75f, 0.75f}, 2, 0.5, 0}, /* -2 + 1.5 to the even 0 */
        {4, FULL, false, 0.0f, {0.0f, 0.0f, -0.0f}, 3, 1.0, 0},
    };
    check_table(DIFFQUANT_SCALE_INIT_MIN_MAX, cases, COUNT(cases));
}

TEST(lsq_starts_at_twice_the_mean_magnitude_over_the_root_of_the_largest_level) {
    static const struct calibration_case cases[] = {
        {4, FULL, true, NAN, {1.0f, -3.0f, 2.0f, -2.0f}, 4, 4.0 / 2.6457513110645906, 0},
        {2, FULL, true, 0.0f, {1.0f, -3.0f}, 2, 4.0, 0},
        {4, UNSIGNED, true, 0.0f, {1.0f, 3.0f}, 2, 4.0 / 3.872983346207417, -8},
        {4, FULL, false, 0.0f, {1.0f, 3.0f}, 2, 4.0 / 2.6457513110645906, 0},
        {4, FULL, true, 0.0f, {0.0f, 0.0f}, 2, 1.0, 0},
    };
    check_table(DIFFQUANT_SCALE_INIT_LSQ, cases, COUNT(cases));
}

TEST(a_percentile_leaves_out_the_most_extreme_weights) {
    static const struct calibration_case cases[] = {
        {4, FULL, true, 50.0f, {1.0f, -100.0f, -2.0f, 3.0f}, 4, 2.0 / 7.5, 0},
        {4, FULL, true, 75.0f, {1.0f, -100.0f, -2.0f, 3.0f}, 4, 3.0 / 7.5, 0},
        {4, FULL, true, 76.0f, {1.0f, -100.0f, -2.0f, 3.0f}, 4, 100.0 / 7.5, 0},
        {4, FULL, true, 100.0f, {1.0f, -100.0f, -2.0f, 3.0f}, 4, 100.0 / 7.5, 0},
        {4, FULL, true, 1e-30f, {1.0f, -100.0f, -2.0f, 3.0f}, 4, 1.0 / 7.5, 0},
        {4, UNSIGNED, true, 50.0f, {1.0f, 100.0f, 2.0f, 3.0f}, 4, 2.0 / 15.5, -8},
        /* Free: the middle 8 of 10, from -1 to 6.5; -8 + 1 / 0.5. */
        {4, FULL, false, 80.0f, {-10.0f, -1.0f, 0.0f, 1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.5f, 100.0f}, 10, 0.5, -6},
        {4, FULL, false, 100.0f, {-2.0f, 5.5f, 1.0f}, 3, 0.5, -4},
        /* The middle of positive weights, and 0. */
        {4, FULL, false, 80.0f, {1.0f, 1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f, 7.5f, 100.0f}, 10, 0.5, -8},
        {4, FULL, true, 50.0f, {0.0f, 0.0f, 5.0f, 0.0f}, 4, 1.0, 0},
    };
    check_table(DIFFQUANT_SCALE_INIT_PERCENTILE, cases, COUNT(cases));
}

TEST(mse_finds_the_grid_that_the_weights_came_from) {
    static const struct calibration_case cases[] = {
        {3, FULL, true, NAN, {-1.0f, -0.5f, 0.25f, 0.5f, 0.75f, 0.0f}, 6, 0.25, 0},
        {3, NARROW, true, 0.0f, {-0.75f, -0.5f, 0.25f, 0.5f, 0.75f, 0.0f}, 6, 0.25, 0},
        {3, UNSIGNED, true, 0.0f, {1.75f, 1.5f, 0.25f, 0.5f, 0.75f, 0.0f}, 6, 0.25, -4},
        {3, FULL, false, 0.0f, {-0.25f, 1.5f, 1.25f, 0.5f, 0.75f, 0.0f}, 6, 0.25, -3},
        {3, FULL, true, 0.0f, {0.0f, 0.0f}, 2, 1.0, 0},
    };
    check_table(DIFFQUANT_SCALE_INIT_MSE, cases, COUNT(cases));
}

TEST(the_alpha_of_a_pi_quantizer_gives_the_step_that_was_found) {
    static const float w[] = {-1.0f, -0.5f, 0.25f, 0.5f, 0.75f, 0.0f};
    static const double expected[] = {
        [DIFFQUANT_SCALE_INIT_MAX_ABS] = 1.0 / 3.5,
        [DIFFQUANT_SCALE_INIT_MIN_MAX] = 0.25,
        [DIFFQUANT_SCALE_INIT_LSQ] = 2.0 * 0.5 / 1.7320508075688772,
        [DIFFQUANT_SCALE_INIT_PERCENTILE] = 0.75 / 3.5,
        [DIFFQUANT_SCALE_INIT_MSE] = 0.25,
    };
    for (uint32_t k = 2; k <= 5; k++) {
        for (diffquant_scale_init method = 0; method < COUNT(expected); method++) {
            diffquant_quantizer *quantizer = NULL;
            REQUIRE_OK(diffquant_quantizer_new_pi(3, k, &quantizer));
            check_context("k %u, method %u", k, method);
            CHECK_OK(diffquant_quantizer_init_scale_with(quantizer, method, 80.0f, w, 6));
            const struct quantizer_state state = state_of(quantizer);
            CHECK_NEAR((double)state.steps[0], expected[method], 3e-7 * expected[method]);
            CHECK_NEAR((double)state.scales[0], expected[method] * k / PI_NUMBER, 3e-7 * expected[method] * k);
            diffquant_quantizer_free(quantizer);
        }
    }
}

TEST(a_scale_is_never_too_small_for_its_step) {
    static const float w[] = {FLT_TRUE_MIN, -FLT_TRUE_MIN, 3.0f * FLT_TRUE_MIN};
    for (diffquant_scale_init method = 0; method <= DIFFQUANT_SCALE_INIT_MSE; method++) {
        for (uint32_t symmetric = 0; symmetric <= 1; symmetric++) {
            diffquant_quantizer *quantizer = quantizer_of(4, FULL, symmetric == 1);
            check_context("method %u, symmetric %u", method, symmetric);
            CHECK_OK(diffquant_quantizer_init_scale_with(quantizer, method, 99.0f, w, 3));
            CHECK_FLOAT(state_of(quantizer).scales[0], FLT_MIN);
            diffquant_quantizer_free(quantizer);
        }
        diffquant_quantizer *quantizer = NULL;
        REQUIRE_OK(diffquant_quantizer_new_pi(4, 2, &quantizer));
        CHECK_OK(diffquant_quantizer_init_scale_with(quantizer, method, 99.0f, w, 3));
        CHECK_FLOAT(state_of(quantizer).scales[0], 1e-6f);
        diffquant_quantizer_free(quantizer);
    }
}

/* ---- Every granularity ------------------------------------------------------------------------------------------- */

/* The squared error of a step and a zero point, in double precision. */
static double squared_error(const float *w, size_t n, double step, double smallest, double largest, double zero_point) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double level = fmin(fmax(round((double)w[i] / step), smallest - zero_point), largest - zero_point);
        sum += ((double)w[i] - level * step) * ((double)w[i] - level * step);
    }
    return sum;
}

/* The weights of one scale, gathered. */
static size_t gather(const struct granular_case *one, const float *w, size_t scale, float *out) {
    size_t count = 0;
    for (size_t i = 0; i < granular_elements(one); i++) {
        if (granular_scale_of(one, i) == scale) {
            out[count++] = w[i];
        }
    }
    return count;
}

/* Two scales for the same weights: by most methods the same bits; sums may differ in their last, and a search may then
 * end elsewhere, but not where it is worse. */
static void check_same_calibration(diffquant_scale_init method, const float *w, size_t n,
                                   const struct quantizer_state *state, size_t scale,
                                   const struct quantizer_state *expected) {
    const double found = (double)state->scales[scale], alone = (double)expected->scales[0];
    switch (method) {
    case DIFFQUANT_SCALE_INIT_LSQ:
        CHECK_NEAR(found, alone, 1e-6 * alone);
        CHECK_INT(state->zero_points[scale], expected->zero_points[0]);
        break;
    case DIFFQUANT_SCALE_INIT_MSE: {
        const double lowest = state->smallest, highest = state->largest;
        const double error = squared_error(w, n, found, lowest, highest, state->zero_points[scale]);
        const double error_alone = squared_error(w, n, alone, lowest, highest, expected->zero_points[0]);
        CHECK_NEAR(error, error_alone, 1e-3 * error_alone + 1e-12);
        break;
    }
    default:
        CHECK_FLOAT(state->scales[scale], expected->scales[0]);
        CHECK_INT(state->zero_points[scale], expected->zero_points[0]);
    }
}

TEST(each_group_is_calibrated_as_if_it_were_alone) {
    static float w[MOST_ELEMENTS], group[MOST_ELEMENTS];
    for (size_t i = 0; i < granular_case_count; i++) {
        const struct granular_case *one = &granular_cases[i];
        const size_t n = granular_elements(one);
        fill_weights(w, n, 61, false);
        for (size_t element = 0; element < n; element++) {
            const size_t scale = granular_scale_of(one, element);
            w[element] = w[element] * (1.0f + (float)(scale % 4)) + (float)(scale % 3);
            w[element] = scale % 7 == 3 ? 0.0f : w[element];
        }
        for (diffquant_scale_init method = 0; method <= DIFFQUANT_SCALE_INIT_MSE; method++) {
            for (uint32_t symmetric = 0; symmetric <= 1; symmetric++) {
                diffquant_quantizer *all = granular_quantizer(one, 3), *alone = quantizer_of(3, FULL, symmetric == 1);
                REQUIRE_OK(diffquant_quantizer_set_symmetric(all, symmetric));
                check_context("%s, method %u, symmetric %u", one->name, method, symmetric);
                CHECK_OK(diffquant_quantizer_init_scale_with(all, method, 90.0f, w, n));
                const struct quantizer_state state = state_of(all);
                CHECK_UINT(state.scale_count, one->scales);
                for (size_t scale = 0; scale < one->scales; scale += 1 + one->scales / 9) {
                    const size_t count = gather(one, w, scale, group);
                    REQUIRE_OK(diffquant_quantizer_init_scale_with(alone, method, 90.0f, group, count));
                    const struct quantizer_state expected = state_of(alone);
                    check_same_calibration(method, group, count, &state, scale, &expected);
                }
                for (size_t scale = 3; scale < one->scales; scale += 7) {
                    CHECK_FLOAT(state.scales[scale], 1.0f);
                    CHECK_INT(state.zero_points[scale], 0);
                }
                diffquant_quantizer_free(all);
                diffquant_quantizer_free(alone);
            }
        }
    }
}

/* ---- MSE against everything -------------------------------------------------------------------------------------- */

/* Sums of uniform numbers, nearly Gaussian, moved by `mean`; with a long tail where asked for. */
static void fill_bells(float *w, size_t n, uint32_t seed, float mean, bool tail) {
    float uniform[12];
    for (size_t i = 0; i < n; i++) {
        float sum = 0.0f;
        fill_weights(uniform, 12, seed * 1000 + (uint32_t)i, false);
        for (size_t j = 0; j < 12; j++) {
            sum += uniform[j] / 8.0f;
        }
        w[i] = mean + (tail ? sum * fabsf(sum) : sum);
    }
}

TEST(mse_is_within_a_thousandth_of_the_smallest_squared_error_of_a_large_group) {
    enum { N = 1000, STEPS = 300 };
    static const float means[] = {0.0f, 1.5f};
    float w[N];
    for (uint32_t round = 0; round < 12; round++) {
        const uint32_t bits = 2 + round % 3;
        const bool symmetric = round / 3 % 2 == 0, tail = round >= 6;
        fill_bells(w, N, round, means[round % 2], tail);
        diffquant_quantizer *quantizer = quantizer_of(bits, FULL, symmetric);
        check_context("round %u: %u bits, symmetric %d, tail %d", round, bits, symmetric, tail);
        CHECK_OK(diffquant_quantizer_init_scale_with(quantizer, DIFFQUANT_SCALE_INIT_MSE, 0.0f, w, N));
        const struct quantizer_state state = state_of(quantizer);
        const double smallest = state.smallest, largest = state.largest;
        const double found = squared_error(w, N, (double)state.scales[0], smallest, largest, state.zero_points[0]);
        double extent = 0.0, best = INFINITY;
        for (size_t i = 0; i < N; i++) {
            extent = fmax(extent, fabs((double)w[i]));
        }
        for (int32_t zero_point = symmetric ? 0 : state.smallest; zero_point <= (symmetric ? 0 : state.largest);
             zero_point++) {
            for (int i = 1; i <= STEPS; i++) {
                best = fmin(best, squared_error(w, N, extent * i / STEPS, smallest, largest, zero_point));
            }
        }
        /* The promise is a thousandth; the search here is no finer than its steps. */
        CHECK(found <= best * 1.001);
        diffquant_quantizer_free(quantizer);
    }
}

/* ---- Refusals ---------------------------------------------------------------------------------------------------- */

TEST(an_unknown_method_changes_nothing) {
    static const uint32_t unknown[] = {5, 256, UINT32_MAX};
    static const float w[] = {1.0f, 2.0f};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    const struct quantizer_state before = state_of(quantizer);
    for (size_t i = 0; i < COUNT(unknown); i++) {
        CHECK_REFUSED(diffquant_quantizer_init_scale_with(quantizer, unknown[i], 50.0f, w, 2),
                      DIFFQUANT_STATUS_UNKNOWN_CONSTANT, "method", decimal(unknown[i]).text);
        CHECK_STATE(quantizer, &before);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(a_percentile_that_is_no_percentage_changes_nothing) {
    static const struct {
        float percentile;
        const char *text;
    } cases[] = {{0.0f, "0"},     {-0.0f, "-0"}, {-1.0f, "-1"},     {0x1.900002p+6f, "100.00001"},
                 {101.0f, "101"}, {NAN, "NaN"},  {INFINITY, "inf"}, {-INFINITY, "-inf"}};
    static const float w[] = {1.0f, 2.0f};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    const struct quantizer_state before = state_of(quantizer);
    for (size_t i = 0; i < COUNT(cases); i++) {
        CHECK_REFUSED(
            diffquant_quantizer_init_scale_with(quantizer, DIFFQUANT_SCALE_INIT_PERCENTILE, cases[i].percentile, w, 2),
            DIFFQUANT_STATUS_INVALID_ARGUMENT, "percentile", cases[i].text);
        CHECK_STATE(quantizer, &before);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(a_weight_that_is_not_finite_is_named_by_every_method) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static const float scales[] = {0.5f, 0.25f};
    for (diffquant_scale_init method = 0; method <= DIFFQUANT_SCALE_INIT_MSE; method++) {
        diffquant_quantizer *quantizer = channel_quantizer(4, scales, 2);
        const struct quantizer_state before = state_of(quantizer);
        for (size_t i = 0; i < COUNT(bad) * 40; i++) {
            float w[80];
            fill_weights(w, 80, 12, false);
            w[2 * (i % 40)] = bad[i / 40];
            w[79] = NAN; /* not the first */
            check_context("method %u, weight %zu", method, 2 * (i % 40));
            CHECK_REFUSED(diffquant_quantizer_init_scale_with(quantizer, method, 99.0f, w, 80),
                          DIFFQUANT_STATUS_NON_FINITE, "w", decimal(2 * (i % 40)).text);
            CHECK_STATE(quantizer, &before);
        }
        diffquant_quantizer_free(quantizer);
    }
}

TEST(a_step_that_would_overflow_changes_nothing) {
    static const float w[] = {FLT_MAX, -FLT_MAX};
    diffquant_quantizer *quantizer = uniform_quantizer(2, 0.5f);
    const struct quantizer_state before = state_of(quantizer);
    /* 2 * FLT_MAX / sqrt(1) */
    CHECK_REFUSED(diffquant_quantizer_init_scale_with(quantizer, DIFFQUANT_SCALE_INIT_LSQ, 0.0f, w, 2),
                  DIFFQUANT_STATUS_INVALID_ARGUMENT, "scale", "step");
    CHECK_STATE(quantizer, &before);
    /* The widest range of all has a step. */
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    CHECK_OK(diffquant_quantizer_init_scale_with(quantizer, DIFFQUANT_SCALE_INIT_MIN_MAX, 0.0f, w, 2));
    CHECK_NEAR((double)state_of(quantizer).scales[0], (double)FLT_MAX / 1.5, 1e-7 * (double)FLT_MAX);
    diffquant_quantizer_free(quantizer);
}

TEST(no_weights_change_nothing_by_any_method) {
    static const float scales[] = {0.5f, 0.25f};
    static const int32_t zero_points[] = {3, -2};
    diffquant_quantizer *quantizer = channel_quantizer(4, scales, 2);
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, zero_points, 2));
    const struct quantizer_state before = state_of(quantizer);
    for (diffquant_scale_init method = 0; method <= DIFFQUANT_SCALE_INIT_MSE; method++) {
        CHECK_OK(diffquant_quantizer_init_scale_with(quantizer, method, 50.0f, NULL, 0));
        CHECK_OK(diffquant_quantizer_init_scale_with(quantizer, method, 50.0f, at_offset(NULL, 3), 0));
        CHECK_STATE(quantizer, &before);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(a_length_that_does_not_fit_is_refused_by_every_method) {
    static const float scales[] = {0.5f, 0.25f}, w[] = {1.0f, 2.0f, 3.0f};
    diffquant_quantizer *quantizer = channel_quantizer(4, scales, 2);
    const struct quantizer_state before = state_of(quantizer);
    for (diffquant_scale_init method = 0; method <= DIFFQUANT_SCALE_INIT_MSE; method++) {
        CHECK_REFUSED(diffquant_quantizer_init_scale_with(quantizer, method, 50.0f, w, 3),
                      DIFFQUANT_STATUS_LENGTH_MISMATCH, "n", "3", "2");
        CHECK_REFUSED(diffquant_quantizer_init_scale_with(quantizer, method, 50.0f, w, SIZE_MAX / 4 + 2),
                      DIFFQUANT_STATUS_SIZE_OVERFLOW, "w");
        CHECK_REFUSED(diffquant_quantizer_init_scale_with(quantizer, method, 50.0f, NULL, 2),
                      DIFFQUANT_STATUS_NULL_POINTER, "w");
        CHECK_STATE(quantizer, &before);
    }
    diffquant_quantizer_free(quantizer);
}
