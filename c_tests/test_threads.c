/* Threads: a const quantizer may be shared, and each thread has its own last message.
 *
 * The checks of the framework belong to the main thread; the threads count what went wrong. POSIX only. */

/* For pthreads beside -std=c11. */
#define _DEFAULT_SOURCE

#include "support.h"

#include <pthread.h>

enum { THREADS = 4, CALLS = 200, CHANNELS = 3, N = 40 * CHANNELS };

/* What every thread computes from the same quantizer and weights. */
struct results {
    int8_t codes[N];
    float values[N], grad_w[N], grad_w_in_place[N], dequantized[N], grad_scale[CHANNELS], scales[CHANNELS];
    float step;
    uint32_t bits;
};

struct shared {
    const diffquant_quantizer *quantizer;
    const float *w, *g;
    const struct results *expected;
};

struct worker {
    pthread_t thread;
    const struct shared *shared;
    uint32_t number;
    size_t failures;
};

/* How many of the calls failed. */
static size_t compute(const struct shared *shared, struct results *results) {
    const diffquant_quantizer *q = shared->quantizer;
    diffquant_quantizer *clone = NULL;
    size_t failures = 0;
    memcpy(results->grad_w_in_place, shared->g, N * sizeof(float));
    failures += diffquant_quantizer_forward(q, shared->w, N, results->codes, results->values) != DIFFQUANT_STATUS_OK;
    failures += diffquant_quantizer_backward(q, shared->w, NULL, results->grad_w_in_place, N,
                                             results->grad_w_in_place) != DIFFQUANT_STATUS_OK;
    failures += diffquant_quantizer_backward_scale(q, shared->w, shared->g, N, results->grad_w, results->grad_scale) !=
                DIFFQUANT_STATUS_OK;
    failures += diffquant_quantizer_scales(q, results->scales, CHANNELS) != DIFFQUANT_STATUS_OK;
    failures += diffquant_quantizer_step_size(q, 1, &results->step) != DIFFQUANT_STATUS_OK;
    failures += diffquant_quantizer_bits(q, &results->bits) != DIFFQUANT_STATUS_OK;
    if (diffquant_quantizer_clone(q, &clone) == DIFFQUANT_STATUS_OK) {
        failures +=
            diffquant_quantizer_dequantize(clone, results->codes, N, results->dequantized) != DIFFQUANT_STATUS_OK;
        diffquant_quantizer_free(clone);
    } else {
        failures++;
    }
    return failures;
}

static void *share_a_quantizer(void *argument) {
    struct worker *worker = argument;
    for (int call = 0; call < CALLS; call++) {
        struct results results = {0};
        worker->failures += compute(worker->shared, &results);
        worker->failures += memcmp(&results, worker->shared->expected, sizeof results) != 0;
    }
    return NULL;
}

/* Runs a function in several threads at once; gives how often something went wrong. */
static size_t run_threads(void *(*run)(void *), const struct shared *shared) {
    struct worker workers[THREADS];
    size_t failures = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.shared = shared, .number = i};
        REQUIRE(pthread_create(&workers[i].thread, NULL, run, &workers[i]) == 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        REQUIRE(pthread_join(workers[i].thread, NULL) == 0);
        failures += workers[i].failures;
    }
    return failures;
}

TEST(many_threads_on_one_const_quantizer_get_the_same_bits) {
    static const float scales[CHANNELS] = {0.5f, 0.3f, 1.7f};
    float w[N], g[N];
    fill_weights(w, N, 41, false);
    fill_weights(g, N, 42, false);
    diffquant_quantizer *quantizer = channel_quantizer(4, scales, CHANNELS);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_EWGS, 0.5f));
    const struct quantizer_state before = state_of(quantizer);
    struct results expected = {0};
    struct shared shared = {quantizer, w, g, &expected};
    CHECK_UINT(compute(&shared, &expected), 0);
    CHECK_UINT(run_threads(share_a_quantizer, &shared), 0);
    CHECK_STATE(quantizer, &before);
    diffquant_quantizer_free(quantizer);
}

/* Objects of one's own, changed in every way, beside other threads that do the same. */
static void *change_own_objects(void *argument) {
    struct worker *worker = argument;
    for (uint32_t call = 0; call < CALLS; call++) {
        diffquant_config *config = NULL;
        diffquant_quantizer *quantizer = NULL;
        const float w[] = {1.0f + (float)worker->number, -0.5f}, scale_expected = w[0] / 3.5f;
        float scale = 0.0f;
        size_t length = 0;
        char text[1024];
        worker->failures += diffquant_config_new_preset(call % 2, &config) != DIFFQUANT_STATUS_OK;
        worker->failures += diffquant_config_set_bits(config, 3) != DIFFQUANT_STATUS_OK;
        worker->failures += diffquant_config_set_pi_k(config, 0) != DIFFQUANT_STATUS_OK;
        /* PIQ2 would rotate the weights. */
        worker->failures += diffquant_config_set_use_incoherence(config, 0) != DIFFQUANT_STATUS_OK;
        worker->failures += diffquant_config_to_json(config, text, sizeof text, &length) != DIFFQUANT_STATUS_OK;
        worker->failures += diffquant_quantizer_new(config, &quantizer) != DIFFQUANT_STATUS_OK;
        worker->failures += diffquant_quantizer_init_scale(quantizer, w, 2) != DIFFQUANT_STATUS_OK;
        worker->failures += diffquant_quantizer_scales(quantizer, &scale, 1) != DIFFQUANT_STATUS_OK;
        worker->failures += scale < scale_expected || scale > scale_expected;
        diffquant_quantizer_free(quantizer);
        diffquant_config_free(config);
    }
    return NULL;
}

TEST(threads_with_objects_of_their_own_do_not_disturb_each_other) {
    /* The first use chooses the instruction set, in an atomic byte. Helgrind takes it for a race if it is in a thread. */
    CHECK(diffquant_isa_name() != NULL);
    CHECK_UINT(run_threads(change_own_objects, NULL), 0);
}

/* ---- Messages ---------------------------------------------------------------------------------------------------- */

static void *provoke_messages(void *argument) {
    struct worker *worker = argument;
    worker->failures += strcmp(diffquant_last_error_message(), "") != 0; /* a new thread, no failure yet */
    char mine[32];
    snprintf(mine, sizeof mine, "%u", 1000 + worker->number);
    const char *address = diffquant_last_error_message();
    for (int call = 0; call < CALLS; call++) {
        diffquant_quantizer *none = NULL;
        worker->failures +=
            diffquant_quantizer_new_pi(1000 + worker->number, 2, &none) != DIFFQUANT_STATUS_INVALID_ARGUMENT;
        worker->failures += strstr(diffquant_last_error_message(), mine) == NULL;
        worker->failures += diffquant_last_error_message() != address;
    }
    return NULL;
}

TEST(each_thread_has_its_own_last_message_empty_at_first) {
    diffquant_quantizer *none = no_quantizer();
    CHECK_REFUSED(diffquant_quantizer_new_pi(77, 2, &none), DIFFQUANT_STATUS_INVALID_ARGUMENT, "bits", "77");
    char before[512];
    snprintf(before, sizeof before, "%s", diffquant_last_error_message());
    CHECK_UINT(run_threads(provoke_messages, NULL), 0);
    CHECK_TEXT(diffquant_last_error_message(), before);
}
