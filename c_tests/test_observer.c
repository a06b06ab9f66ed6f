/* Observers: what they remember of a stream, how they are merged, and what they refuse. */

#include "support.h"

#include <float.h>

static const diffquant_observer_kind kinds[] = {DIFFQUANT_OBSERVER_KIND_MIN_MAX,
                                                DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE,
                                                DIFFQUANT_OBSERVER_KIND_HISTOGRAM};

/* Kinds that can be merged. */
static const diffquant_observer_kind merged[] = {DIFFQUANT_OBSERVER_KIND_MIN_MAX, DIFFQUANT_OBSERVER_KIND_HISTOGRAM};

static void observe_all(diffquant_observer *observer, const float *x, size_t n) {
    REQUIRE_OK(diffquant_observer_observe(observer, x, n));
}

/* [any][3][2]: three channels. */
static diffquant_observer *of_channels(diffquant_observer_kind kind) {
    static const size_t shape[] = {1, 3, 2};
    diffquant_observer *observer = new_observer(kind);
    REQUIRE_OK(diffquant_observer_set_shape(observer, shape, 3, 1));
    return observer;
}

static void check_range(const diffquant_observer *observer, float min, float max) {
    float smallest = 99.0f, largest = 99.0f;
    CHECK_OK(diffquant_observer_range(observer, &smallest, &largest, 1));
    CHECK_FLOAT(smallest, min);
    CHECK_FLOAT(largest, max);
}

static void check_counts(const diffquant_observer *observer, uint64_t finite, uint64_t non_finite) {
    uint64_t seen[2] = {99, 99};
    CHECK_OK(diffquant_observer_counts(observer, &seen[0], &seen[1], 1));
    CHECK_UINT(seen[0], finite);
    CHECK_UINT(seen[1], non_finite);
    CHECK_OK(diffquant_observer_counts(observer, &seen[1], NULL, 1));
    CHECK_UINT(seen[1], finite);
}

/* ---- What they remember ------------------------------------------------------------------------------------------ */

TEST(an_observer_knows_its_kind_and_starts_with_one_group_and_no_data) {
    for (size_t i = 0; i < COUNT(kinds); i++) {
        diffquant_observer *observer = NULL;
        REQUIRE_OK(diffquant_observer_new(kinds[i], 0.25f, &observer));
        diffquant_observer_kind kind = 99;
        float parameter = 99.0f;
        size_t groups = 99;
        check_context("kind %u", kinds[i]);
        CHECK_OK(diffquant_observer_kind_of(observer, &kind, &parameter));
        CHECK_UINT(kind, kinds[i]);
        CHECK_FLOAT(parameter, kind == DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE ? 0.25f : 0.0f);
        CHECK_OK(diffquant_observer_kind_of(observer, &kind, NULL));
        CHECK_OK(diffquant_observer_group_count(observer, &groups));
        CHECK_UINT(groups, 1);
        check_counts(observer, 0, 0);
        float min = 99.0f, max = 99.0f;
        CHECK_REFUSED(diffquant_observer_range(observer, &min, &max, 1), DIFFQUANT_STATUS_NO_DATA, "0");
        CHECK_FLOAT(min, 99.0f);
        CHECK_FLOAT(max, 99.0f);
        diffquant_observer_free(observer);
    }
    diffquant_observer_free(NULL);
}

TEST(ranges_are_of_finite_elements_and_the_others_are_counted) {
    static const float x[] = {1.0f, NAN, -2.5f, INFINITY, 3.0f, -INFINITY, 0.5f};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        diffquant_observer *observer = new_observer(kinds[i]);
        check_context("kind %u", kinds[i]);
        CHECK_OK(diffquant_observer_observe(observer, x, COUNT(x)));
        check_range(observer, -2.5f, 3.0f);
        check_counts(observer, 4, 3);
        /* Not 0, which was not among them. */
        CHECK_OK(diffquant_observer_reset(observer));
        check_counts(observer, 0, 0);
        CHECK_OK(diffquant_observer_observe(observer, x + 4, 1));
        check_range(observer, 3.0f, 3.0f);
        diffquant_observer_free(observer);
    }
}

TEST(a_moving_average_starts_at_the_first_batch_and_moves_by_its_constant) {
    static const float first[] = {-1.0f, 3.0f}, second[] = {-5.0f, 3.0f, 11.0f}, none[] = {NAN};
    diffquant_observer *observer = NULL;
    REQUIRE_OK(diffquant_observer_new(DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE, 0.25f, &observer));
    CHECK_OK(diffquant_observer_observe(observer, first, 2));
    check_range(observer, -1.0f, 3.0f);
    CHECK_OK(diffquant_observer_observe(observer, second, 3));
    check_range(observer, -2.0f, 5.0f);
    CHECK_OK(diffquant_observer_observe(observer, none, 1));
    check_range(observer, -2.0f, 5.0f);
    check_counts(observer, 5, 1);
    diffquant_observer_free(observer);
}

TEST(channels_of_any_axis_are_groups_and_the_extent_before_the_axis_may_change) {
    static const float x[] = {1, 2, 3, 4, 5, 6, -1, -2, -3, -4, NAN, -6};
    for (size_t i = 0; i < COUNT(merged); i++) {
        diffquant_observer *observer = of_channels(merged[i]);
        float min[3], max[3];
        uint64_t finite[3], non_finite[3];
        check_context("kind %u", merged[i]);
        CHECK_OK(diffquant_observer_observe(observer, x, 6));
        CHECK_OK(diffquant_observer_range(observer, min, max, 3));
        CHECK_FLOATS(min, ((const float[]){1, 3, 5}), 3);
        CHECK_FLOATS(max, ((const float[]){2, 4, 6}), 3);
        CHECK_OK(diffquant_observer_observe(observer, x, 12));
        CHECK_OK(diffquant_observer_range(observer, min, max, 3));
        CHECK_FLOATS(min, ((const float[]){-2, -4, -6}), 3);
        CHECK_OK(diffquant_observer_counts(observer, finite, non_finite, 3));
        CHECK_UINT(finite[1], 6);
        CHECK_UINT(finite[2], 5);
        CHECK_UINT(non_finite[2], 1);
        diffquant_observer_free(observer);
    }
}

TEST(a_new_shape_forgets_what_was_observed) {
    static const size_t shape[] = {4, 2};
    static const float x[] = {1.0f, 2.0f};
    diffquant_observer *observer = new_observer(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
    observe_all(observer, x, 2);
    CHECK_OK(diffquant_observer_set_shape(observer, shape, 2, 1));
    size_t groups = 0;
    uint64_t finite[2] = {99, 99};
    CHECK_OK(diffquant_observer_group_count(observer, &groups));
    CHECK_UINT(groups, 2);
    CHECK_OK(diffquant_observer_counts(observer, finite, NULL, 2));
    CHECK_UINT(finite[0] + finite[1], 0);
    diffquant_observer_free(observer);
}

TEST(a_clone_shares_nothing_with_its_original) {
    static const float x[] = {1.0f, 2.0f};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        diffquant_observer *observer = new_observer(kinds[i]), *copy = NULL;
        observe_all(observer, x, 2);
        const struct observer_text before = observer_text_of(observer);
        CHECK_OK(diffquant_observer_clone(observer, &copy));
        CHECK_OK(diffquant_observer_reset(observer));
        CHECK_OBSERVER(copy, &before);
        diffquant_observer_free(observer);
        diffquant_observer_free(copy);
    }
}

/* ---- Merging ----------------------------------------------------------------------------------------------------- */

enum { PARTS = 3, BATCHES = 4, BATCH = 300 };

TEST(three_parts_of_a_stream_merged_in_every_order_are_one_process_to_the_bit) {
    static const size_t orders[6][PARTS] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static float x[PARTS][BATCHES][BATCH];
    for (size_t i = 0; i < 2 * COUNT(merged); i++) {
        const diffquant_observer_kind kind = merged[i / 2];
        diffquant_observer *(*const make)(diffquant_observer_kind) = i % 2 == 0 ? new_observer : of_channels;
        diffquant_observer *whole = make(kind), *parts[PARTS];
        for (size_t part = 0; part < PARTS; part++) {
            parts[part] = make(kind);
            for (size_t batch = 0; batch < BATCHES; batch++) {
                fill_weights(x[part][batch], BATCH, (uint32_t)(10 * part + batch), true);
                observe_all(parts[part], x[part][batch], BATCH - 6 * batch);
                observe_all(whole, x[part][batch], BATCH - 6 * batch);
            }
        }
        const struct observer_text expected = observer_text_of(whole);
        for (size_t order = 0; order < COUNT(orders); order++) {
            diffquant_observer *into[PARTS];
            check_context("kind %u, order %zu", kind, order);
            for (size_t part = 0; part < PARTS; part++) {
                REQUIRE_OK(diffquant_observer_clone(parts[orders[order][part]], &into[part]));
            }
            if (order % 2 == 0) { /* (a + b) + c, or a + (b + c) */
                CHECK_OK(diffquant_observer_merge(into[0], into[1]));
            } else {
                CHECK_OK(diffquant_observer_merge(into[2], into[1]));
            }
            CHECK_OK(diffquant_observer_merge(into[0], into[2]));
            CHECK_OBSERVER(into[0], &expected);
            for (size_t part = 0; part < PARTS; part++) {
                diffquant_observer_free(into[part]);
            }
        }
        for (size_t part = 0; part < PARTS; part++) {
            diffquant_observer_free(parts[part]);
        }
        diffquant_observer_free(whole);
    }
}

TEST(observers_that_do_not_go_together_are_not_merged) {
    static const float x[] = {1, 2, 3, 4, 5, 6};
    static const size_t wider[] = {1, 3, 4};
    diffquant_observer *observer = of_channels(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
    observe_all(observer, x, 6);
    const struct observer_text before = observer_text_of(observer);
    diffquant_observer *others[] = {of_channels(DIFFQUANT_OBSERVER_KIND_MIN_MAX),
                                    of_channels(DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE),
                                    new_observer(DIFFQUANT_OBSERVER_KIND_HISTOGRAM),
                                    of_channels(DIFFQUANT_OBSERVER_KIND_HISTOGRAM)};
    static const char *const words[] = {"MinMax", "MovingAverage", "axis", "after"};
    REQUIRE_OK(diffquant_observer_set_shape(others[3], wider, 3, 1));
    for (size_t i = 0; i < COUNT(others); i++) {
        check_context("%s", words[i]);
        CHECK_REFUSED(diffquant_observer_merge(observer, others[i]), DIFFQUANT_STATUS_INCOMPATIBLE, words[i]);
        CHECK_OBSERVER(observer, &before);
        diffquant_observer_free(others[i]);
    }
    CHECK_REFUSED(diffquant_observer_merge(observer, observer), DIFFQUANT_STATUS_OVERLAP, "observer", "other");
    CHECK_OBSERVER(observer, &before);
    diffquant_observer_free(observer);

    diffquant_observer *averages[] = {new_observer(DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE),
                                      new_observer(DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE)};
    CHECK_REFUSED(diffquant_observer_merge(averages[0], averages[1]), DIFFQUANT_STATUS_NOT_APPLICABLE, "merge");
    diffquant_observer_free(averages[0]);
    diffquant_observer_free(averages[1]);
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

TEST(scales_from_the_range_are_those_from_the_weights) {
    enum { N = 600 };
    static float x[N];
    static const diffquant_code_range ranges[] = {DIFFQUANT_CODE_RANGE_FULL, DIFFQUANT_CODE_RANGE_NARROW,
                                                  DIFFQUANT_CODE_RANGE_UNSIGNED};
    static const diffquant_scale_init methods[] = {DIFFQUANT_SCALE_INIT_MAX_ABS, DIFFQUANT_SCALE_INIT_MIN_MAX};
    static const float scales[] = {1.0f, 1.0f, 1.0f};
    fill_weights(x, N, 7, false);
    for (size_t i = 0; i < COUNT(kinds) * COUNT(ranges) * COUNT(methods) * 2; i++) {
        const diffquant_observer_kind kind = kinds[i % 3];
        const diffquant_scale_init method = methods[i / 9 % 2];
        diffquant_quantizer *exact = channel_quantizer(4, scales, 3), *observed = NULL;
        REQUIRE_OK(diffquant_quantizer_set_code_range(exact, ranges[i / 3 % 3]));
        REQUIRE_OK(diffquant_quantizer_set_symmetric(exact, i / 18 == 0 ? 1 : 0));
        REQUIRE_OK(diffquant_quantizer_clone(exact, &observed));
        static const size_t shape[] = {3, N / 3};
        diffquant_observer *observer = new_observer(kind);
        REQUIRE_OK(diffquant_observer_set_shape(observer, shape, 2, 0));
        observe_all(observer, x, N);
        check_context("case %zu", i);
        CHECK_OK(diffquant_quantizer_init_scale_with(exact, method, 0.0f, x, N));
        CHECK_OK(diffquant_quantizer_init_scale_from_observer(observed, observer, method, 0.0f));
        const struct quantizer_state expected = state_of(exact);
        CHECK_STATE(observed, &expected);
        diffquant_quantizer_free(exact);
        diffquant_quantizer_free(observed);
        diffquant_observer_free(observer);
    }
}

TEST(a_histogram_gives_scales_by_every_method) {
    enum { N = 3000 };
    static float x[N], values[2][N];
    static const diffquant_scale_init methods[] = {DIFFQUANT_SCALE_INIT_LSQ, DIFFQUANT_SCALE_INIT_PERCENTILE,
                                                   DIFFQUANT_SCALE_INIT_MSE};
    fill_weights(x, N, 8, false);
    diffquant_observer *observer = new_observer(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
    observe_all(observer, x, N);
    for (size_t i = 0; i < COUNT(methods) * 2; i++) {
        diffquant_quantizer *quantizers[] = {uniform_quantizer(4, 99.0f), uniform_quantizer(4, 99.0f)};
        double errors[2] = {0, 0};
        for (size_t j = 0; j < 2; j++) {
            REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizers[j], i < COUNT(methods) ? 1 : 0));
        }
        const diffquant_scale_init method = methods[i % COUNT(methods)];
        check_context("method %u", method);
        CHECK_OK(diffquant_quantizer_init_scale_with(quantizers[0], method, 97.0f, x, N));
        CHECK_OK(diffquant_quantizer_init_scale_from_observer(quantizers[1], observer, method, 97.0f));
        for (size_t j = 0; j < 2; j++) {
            REQUIRE_OK(diffquant_quantizer_forward(quantizers[j], x, N, NULL, values[j]));
            for (size_t k = 0; k < N; k++) {
                errors[j] += ((double)x[k] - (double)values[j][k]) * ((double)x[k] - (double)values[j][k]);
            }
        }
        CHECK_NEAR(errors[1], errors[0], 0.05 * errors[0]);
        if (method == DIFFQUANT_SCALE_INIT_MSE) {
            CHECK(errors[1] < 1.01 * errors[0]);
        }
        const struct quantizer_state states[] = {state_of(quantizers[0]), state_of(quantizers[1])};
        CHECK_NEAR((double)states[1].scales[0], (double)states[0].scales[0], 0.05 * (double)states[0].scales[0]);
        diffquant_quantizer_free(quantizers[0]);
        diffquant_quantizer_free(quantizers[1]);
    }
    diffquant_observer_free(observer);
}

TEST(zeros_give_scale_1_and_extreme_floats_a_scale_that_covers_them) {
    static const float zeros[] = {0.0f, -0.0f, 0.0f}, huge[] = {FLT_MAX, -FLT_MAX, 1.0f}, tiny[] = {1e-45f, -1e-45f};
    static const struct {
        const float *x;
        size_t n;
        float least, most;
    } cases[] = {{zeros, 3, 1.0f, 1.0f}, {huge, 3, FLT_MAX / 16, FLT_MAX}, {tiny, 2, FLT_MIN, FLT_MIN}};
    for (size_t i = 0; i < 5 * COUNT(cases) * 2; i++) {
        const diffquant_scale_init method = (diffquant_scale_init)(i % 5);
        const size_t one = i / 5 % COUNT(cases);
        diffquant_observer *observer = new_observer(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
        diffquant_quantizer *quantizer = uniform_quantizer(4, 99.0f);
        REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, i < 15 ? 1 : 0));
        observe_all(observer, cases[one].x, cases[one].n);
        check_context("method %u, case %zu", method, one);
        CHECK_OK(diffquant_quantizer_init_scale_from_observer(quantizer, observer, method, 100.0f));
        float scale = 0.0f;
        REQUIRE_OK(diffquant_quantizer_scales(quantizer, &scale, 1));
        CHECK(scale >= cases[one].least && scale <= cases[one].most);
        diffquant_quantizer_free(quantizer);
        diffquant_observer_free(observer);
    }
}

/* ---- Refusals ---------------------------------------------------------------------------------------------------- */

TEST(an_observer_is_not_made_of_bad_numbers) {
    static const float constants[] = {0.0f, -0.5f, 1.5f, NAN, INFINITY};
    diffquant_observer *made = no_observer();
    CHECK_REFUSED(diffquant_observer_new(3, 0.5f, &made), DIFFQUANT_STATUS_UNKNOWN_CONSTANT, "kind", "3");
    for (size_t i = 0; i < COUNT(constants); i++) {
        check_context("constant %g", (double)constants[i]);
        CHECK_REFUSED(diffquant_observer_new(DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE, constants[i], &made),
                      DIFFQUANT_STATUS_INVALID_ARGUMENT, "averaging_constant");
    }
    CHECK(made == no_observer());
    /* Nobody looks at the parameter of the others; 1 is allowed. */
    CHECK_OK(diffquant_observer_new(DIFFQUANT_OBSERVER_KIND_HISTOGRAM, NAN, &made));
    diffquant_observer_free(made);
    CHECK_OK(diffquant_observer_new(DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE, 1.0f, &made));
    diffquant_observer_free(made);
}

TEST(a_shape_that_makes_no_sense_is_refused_and_changes_nothing) {
    static const size_t shape[] = {2, 3}, none[] = {2, 0}, huge[] = {SIZE_MAX, 2};
    static const float x[] = {1.0f};
    diffquant_observer *observer = new_observer(DIFFQUANT_OBSERVER_KIND_MIN_MAX);
    observe_all(observer, x, 1);
    const struct observer_text before = observer_text_of(observer);
    const diffquant_status invalid = DIFFQUANT_STATUS_INVALID_ARGUMENT;
    CHECK_REFUSED(diffquant_observer_set_shape(observer, shape, 0, 0), invalid, "ndim", "0");
    CHECK_REFUSED(diffquant_observer_set_shape(observer, shape, 17, 0), invalid, "ndim", "17");
    CHECK_REFUSED(diffquant_observer_set_shape(observer, none, 2, 0), invalid, "shape", "0");
    CHECK_REFUSED(diffquant_observer_set_shape(observer, shape, 2, 2), DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE, "axis", "2");
    CHECK_REFUSED(diffquant_observer_set_shape(observer, huge, 2, 0), DIFFQUANT_STATUS_SIZE_OVERFLOW, "shape");
    CHECK_REFUSED(diffquant_observer_set_shape(observer, NULL, 2, 0), DIFFQUANT_STATUS_NULL_POINTER, "shape");
    CHECK_REFUSED(diffquant_observer_set_shape(observer, at_offset(shape, 1), 1, 0), DIFFQUANT_STATUS_MISALIGNED, "shape");
    CHECK_REFUSED(diffquant_observer_set_shape(NULL, shape, 2, 0), DIFFQUANT_STATUS_NULL_POINTER, "observer");
    CHECK_OBSERVER(observer, &before);
    diffquant_observer_free(observer);
}

TEST(a_batch_that_does_not_fit_is_refused_and_changes_nothing) {
    static const float x[7] = {0};
    diffquant_observer *observer = of_channels(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
    observe_all(observer, x, 6);
    const struct observer_text before = observer_text_of(observer);
    CHECK_REFUSED(diffquant_observer_observe(observer, x, 7), DIFFQUANT_STATUS_LENGTH_MISMATCH, "7", "6");
    CHECK_REFUSED(diffquant_observer_observe(observer, NULL, 6), DIFFQUANT_STATUS_NULL_POINTER, "x");
    CHECK_REFUSED(diffquant_observer_observe(NULL, x, 6), DIFFQUANT_STATUS_NULL_POINTER, "observer");
    CHECK_REFUSED(diffquant_observer_observe(observer, at_offset(x, 2), 6), DIFFQUANT_STATUS_MISALIGNED, "x");
    CHECK_REFUSED(diffquant_observer_observe(observer, x, SIZE_MAX), DIFFQUANT_STATUS_SIZE_OVERFLOW, "x");
    CHECK_OK(diffquant_observer_observe(observer, at_offset(NULL, 1), 0));
    CHECK_OBSERVER(observer, &before);
    diffquant_observer_free(observer);
}

TEST(what_an_observer_tells_goes_only_to_good_pointers) {
    static const float x[] = {1, 2, 3, 4, 5, 6};
    diffquant_observer *observer = of_channels(DIFFQUANT_OBSERVER_KIND_MIN_MAX);
    observe_all(observer, x, 6);
    float numbers[8] = {0}, expected[8] = {0};
    uint64_t counts[8] = {0};
    diffquant_observer_kind kind = 99;
    diffquant_observer *made = no_observer();
    const diffquant_status null = DIFFQUANT_STATUS_NULL_POINTER, misaligned = DIFFQUANT_STATUS_MISALIGNED;

    CHECK_REFUSED(diffquant_observer_range(observer, numbers, numbers + 4, 2), DIFFQUANT_STATUS_LENGTH_MISMATCH, "2", "3");
    CHECK_REFUSED(diffquant_observer_range(observer, numbers, numbers + 2, 3), DIFFQUANT_STATUS_OVERLAP, "min", "max");
    CHECK_REFUSED(diffquant_observer_range(observer, NULL, numbers, 3), null, "min");
    CHECK_REFUSED(diffquant_observer_range(observer, numbers, NULL, 3), null, "max");
    CHECK_REFUSED(diffquant_observer_range(NULL, numbers, numbers + 4, 3), null, "observer");
    CHECK_REFUSED(diffquant_observer_range(observer, at_offset(numbers, 1), numbers + 4, 3), misaligned, "min");
    CHECK_REFUSED(diffquant_observer_range(observer, numbers, numbers + 4, SIZE_MAX), DIFFQUANT_STATUS_SIZE_OVERFLOW, "min");
    CHECK_REFUSED(diffquant_observer_counts(observer, counts, counts + 4, 4), DIFFQUANT_STATUS_LENGTH_MISMATCH, "4", "3");
    CHECK_REFUSED(diffquant_observer_counts(observer, counts, counts + 2, 3), DIFFQUANT_STATUS_OVERLAP, "finite");
    CHECK_REFUSED(diffquant_observer_counts(observer, NULL, counts, 3), null, "finite");
    CHECK_REFUSED(diffquant_observer_counts(NULL, counts, NULL, 3), null, "observer");
    CHECK_REFUSED(diffquant_observer_counts(observer, at_offset(counts, 4), NULL, 3), misaligned, "finite");
    CHECK_REFUSED(diffquant_observer_counts(observer, counts, at_offset(counts, 28), 3), misaligned, "non_finite");
    CHECK_REFUSED(diffquant_observer_counts(observer, counts, NULL, SIZE_MAX), DIFFQUANT_STATUS_SIZE_OVERFLOW, "finite");
    CHECK_REFUSED(diffquant_observer_kind_of(observer, NULL, numbers), null, "kind");
    CHECK_REFUSED(diffquant_observer_kind_of(NULL, &kind, numbers), null, "observer");
    CHECK_REFUSED(diffquant_observer_kind_of(observer, &kind, (void *)&kind), DIFFQUANT_STATUS_OVERLAP, "kind");
    CHECK_REFUSED(diffquant_observer_group_count(observer, NULL), null, "out");
    CHECK_REFUSED(diffquant_observer_group_count(NULL, (void *)counts), null, "observer");
    CHECK_REFUSED(diffquant_observer_new(DIFFQUANT_OBSERVER_KIND_MIN_MAX, 0.0f, NULL), null, "out");
    CHECK_REFUSED(diffquant_observer_clone(observer, NULL), null, "out");
    CHECK_REFUSED(diffquant_observer_clone(NULL, &made), null, "observer");
    CHECK_REFUSED(diffquant_observer_reset(NULL), null, "observer");
    CHECK_REFUSED(diffquant_observer_merge(NULL, observer), null, "observer");
    CHECK_REFUSED(diffquant_observer_merge(observer, NULL), null, "other");
    CHECK_FLOATS(numbers, expected, 8);
    CHECK_UINT(counts[0], 0);
    CHECK_UINT(kind, 99);
    CHECK(made == no_observer());
    diffquant_observer_free(observer);
}

TEST(a_quantizer_takes_scales_only_from_an_observer_that_has_them) {
    static const float x[] = {1, 2, 3, 4, 5, 6}, one_channel_of_nans[] = {1, 2, NAN, NAN, 5, 6}, huge[] = {FLT_MAX};
    static const float scales[] = {0.5f, 0.25f, 2.0f};
    diffquant_quantizer *quantizer = channel_quantizer(4, scales, 3);
    const struct quantizer_state before = state_of(quantizer);
    diffquant_observer *ranges = of_channels(DIFFQUANT_OBSERVER_KIND_MIN_MAX);
    diffquant_observer *histogram = of_channels(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
    diffquant_observer *tensor = new_observer(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
    const diffquant_scale_init min_max = DIFFQUANT_SCALE_INIT_MIN_MAX;
    CHECK_REFUSED(diffquant_quantizer_init_scale_from_observer(quantizer, histogram, min_max, 0.0f),
                  DIFFQUANT_STATUS_NO_DATA, "0");
    observe_all(histogram, one_channel_of_nans, 6);
    CHECK_REFUSED(diffquant_quantizer_init_scale_from_observer(quantizer, histogram, DIFFQUANT_SCALE_INIT_MSE, 0.0f),
                  DIFFQUANT_STATUS_NO_DATA, "1");
    observe_all(ranges, x, 6);
    observe_all(tensor, x, 6);
    for (diffquant_scale_init method = DIFFQUANT_SCALE_INIT_LSQ; method <= DIFFQUANT_SCALE_INIT_MSE; method++) {
        CHECK_REFUSED(diffquant_quantizer_init_scale_from_observer(quantizer, ranges, method, 50.0f),
                      DIFFQUANT_STATUS_NOT_APPLICABLE, "histogram");
    }
    CHECK_REFUSED(diffquant_quantizer_init_scale_from_observer(quantizer, tensor, min_max, 0.0f),
                  DIFFQUANT_STATUS_LENGTH_MISMATCH, "1", "3");
    CHECK_REFUSED(diffquant_quantizer_init_scale_from_observer(quantizer, histogram, DIFFQUANT_SCALE_INIT_PERCENTILE, 101.0f),
                  DIFFQUANT_STATUS_INVALID_ARGUMENT, "percentile", "101");
    CHECK_REFUSED(diffquant_quantizer_init_scale_from_observer(quantizer, ranges, 5, 0.0f),
                  DIFFQUANT_STATUS_UNKNOWN_CONSTANT, "method", "5");
    CHECK_REFUSED(diffquant_quantizer_init_scale_from_observer(NULL, ranges, min_max, 0.0f),
                  DIFFQUANT_STATUS_NULL_POINTER, "quantizer");
    CHECK_REFUSED(diffquant_quantizer_init_scale_from_observer(quantizer, NULL, min_max, 0.0f),
                  DIFFQUANT_STATUS_NULL_POINTER, "observer");
    CHECK_STATE(quantizer, &before);
    diffquant_quantizer_free(quantizer);

    /* A step beyond the largest float: of pi with two bits, whose alpha is larger than its step. */
    REQUIRE_OK(diffquant_quantizer_new_pi(2, 5, &quantizer));
    const struct quantizer_state pi_before = state_of(quantizer);
    diffquant_observer *of_huge = new_observer(DIFFQUANT_OBSERVER_KIND_MIN_MAX);
    observe_all(of_huge, huge, 1);
    CHECK_REFUSED(diffquant_quantizer_init_scale_from_observer(quantizer, of_huge, min_max, 0.0f),
                  DIFFQUANT_STATUS_INVALID_ARGUMENT, "scale");
    CHECK_STATE(quantizer, &pi_before);
    diffquant_quantizer_free(quantizer);
    diffquant_observer_free(of_huge);
    diffquant_observer_free(ranges);
    diffquant_observer_free(histogram);
    diffquant_observer_free(tensor);
}
