/* A small seeded random number generator, so that every run of the example gives the same numbers everywhere.
 *
 * SplitMix64 (Steele, Lea, Flood 2014): one 64-bit counter and a mixing function. Any seed will do, zero too. */
#ifndef RNG_H
#define RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t state;
} rng;

static inline uint64_t rng_next(rng *random) {
    uint64_t z = (random->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Uniform in [0, 1): the top 24 bits, as many as a float holds exactly. */
static inline float rng_uniform(rng *random) {
    return (float)(rng_next(random) >> 40) * 0x1p-24f;
}

/* Fisher-Yates. The bias of the remainder is below n / 2^64. */
static inline void rng_shuffle(rng *random, size_t *items, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)(rng_next(random) % i);
        size_t swapped = items[i - 1];
        items[i - 1] = items[j];
        items[j] = swapped;
    }
}

#endif
