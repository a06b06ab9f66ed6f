/* Loads the library, calls it and unloads it, over and over; run by tests/unload.rs with the library's path.
 *
 * Each time in a thread of its own, which ends: what Rust's standard library keeps for a thread that was given threads
 * of the library's (see valgrind.supp) keeps the library loaded until then. */

#define _GNU_SOURCE /* mallinfo2 */

#include "diffquant.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIMES = 1000, WARM_UP = 100, SHORT = 1000, LONG = 4 << 20 };

static const char *path;
static bool with_threads;
static float *weights, *values;

static void require(bool holds, const char *what) {
    if (!holds) {
        printf("FAILED: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

/* A function of the library; ISO C knows no cast from what dlsym gives. */
#define FIND(library, name)                                                                                            \
    void *name##_address = dlsym((library), #name);                                                                    \
    require(name##_address != NULL, #name);                                                                            \
    __typeof__(&name) name##_here;                                                                                     \
    memcpy(&name##_here, &name##_address, sizeof name##_here)

static void *load_call_unload(void *unused) {
    (void)unused;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    require(library != NULL, "dlopen");
    FIND(library, diffquant_quantizer_new_uniform);
    FIND(library, diffquant_quantizer_init_scale);
    FIND(library, diffquant_quantizer_set_threads);
    FIND(library, diffquant_quantizer_forward);
    FIND(library, diffquant_quantizer_free);
    FIND(library, diffquant_last_error_message);

    const size_t n = with_threads ? LONG : SHORT;
    diffquant_quantizer *quantizer = NULL;
    require(diffquant_quantizer_new_uniform_here(4, DIFFQUANT_STE_LSQ, 0.0f, &quantizer) == DIFFQUANT_STATUS_OK, "new");
    require(diffquant_quantizer_set_threads_here(quantizer, 2) == DIFFQUANT_STATUS_OK, "set_threads");
    require(diffquant_quantizer_init_scale_here(quantizer, weights, n) == DIFFQUANT_STATUS_OK, "init_scale");
    require(diffquant_quantizer_forward_here(quantizer, weights, n, NULL, values) == DIFFQUANT_STATUS_OK, "forward");
    require(values[n - 1] > 0.5f && values[n - 1] < 1.5f, "a value");
    /* A message, which belongs to the thread. */
    require(diffquant_quantizer_forward_here(NULL, weights, n, NULL, values) == DIFFQUANT_STATUS_NULL_POINTER, "NULL");
    require(strstr(diffquant_last_error_message_here(), "quantizer") != NULL, "a message");
    diffquant_quantizer_free_here(quantizer);
    require(dlclose(library) == 0, "dlclose");
    return NULL;
}

/* Whether the library is mapped into this process. The C library unloads one that a thread has kept not when that thread
 * ends, but at the next dlclose after that: the one in here. */
static bool is_loaded(void) {
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (library != NULL) {
        dlclose(library);
    }
    return library != NULL;
}

static void once(void) {
    pthread_t thread;
    require(pthread_create(&thread, NULL, load_call_unload, NULL) == 0, "pthread_create");
    pthread_join(thread, NULL);
    /* The library's own threads have done their work, but may still be on their way out. */
    for (int patience = 0; with_threads && patience < 1000 && is_loaded(); patience++) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    require(!is_loaded(), "it is unloaded");
}

int main(int argc, char **argv) {
    require(argc == 2, "the library's path");
    path = argv[1];
    weights = malloc(LONG * sizeof *weights);
    values = malloc(LONG * sizeof *values);
    require(weights != NULL && values != NULL, "memory");
    for (size_t i = 0; i < LONG; i++) {
        weights[i] = 1.0f;
    }

    size_t in_use = 0;
    for (int i = 0; i < TIMES; i++) {
        with_threads = i % 50 == 49; /* some of which make threads of their own */
        once();
        if (i + 1 == WARM_UP) {
            in_use = mallinfo2().uordblks;
        }
    }
    const size_t at_end = mallinfo2().uordblks;
    printf("loaded %d times; bytes in use after %d times: %zu, at the end: %zu\n", TIMES, WARM_UP, in_use, at_end);
    /* What the C library keeps for threads varies, but does not grow without end: 13 KiB were seen. A leak of 40 bytes each
     * time is more than this. */
    require(at_end < in_use + (32 << 10), "nothing is kept");
    free(weights);
    free(values);
    return EXIT_SUCCESS;
}
