/* Large calls on several threads, the library's or the host's: the same bits as on one. */

/* For pthreads beside -std=c11. */
#define _DEFAULT_SOURCE

#include "alloc_probe.h"
#include "island.h"

#include <pthread.h>
#include <stdatomic.h>

#define MI ((size_t)1 << 20)
#define HOST_FROM (1 * MI) /* elements from which a host's pool is used, and those of a part at least */
#define HOST_PART (MI / 2)
#define OWN_FROM (4 * MI) /* elements from which threads are made */

/* ---- One computation, by whoever --------------------------------------------------------------------------------- */

#define MOST_CHANNELS 96

struct tensors {
    size_t n, channels;
    const float *w, *g;
    struct island values, grad_w, codes;
    float grad_scale[MOST_CHANNELS];
};

static float *random_weights(size_t n, uint32_t seed) {
    float *w = malloc(n * sizeof *w);
    REQUIRE(w != NULL);
    fill_weights(w, n, seed, true);
    return w;
}

/* Outputs lie at the end of islands: a part that writes past the tensor would be seen. */
static struct tensors tensors_new(const float *w, const float *g, size_t n, size_t channels) {
    return (struct tensors){.n = n,
                            .channels = channels,
                            .w = w,
                            .g = g,
                            .values = island_new(n * sizeof(float)),
                            .grad_w = island_new(n * sizeof(float)),
                            .codes = island_new(n)};
}

static void tensors_free(struct tensors *tensors) {
    island_free(&tensors->values);
    island_free(&tensors->grad_w);
    island_free(&tensors->codes);
}

static float *values_of(const struct tensors *tensors) {
    return island_place(&tensors->values, tensors->n * sizeof(float), true);
}

static float *grad_w_of(const struct tensors *tensors) {
    return island_place(&tensors->grad_w, tensors->n * sizeof(float), true);
}

static int8_t *codes_of(const struct tensors *tensors) {
    return island_place(&tensors->codes, tensors->n, true);
}

/* Every function that may be divided, the last two in place. */
static void compute(const diffquant_quantizer *quantizer, struct tensors *tensors) {
    const size_t n = tensors->n;
    float *values = values_of(tensors), *grad_w = grad_w_of(tensors);
    int8_t *codes = codes_of(tensors);
    touch_not(values, n * sizeof(float));
    touch_not(grad_w, n * sizeof(float));
    touch_not(codes, n);
    CHECK_OK(diffquant_quantizer_forward(quantizer, tensors->w, n, codes, NULL));
    CHECK_OK(diffquant_quantizer_dequantize(quantizer, codes, n, values));
    CHECK_OK(diffquant_quantizer_backward(quantizer, tensors->w, values, tensors->g, n, grad_w));
    CHECK_OK(diffquant_quantizer_backward_scale(quantizer, tensors->w, grad_w, n, grad_w, tensors->grad_scale));
    CHECK_OK(diffquant_quantizer_forward(quantizer, values, n, NULL, values));
}

static void check_same(const struct tensors *actual, const struct tensors *expected) {
    CHECK_CODES(codes_of(actual), codes_of(expected), actual->n);
    CHECK_FLOATS(values_of(actual), values_of(expected), actual->n);
    CHECK_FLOATS(grad_w_of(actual), grad_w_of(expected), actual->n);
    CHECK_FLOATS(actual->grad_scale, expected->grad_scale, actual->channels);
}

static diffquant_quantizer *make_quantizer(size_t channels) {
    float scales[MOST_CHANNELS];
    for (size_t i = 0; i < channels; i++) {
        scales[i] = 0.1f + 0.07f * (float)(i % 13);
    }
    diffquant_quantizer *quantizer = channel_quantizer(4, scales, channels);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_EWGS, 0.3f));
    return quantizer;
}

/* ---- Threads of the library -------------------------------------------------------------------------------------- */

TEST(any_number_of_threads_gives_the_bits_of_one) {
    static const size_t counts[] = {2, 0, SIZE_MAX};
    static const size_t channels[] = {1, 3};
    const size_t most = OWN_FROM + 96;
    float *w = random_weights(most, 81), *g = random_weights(most, 82);
    for (size_t i = 0; i < COUNT(channels); i++) {
        const size_t n = most / channels[i] * channels[i];
        struct tensors expected = tensors_new(w, g, n, channels[i]), actual = tensors_new(w, g, n, channels[i]);
        diffquant_quantizer *quantizer = make_quantizer(channels[i]);
        compute(quantizer, &expected);
        /* All counts for one layout; for the others one is enough. */
        for (size_t j = 0; j < (i == 0 ? COUNT(counts) : 1); j++) {
            check_context("%zu channels, %zu threads", channels[i], counts[j]);
            CHECK_OK(diffquant_quantizer_set_threads(quantizer, counts[j]));
            compute(quantizer, &actual);
            check_same(&actual, &expected);
        }
        diffquant_quantizer_free(quantizer);
        tensors_free(&expected);
        tensors_free(&actual);
    }
    free(w);
    free(g);
}

TEST(where_no_thread_can_be_had_the_caller_does_the_work) {
    const struct alloc_probe *probe = alloc_probe_find();
    if (probe == NULL) {
        return;
    }
    const size_t n = OWN_FROM + 37;
    float *w = random_weights(n, 83), *g = random_weights(n, 84);
    struct tensors expected = tensors_new(w, g, n, 1), actual = tensors_new(w, g, n, 1);
    diffquant_quantizer *quantizer = make_quantizer(1);
    compute(quantizer, &expected);
    REQUIRE_OK(diffquant_quantizer_set_threads(quantizer, 2));
    probe->refuse_threads(1);
    compute(quantizer, &actual);
    CHECK(probe->refuse_threads(0) > 0);
    check_same(&actual, &expected);
    diffquant_quantizer_free(quantizer);
    tensors_free(&expected);
    tensors_free(&actual);
    free(w);
    free(g);
}

/* ---- The host's pool --------------------------------------------------------------------------------------------- */

/* A pool that keeps books, and runs the indices backwards, or on threads. */
struct pool {
    size_t calls, most_parts;
    bool on_threads;
    /* Of the call that runs. */
    size_t count;
    void (*run)(void *task, size_t index);
    void *task;
    atomic_size_t next;
};

static void *take_indices(void *argument) {
    struct pool *pool = argument;
    for (size_t index = atomic_fetch_add(&pool->next, 1); index < pool->count;
         index = atomic_fetch_add(&pool->next, 1)) {
        pool->run(pool->task, index);
    }
    return NULL;
}

static void parallel_for(void *context, size_t count, void (*run)(void *task, size_t index), void *task) {
    struct pool *pool = context;
    pool->calls++;
    pool->most_parts = count > pool->most_parts ? count : pool->most_parts;
    if (!pool->on_threads) {
        for (size_t index = count; index-- > 0;) {
            run(task, index);
        }
        return;
    }
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    pool->count = count;
    pool->run = run;
    pool->task = task;
    atomic_store(&pool->next, 0);
    for (size_t i = 0; i < THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, take_indices, pool) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    }
}

TEST(the_hosts_pool_gives_the_bits_of_one_thread_in_parts_of_the_documented_size) {
    static const size_t channels[] = {1, 3, 96};
    const size_t most = 2 * HOST_FROM + 96;
    float *w = random_weights(most, 85), *g = random_weights(most, 86);
    for (size_t i = 0; i < 2 * COUNT(channels); i++) {
        const size_t count = channels[i / 2], n = most / count * count;
        struct tensors expected = tensors_new(w, g, n, count), actual = tensors_new(w, g, n, count);
        diffquant_quantizer *quantizer = make_quantizer(count);
        struct pool pool = {.on_threads = i % 2 == 1};
        check_context("%zu channels, %s", count, pool.on_threads ? "on threads" : "backwards");
        compute(quantizer, &expected);
        CHECK_OK(diffquant_quantizer_set_parallel_for(quantizer, parallel_for, &pool));
        compute(quantizer, &actual);
        check_same(&actual, &expected);
        CHECK(pool.calls >= 5); /* one for each function, or more when there are few channels */
        CHECK(pool.most_parts >= 2 && pool.most_parts <= n / HOST_PART);
        diffquant_quantizer_free(quantizer);
        tensors_free(&expected);
        tensors_free(&actual);
    }
    free(w);
    free(g);
}

TEST(the_hosts_pool_is_used_from_the_documented_length_on_by_copies_too_and_until_it_is_replaced) {
    float *w = random_weights(HOST_FROM, 87), *values = malloc(HOST_FROM * sizeof *values);
    REQUIRE(values != NULL);
    diffquant_quantizer *quantizer = make_quantizer(1), *copy = NULL;
    struct pool pool = {0};
    CHECK_OK(diffquant_quantizer_set_parallel_for(quantizer, parallel_for, &pool));
    CHECK_OK(diffquant_quantizer_clone(quantizer, &copy));

    CHECK_OK(diffquant_quantizer_forward(quantizer, w, HOST_FROM - 1, NULL, values));
    CHECK_UINT(pool.calls, 0);
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, HOST_FROM, NULL, values));
    CHECK_UINT(pool.calls, 1);
    CHECK_OK(diffquant_quantizer_forward(copy, w, HOST_FROM, NULL, values));
    CHECK_UINT(pool.calls, 2);

    CHECK_OK(diffquant_quantizer_set_threads(quantizer, 1));
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, HOST_FROM, NULL, values));
    CHECK_OK(diffquant_quantizer_set_parallel_for(copy, NULL, &pool));
    CHECK_OK(diffquant_quantizer_forward(copy, w, HOST_FROM, NULL, values));
    CHECK_UINT(pool.calls, 2);
    diffquant_quantizer_free(copy);
    diffquant_quantizer_free(quantizer);
    free(w);
    free(values);
}

TEST(the_hosts_pool_is_not_called_for_a_call_that_is_refused) {
    float *w = random_weights(HOST_FROM, 88);
    diffquant_quantizer *quantizer = make_quantizer(3);
    struct pool pool = {0};
    REQUIRE_OK(diffquant_quantizer_set_parallel_for(quantizer, parallel_for, &pool));
    const struct quantizer_state before = state_of(quantizer);
    CHECK_REFUSED(diffquant_quantizer_forward(quantizer, w, HOST_FROM, NULL, w), DIFFQUANT_STATUS_LENGTH_MISMATCH, "n",
                  "3");
    CHECK_REFUSED(diffquant_quantizer_backward(quantizer, w, NULL, w + 3, HOST_FROM - 4, w + 4),
                  DIFFQUANT_STATUS_OVERLAP, "grad_w", "w");
    CHECK_UINT(pool.calls, 0);
    CHECK_STATE(quantizer, &before);
    diffquant_quantizer_free(quantizer);
    free(w);
}
