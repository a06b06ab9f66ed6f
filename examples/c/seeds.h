/* A seed for each purpose, so that for one seed all methods see the same split and the same order of images: what then
 * differs between two rows of the table is the method. */
#ifndef SEEDS_H
#define SEEDS_H

#include "rng.h"

#include <stddef.h>
#include <stdint.h>

enum { PURPOSE_SPLIT, PURPOSE_WEIGHTS, PURPOSE_FLOAT_ORDER, PURPOSE_QAT_ORDER, PURPOSE_COUNT };

static inline uint64_t seed_for(size_t seed, size_t purpose) {
    rng random = {seed * PURPOSE_COUNT + purpose};
    return rng_next(&random);
}

#endif
