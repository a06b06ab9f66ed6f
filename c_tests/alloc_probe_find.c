/* For dlsym and RTLD_DEFAULT beside -std=c11. */
#define _GNU_SOURCE

#include "alloc_probe.h"
#include "check.h"

#include <dlfcn.h>

const struct alloc_probe *alloc_probe_find(void) {
    const struct alloc_probe *probe = dlsym(RTLD_DEFAULT, ALLOC_PROBE_SYMBOL);
    if (probe == NULL) {
        check_skipped("alloc_probe is not preloaded");
    }
    return probe;
}
