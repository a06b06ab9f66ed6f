/* Large calls of every granularity on a host's pool: the bits of one thread, whoever is given which part, and in which
 * order. (Per tensor and per slice, and threads of the library: test_parallel.c.) */

#include "support.h"

/* A pool that runs the parts backwards, or every other one first, and counts its calls. */
struct pool {
    size_t calls;
    bool backwards;
};

static void parallel_for(void *context, size_t count, void (*run)(void *task, size_t index), void *task) {
    struct pool *pool = context;
    pool->calls++;
    for (size_t i = 0; i < count; i++) {
        const size_t odd = count / 2, mixed = i < odd ? 2 * i + 1 : 2 * (i - odd);
        run(task, pool->backwards ? count - 1 - i : mixed);
    }
}

/* A pool is used from 1 Mi elements on; these are a little more. */
static const struct {
    const char *name;
    diffquant_granularity granularity;
    size_t block_size, shape[3], ndim, axis;
} layouts[] = {
    {"channels on the last axis", DIFFQUANT_GRANULARITY_PER_CHANNEL, 0, {16411, 64}, 2, 1},
    {"many channels on the last axis", DIFFQUANT_GRANULARITY_PER_CHANNEL, 0, {3, 349529}, 2, 1},
    {"short channels in the middle", DIFFQUANT_GRANULARITY_PER_CHANNEL, 0, {58271, 6, 3}, 3, 1},
    {"long channels in the middle", DIFFQUANT_GRANULARITY_PER_CHANNEL, 0, {7, 2, 74903}, 3, 1},
    {"short tokens", DIFFQUANT_GRANULARITY_PER_TOKEN, 0, {116513, 9}, 2, 0},
    {"long tokens", DIFFQUANT_GRANULARITY_PER_TOKEN, 0, {3, 349529}, 2, 0},
    {"blocks along the first axis", DIFFQUANT_GRANULARITY_PER_BLOCK, 1000, {349529, 3}, 2, 0},
    {"blocks in the middle", DIFFQUANT_GRANULARITY_PER_BLOCK, 3, {500, 100, 21}, 3, 1},
    {"blocks along the last axis, short last ones", DIFFQUANT_GRANULARITY_PER_BLOCK, 32, {14983, 70}, 2, 1},
};

/* Everything that is computed of a tensor. */
struct results {
    size_t n, scales;
    int8_t *codes, *dynamic_codes;
    float *values, *again, *grad_w, *grad_scale, *grad_offset, *dynamic_scales, *lsq, *min_max;
    int32_t *zero_points;
};

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    REQUIRE(memory != NULL);
    return memory;
}

static struct results results_new(size_t n, size_t scales) {
    return (struct results){
        .n = n,
        .scales = scales,
        .codes = allocate(n, 1),
        .dynamic_codes = allocate(n, 1),
        .values = allocate(n, sizeof(float)),
        .again = allocate(n, sizeof(float)),
        .grad_w = allocate(n, sizeof(float)),
        .grad_scale = allocate(scales, sizeof(float)),
        .grad_offset = allocate(scales, sizeof(float)),
        .dynamic_scales = allocate(scales, sizeof(float)),
        .lsq = allocate(scales, sizeof(float)),
        .min_max = allocate(scales, sizeof(float)),
        .zero_points = allocate(scales, sizeof(int32_t)),
    };
}

static void results_free(struct results *results) {
    void *all[] = {results->codes,   results->dynamic_codes, results->values,        results->again,
                   results->grad_w,  results->grad_scale,    results->grad_offset,   results->lsq,
                   results->min_max, results->zero_points,   results->dynamic_scales};
    for (size_t i = 0; i < COUNT(all); i++) {
        free(all[i]);
    }
}

static void compute(diffquant_quantizer *q, const float *w, const float *g, struct results *r) {
    const size_t n = r->n, scales = r->scales;
    CHECK_OK(diffquant_quantizer_forward(q, w, n, r->codes, r->values));
    CHECK_OK(diffquant_quantizer_dequantize(q, r->codes, n, r->again));
    CHECK_OK(diffquant_quantizer_backward_scale_offset(q, w, g, n, r->grad_w, r->grad_scale, r->grad_offset));
    CHECK_OK(diffquant_quantizer_forward_dynamic(q, w, n, r->dynamic_codes, NULL, r->dynamic_scales, scales));
    diffquant_quantizer *calibrated = NULL;
    REQUIRE_OK(diffquant_quantizer_clone(q, &calibrated));
    CHECK_OK(diffquant_quantizer_init_scale_with(calibrated, DIFFQUANT_SCALE_INIT_LSQ, 0.0f, w, n));
    REQUIRE_OK(diffquant_quantizer_scales(calibrated, r->lsq, scales));
    CHECK_OK(diffquant_quantizer_init_scale_with(calibrated, DIFFQUANT_SCALE_INIT_MIN_MAX, 0.0f, w, n));
    REQUIRE_OK(diffquant_quantizer_scales(calibrated, r->min_max, scales));
    REQUIRE_OK(diffquant_quantizer_zero_points(calibrated, r->zero_points, scales));
    diffquant_quantizer_free(calibrated);
}

static void check_same(const struct results *actual, const struct results *expected) {
    const size_t n = expected->n, scales = expected->scales;
    CHECK_CODES(actual->codes, expected->codes, n);
    CHECK_FLOATS(actual->values, expected->values, n);
    CHECK_FLOATS(actual->again, expected->again, n);
    CHECK_FLOATS(actual->grad_w, expected->grad_w, n);
    CHECK_FLOATS(actual->grad_scale, expected->grad_scale, scales);
    CHECK_FLOATS(actual->grad_offset, expected->grad_offset, scales);
    CHECK_CODES(actual->dynamic_codes, expected->dynamic_codes, n);
    CHECK_FLOATS(actual->dynamic_scales, expected->dynamic_scales, scales);
    CHECK_FLOATS(actual->lsq, expected->lsq, scales);
    CHECK_FLOATS(actual->min_max, expected->min_max, scales);
    CHECK_INTS(actual->zero_points, expected->zero_points, scales);
}

/* The groups have scales, zero points and offsets of their own. */
static diffquant_quantizer *make_quantizer(size_t layout, size_t *scales) {
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_LSQ_PLUS, 0.0f));
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, layouts[layout].granularity, layouts[layout].block_size));
    REQUIRE_OK(
        diffquant_quantizer_set_shape(quantizer, layouts[layout].shape, layouts[layout].ndim, layouts[layout].axis));
    REQUIRE_OK(diffquant_quantizer_scale_count(quantizer, scales));
    float *numbers = allocate(*scales, sizeof *numbers);
    int32_t *zero_points = allocate(*scales, sizeof *zero_points);
    for (size_t i = 0; i < *scales; i++) {
        numbers[i] = 0.1f + 0.07f * (float)(i % 13);
        zero_points[i] = (int32_t)(i % 11) - 5;
    }
    REQUIRE_OK(diffquant_quantizer_set_scales(quantizer, numbers, *scales));
    REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, zero_points, *scales));
    REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, numbers, *scales));
    free(numbers);
    free(zero_points);
    return quantizer;
}

TEST(the_hosts_pool_gives_the_bits_of_one_thread_for_every_granularity) {
    for (size_t layout = 0; layout < COUNT(layouts); layout++) {
        size_t n = 1, scales = 0;
        for (size_t i = 0; i < layouts[layout].ndim; i++) {
            n *= layouts[layout].shape[i];
        }
        float *w = allocate(n, sizeof *w), *g = allocate(n, sizeof *g);
        fill_weights(w, n, (uint32_t)layout, false);
        fill_weights(g, n, (uint32_t)layout + 100, false);
        diffquant_quantizer *quantizer = make_quantizer(layout, &scales);
        struct results expected = results_new(n, scales), actual = results_new(n, scales);
        struct pool pool = {.backwards = layout % 2 == 0};
        check_context("%s, %s", layouts[layout].name, pool.backwards ? "backwards" : "mixed");
        compute(quantizer, w, g, &expected);
        CHECK_OK(diffquant_quantizer_set_parallel_for(quantizer, parallel_for, &pool));
        compute(quantizer, w, g, &actual);
        CHECK(pool.calls > 0);
        check_same(&actual, &expected);
        diffquant_quantizer_free(quantizer);
        results_free(&expected);
        results_free(&actual);
        free(w);
        free(g);
    }
}
