/* Counts allocations and lets them fail on demand, and the making of threads too: a library to be preloaded into the
 * harness.
 *
 * Not part of the harness itself, because valgrind and the address sanitizer have allocators of their own: they run it
 * without. Glibc only, whose allocator has second names. */

/* For RTLD_NEXT. */
#define _GNU_SOURCE

#include "alloc_probe.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *block);

void *malloc(size_t bytes);
void *calloc(size_t count, size_t bytes);
void *realloc(void *block, size_t bytes);
void *memalign(size_t alignment, size_t bytes);
void *aligned_alloc(size_t alignment, size_t bytes);
int posix_memalign(void **block, size_t alignment, size_t bytes);
void free(void *block);

static _Thread_local bool watching;
static _Thread_local long asked;
static _Thread_local long most;

enum { MOST_BLOCKS = 4096 };
static _Thread_local void *blocks[MOST_BLOCKS];
static _Thread_local long block_count;

static void start(long allowed) {
    watching = true;
    asked = 0;
    most = allowed;
    block_count = 0;
}

static long stop(void) {
    watching = false;
    return asked;
}

static long outstanding(void) {
    return block_count;
}

static bool threads_are_refused;
static long threads_refused;

static long refuse_threads(int refuse) {
    const long so_far = threads_refused;
    threads_are_refused = refuse != 0;
    threads_refused = 0;
    return so_far;
}

const struct alloc_probe diffquant_alloc_probe = {start, stop, outstanding, refuse_threads};

typedef int create_thread(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
    if (threads_are_refused) {
        threads_refused++;
        return EAGAIN;
    }
    create_thread *create;
    *(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
    return create(thread, attributes, run, argument);
}

static bool refused(void) {
    if (watching && asked++ >= most) {
        errno = ENOMEM;
        return true;
    }
    return false;
}

static void *noted(void *block) {
    if (watching && block != NULL && block_count < MOST_BLOCKS) {
        blocks[block_count++] = block;
    }
    return block;
}

static void forgotten(const void *block) {
    for (long i = 0; block != NULL && i < block_count; i++) {
        if (blocks[i] == block) {
            blocks[i] = blocks[--block_count];
            return;
        }
    }
}

void *malloc(size_t bytes) {
    return refused() ? NULL : noted(__libc_malloc(bytes));
}

void *calloc(size_t count, size_t bytes) {
    return refused() ? NULL : noted(__libc_calloc(count, bytes));
}

void *realloc(void *block, size_t bytes) {
    if (refused()) {
        return NULL;
    }
    forgotten(block);
    return noted(__libc_realloc(block, bytes));
}

void *memalign(size_t alignment, size_t bytes) {
    return refused() ? NULL : noted(__libc_memalign(alignment, bytes));
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    return memalign(alignment, bytes);
}

int posix_memalign(void **block, size_t alignment, size_t bytes) {
    void *made = memalign(alignment, bytes);
    if (made == NULL) {
        return ENOMEM;
    }
    *block = made;
    return 0;
}

void free(void *block) {
    forgotten(block);
    __libc_free(block);
}
