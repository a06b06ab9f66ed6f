/* What the functions on 16-bit tensors refuse, when memory is short too, and that they need none otherwise. */

#include "alloc_probe.h"
#include "support.h"

enum { N = 75, CHANNELS = 3 };

static const diffquant_dtype dtypes[] = {DIFFQUANT_DTYPE_F16, DIFFQUANT_DTYPE_BF16};

/* N numbers that are finite, whichever type they are of. */
static void fill_halves(uint16_t *halves) {
    for (size_t i = 0; i < N; i++) {
        halves[i] = (uint16_t)(0x3800 + 37 * i % 1024 + (i % 2) * 0x8000);
    }
}

static diffquant_quantizer *make_quantizer(diffquant_ste ste) {
    static const float scales[CHANNELS] = {0.5f, 0.3f, 0.7f};
    diffquant_quantizer *quantizer = channel_quantizer(4, scales, CHANNELS);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, ste, 0.3f));
    return quantizer;
}

TEST(tensors_of_16_bits_need_no_allocation) {
    const struct alloc_probe *probe = alloc_probe_find();
    if (probe == NULL) {
        return;
    }
    enum { MANY = 3000 };
    static uint16_t w[MANY], g[MANY], values[MANY], grad_w[MANY];
    static int8_t codes[MANY];
    float grad_scale = 0.0f, grad_offset = 0.0f;
    diffquant_quantizer *q = uniform_quantizer(4, 0.5f);
    REQUIRE_OK(diffquant_quantizer_set_ste(q, DIFFQUANT_STE_LSQ, 0.0f));
    for (diffquant_dtype dtype = DIFFQUANT_DTYPE_F16; dtype <= DIFFQUANT_DTYPE_BF16; dtype++) {
        check_context("dtype %u", dtype);
        probe->start(0);
        diffquant_status status = diffquant_quantizer_forward_typed(q, dtype, w, MANY, codes, values);
        status |= diffquant_quantizer_backward_typed(q, dtype, w, values, g, MANY, grad_w);
        status |= diffquant_quantizer_backward_scale_typed(q, dtype, w, g, MANY, grad_w, &grad_scale);
        status |=
            diffquant_quantizer_backward_scale_offset_typed(q, dtype, w, g, MANY, grad_w, &grad_scale, &grad_offset);
        status |= diffquant_quantizer_dequantize_typed(q, dtype, codes, MANY, values);
        const long asked = probe->stop();
        CHECK_UINT(status, DIFFQUANT_STATUS_OK);
        CHECK_INT(asked, 0);
    }
    diffquant_quantizer_free(q);
}

/* Every function, with its tensors, a number per group and codes where the caller says. */
struct arguments {
    diffquant_dtype dtype;
    const void *in;
    size_t n;
    void *out;
    float *numbers;
    int8_t *codes;
};

static diffquant_status call_forward(diffquant_quantizer *q, struct arguments a) {
    return diffquant_quantizer_forward_typed(q, a.dtype, a.in, a.n, a.codes, a.out);
}
static diffquant_status call_forward_dynamic(diffquant_quantizer *q, struct arguments a) {
    return diffquant_quantizer_forward_dynamic_typed(q, a.dtype, a.in, a.n, a.codes, a.out, a.numbers, CHANNELS);
}
static diffquant_status call_forward_statistics(diffquant_quantizer *q, struct arguments a) {
    static diffquant_statistics statistics[CHANNELS];
    return diffquant_quantizer_forward_statistics_typed(q, a.dtype, a.in, a.n, a.codes, a.out, statistics, CHANNELS);
}
static diffquant_status call_backward(diffquant_quantizer *q, struct arguments a) {
    return diffquant_quantizer_backward_typed(q, a.dtype, a.in, NULL, a.in, a.n, a.out);
}
static diffquant_status call_backward_scale(diffquant_quantizer *q, struct arguments a) {
    return diffquant_quantizer_backward_scale_typed(q, a.dtype, a.in, a.in, a.n, a.out, a.numbers);
}
static diffquant_status call_backward_scale_offset(diffquant_quantizer *q, struct arguments a) {
    return diffquant_quantizer_backward_scale_offset_typed(q, a.dtype, a.in, a.in, a.n, a.out, a.numbers,
                                                           a.numbers == NULL ? NULL : a.numbers + CHANNELS);
}
static diffquant_status call_dequantize(diffquant_quantizer *q, struct arguments a) {
    return diffquant_quantizer_dequantize_typed(q, a.dtype, a.codes, a.n, a.out);
}
static diffquant_status call_init_scale(diffquant_quantizer *q, struct arguments a) {
    return diffquant_quantizer_init_scale_with_typed(q, a.dtype, DIFFQUANT_SCALE_INIT_MAX_ABS, 0.0f, a.in, a.n);
}

static const struct {
    /* Its first tensor, the tensor that it writes, and its numbers per group; NULL for what it does not have. */
    const char *name, *tensor, *out, *numbers;
    bool out_may_be_null;
    diffquant_status (*call)(diffquant_quantizer *, struct arguments);
} functions[] = {
    {"forward", "w", "values", NULL, true, call_forward},
    {"forward_statistics", "w", "values", NULL, true, call_forward_statistics},
    {"forward_dynamic", "w", "values", "scales", true, call_forward_dynamic},
    {"backward", "w", "grad_w", NULL, false, call_backward},
    {"backward_scale", "w", "grad_w", "grad_scale", true, call_backward_scale},
    {"backward_scale_offset", "w", "grad_w", "grad_scale", true, call_backward_scale_offset},
    {"dequantize", "codes", "values", NULL, false, call_dequantize},
    {"init_scale_with", "w", NULL, NULL, false, call_init_scale},
};

TEST(every_function_refuses_what_it_cannot_take_and_writes_nothing) {
    static uint16_t in[2 * N];
    static const float in_floats[4] = {0};
    struct guarded out = guarded_new(4 * N), numbers = guarded_new(2 * CHANNELS * sizeof(float));
    struct guarded codes = guarded_new(N);
    fill_halves(in);
    diffquant_quantizer *q = make_quantizer(DIFFQUANT_STE_LSQ), *shapeless = NULL;
    REQUIRE_OK(diffquant_quantizer_clone(q, &shapeless));
    REQUIRE_OK(diffquant_quantizer_set_granularity(shapeless, DIFFQUANT_GRANULARITY_PER_BLOCK, 8));
    const struct quantizer_state before = state_of(q);
    for (size_t i = 0; i < COUNT(functions) * COUNT(dtypes); i++) {
        const size_t f = i / COUNT(dtypes);
        diffquant_status (*call)(diffquant_quantizer *, struct arguments) = functions[f].call;
        const struct arguments good = {dtypes[i % COUNT(dtypes)], in, N, out.data, numbers.data, codes.data};
        check_context("%s, dtype %u", functions[f].name, good.dtype);
        struct arguments bad = good;
        for (size_t unknown = 3; unknown < 6; unknown++) {
            bad.dtype = unknown == 5 ? UINT32_MAX : (diffquant_dtype)unknown;
            CHECK_REFUSED(call(q, bad), DIFFQUANT_STATUS_UNKNOWN_CONSTANT, "dtype", decimal(bad.dtype).text);
            bad.n = unknown == 4 ? 0 : N;
        }
        CHECK_REFUSED(call(NULL, good), DIFFQUANT_STATUS_NULL_POINTER, "quantizer");
        bad = good;
        bad.in = NULL;
        bad.codes = NULL;
        CHECK_REFUSED(call(q, bad), DIFFQUANT_STATUS_NULL_POINTER, functions[f].tensor);
        bad = good;
        bad.n = N - 1;
        CHECK_REFUSED(call(q, bad), DIFFQUANT_STATUS_LENGTH_MISMATCH, "n", decimal(N - 1).text);
        bad.n = SIZE_MAX / 4 + 1; /* fits as bytes, and not as elements of two */
        if (strcmp(functions[f].tensor, "w") == 0) {
            CHECK_REFUSED(call(q, bad), DIFFQUANT_STATUS_SIZE_OVERFLOW, decimal(SIZE_MAX / 4 + 1).text);
            bad = good;
            bad.in = at_offset(in, 1);
            CHECK_REFUSED(call(q, bad), DIFFQUANT_STATUS_MISALIGNED, functions[f].tensor, "2");
            bad.in = at_offset(in, 2);
            bad.n = 0;
            CHECK_OK(call(q, bad));
        } else {
            CHECK_REFUSED(call(q, bad), DIFFQUANT_STATUS_SIZE_OVERFLOW, "values");
        }
        CHECK_REFUSED(call(shapeless, good), DIFFQUANT_STATUS_NO_SHAPE, "shape");
        if (functions[f].out != NULL) {
            bad = good;
            bad.out = at_offset(out.data, 1);
            CHECK_REFUSED(call(q, bad), DIFFQUANT_STATUS_MISALIGNED, functions[f].out, "2");
            bad = good;
            bad.out = NULL;
            if (!functions[f].out_may_be_null) {
                CHECK_REFUSED(call(q, bad), DIFFQUANT_STATUS_NULL_POINTER, functions[f].out);
            }
            /* The last byte of one is the first of the other. */
            bad = good;
            if (strcmp(functions[f].tensor, "w") == 0) {
                bad.out = in + N - 1;
            } else {
                bad.codes = at_offset(out.data, 2 * N - 1);
            }
            CHECK_REFUSED(call(q, bad), DIFFQUANT_STATUS_OVERLAP, functions[f].out, functions[f].tensor);
            bad.out = out.data;
            bad.codes = codes.data;
        }
        if (functions[f].numbers != NULL) {
            bad = good;
            bad.numbers = NULL;
            CHECK_REFUSED(call(q, bad), DIFFQUANT_STATUS_NULL_POINTER, functions[f].numbers);
            bad.numbers = at_offset(numbers.data, 2); /* floats, whatever the dtype */
            CHECK_REFUSED(call(q, bad), DIFFQUANT_STATUS_MISALIGNED, functions[f].numbers, "4");
            bad.numbers = at_offset(out.data, 2 * N - 2);
            CHECK_REFUSED(call(q, bad), DIFFQUANT_STATUS_OVERLAP, functions[f].numbers);
        }
        check_context("%s, dtype %u: what was refused wrote", functions[f].name, good.dtype);
        CHECK_UNTOUCHED(&out);
        CHECK_UNTOUCHED(&numbers);
        CHECK_UNTOUCHED(&codes);
        CHECK_STATE(q, &before);
    }
    /* An address that is good for 16 bits is not for floats. */
    check_context("F32");
    CHECK_REFUSED(diffquant_quantizer_forward_typed(q, DIFFQUANT_DTYPE_F32, at_offset(in_floats, 2), 3, NULL, NULL),
                  DIFFQUANT_STATUS_MISALIGNED, "w", "4");
    /* The estimator has no gradient of an offset. */
    REQUIRE_OK(diffquant_quantizer_set_ste(q, DIFFQUANT_STE_EWGS, 0.3f));
    CHECK_REFUSED(diffquant_quantizer_backward_scale_offset_typed(q, DIFFQUANT_DTYPE_BF16, in, in, N, NULL, numbers.data,
                                                                  at_offset(numbers.data, 12)),
                  DIFFQUANT_STATUS_NOT_APPLICABLE, "offset");
    CHECK_UNTOUCHED(&numbers);
    guarded_free(&out);
    guarded_free(&numbers);
    guarded_free(&codes);
    diffquant_quantizer_free(q);
    diffquant_quantizer_free(shapeless);
}

TEST(scales_refuse_16_bit_weights_that_are_not_finite_and_methods_that_are_not_known) {
    static const uint16_t bad[][3] = {{0x3c00, 0x7c00, 0x3c00}, {0x3f80, 0x3f80, 0x7fc0}};
    static const char *const index[] = {"1", "2"};
    static const uint16_t large[] = {0x3f80, 0x7f7f};
    float scale = 99.0f;
    diffquant_quantizer *q = uniform_quantizer(4, 0.5f), *pi = NULL;
    const struct quantizer_state before = state_of(q);
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        check_context("dtype %u", dtypes[d]);
        CHECK_REFUSED(diffquant_quantizer_forward_dynamic_typed(q, dtypes[d], bad[d], 3, NULL, NULL, &scale, 1),
                      DIFFQUANT_STATUS_NON_FINITE, "w", index[d]);
        CHECK_REFUSED(diffquant_quantizer_init_scale_with_typed(q, dtypes[d], DIFFQUANT_SCALE_INIT_MSE, 0, bad[d], 3),
                      DIFFQUANT_STATUS_NON_FINITE, "w", index[d]);
    }
    const diffquant_dtype dtype = DIFFQUANT_DTYPE_BF16;
    CHECK_REFUSED(diffquant_quantizer_init_scale_with_typed(q, dtype, 77, 0, large, 2),
                  DIFFQUANT_STATUS_UNKNOWN_CONSTANT, "method", "77");
    CHECK_REFUSED(
        diffquant_quantizer_init_scale_with_typed(q, dtype, DIFFQUANT_SCALE_INIT_PERCENTILE, 101.0f, large, 2),
        DIFFQUANT_STATUS_INVALID_ARGUMENT, "percentile", "101");
    CHECK_STATE(q, &before);
    /* max / (PI / 3 * 1.5) is finite, times PI it is not. */
    REQUIRE_OK(diffquant_quantizer_new_pi(2, 3, &pi));
    CHECK_REFUSED(diffquant_quantizer_forward_dynamic_typed(pi, dtype, large, 2, NULL, NULL, &scale, 1),
                  DIFFQUANT_STATUS_INVALID_ARGUMENT, "scale", "step");
    CHECK_FLOAT(scale, 99.0f);
    diffquant_quantizer_free(q);
    diffquant_quantizer_free(pi);
}

/* Rows are rotated in copies. */
TEST(rotated_16_bit_tensors_are_refused_when_memory_is_short_and_nothing_is_written) {
    const struct alloc_probe *probe = alloc_probe_find();
    static uint16_t in[N];
    fill_halves(in);
    diffquant_quantizer *q = make_quantizer(DIFFQUANT_STE_LSQ);
    REQUIRE_OK(diffquant_quantizer_set_incoherence(q, 1));
    const struct quantizer_state before = state_of(q);
    /* All but the last, which changes the quantizer; test_memory.c has it. */
    for (size_t i = 0; probe != NULL && i < (COUNT(functions) - 1) * COUNT(dtypes); i++) {
        struct guarded out = guarded_new(2 * N), numbers = guarded_new(2 * CHANNELS * sizeof(float));
        struct guarded codes = guarded_new(N);
        const bool reads_codes = strcmp(functions[i / COUNT(dtypes)].tensor, "codes") == 0;
        const struct arguments good = {dtypes[i % COUNT(dtypes)], in, N, out.data, numbers.data, codes.data};
        diffquant_status status = DIFFQUANT_STATUS_OUT_OF_MEMORY;
        long allowed = 0;
        for (; status != DIFFQUANT_STATUS_OK && allowed < 20; allowed++) {
            check_context("%s, dtype %u, %ld allocations", functions[i / COUNT(dtypes)].name, good.dtype, allowed);
            probe->start(allowed);
            status = functions[i / COUNT(dtypes)].call(q, good);
            probe->stop();
            CHECK_INT(probe->outstanding(), 0);
            if (status != DIFFQUANT_STATUS_OK) {
                CHECK_UINT(status, DIFFQUANT_STATUS_OUT_OF_MEMORY);
                CHECK_UNTOUCHED(&out);
                CHECK_UNTOUCHED(&numbers);
                CHECK_UNTOUCHED(&codes);
            }
        }
        CHECK_UINT(status, DIFFQUANT_STATUS_OK);
        CHECK(allowed > 2 && (reads_codes || !still_untouched(out.data, 2 * N)));
        CHECK_STATE(q, &before);
        guarded_free(&out);
        guarded_free(&numbers);
        guarded_free(&codes);
    }
    diffquant_quantizer_free(q);
}

TEST(forward_rejects_16_bit_weights_that_are_not_finite_where_that_is_the_policy) {
    static const uint16_t bad[][3] = {{0x3c00, 0x3c00, 0xfc00}, {0x3f80, 0x7fc0, 0x3f80}};
    static const char *const index[] = {"2", "1"};
    diffquant_quantizer *q = uniform_quantizer(4, 0.5f);
    REQUIRE_OK(diffquant_quantizer_set_non_finite(q, DIFFQUANT_NON_FINITE_REJECT));
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        diffquant_statistics statistics[1];
        uint16_t values[3];
        touch_not(values, sizeof values);
        check_context("dtype %u", dtypes[d]);
        CHECK_REFUSED(diffquant_quantizer_forward_typed(q, dtypes[d], bad[d], 3, NULL, values),
                      DIFFQUANT_STATUS_NON_FINITE, "w", index[d]);
        CHECK_REFUSED(diffquant_quantizer_forward_statistics_typed(q, dtypes[d], bad[d], 3, NULL, values, statistics, 1),
                      DIFFQUANT_STATUS_NON_FINITE, "w", index[d]);
        CHECK(still_untouched(values, sizeof values));
    }
    diffquant_quantizer_free(q);
}

TEST(an_observer_refuses_16_bit_batches_that_it_cannot_take) {
    static const size_t shape[] = {2, 3};
    static uint16_t x[N];
    fill_halves(x);
    diffquant_observer *observer = new_observer(DIFFQUANT_OBSERVER_KIND_MIN_MAX);
    REQUIRE_OK(diffquant_observer_set_shape(observer, shape, 2, 1));
    const struct observer_text before = observer_text_of(observer);
    const diffquant_dtype dtype = DIFFQUANT_DTYPE_BF16;
    CHECK_REFUSED(diffquant_observer_observe_typed(observer, 3, x, 6), DIFFQUANT_STATUS_UNKNOWN_CONSTANT, "dtype", "3");
    CHECK_REFUSED(diffquant_observer_observe_typed(observer, dtype, at_offset(x, 1), 6), DIFFQUANT_STATUS_MISALIGNED, "x",
                  "2");
    CHECK_REFUSED(diffquant_observer_observe_typed(observer, dtype, NULL, 6), DIFFQUANT_STATUS_NULL_POINTER, "x");
    CHECK_REFUSED(diffquant_observer_observe_typed(NULL, dtype, x, 6), DIFFQUANT_STATUS_NULL_POINTER, "observer");
    CHECK_REFUSED(diffquant_observer_observe_typed(observer, dtype, x, 7), DIFFQUANT_STATUS_LENGTH_MISMATCH, "7");
    CHECK_REFUSED(diffquant_observer_observe_typed(observer, dtype, x, SIZE_MAX / 4 + 1), DIFFQUANT_STATUS_SIZE_OVERFLOW,
                  "x");
    CHECK_OBSERVER(observer, &before);
    diffquant_observer_free(observer);
}
