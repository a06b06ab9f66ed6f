/* What was measured, over all seeds, and the tables of it. */
#ifndef RESULTS_H
#define RESULTS_H

#include "train.h"
#include "weight_quantizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIDTH_COUNT = 3, TWO_BITS = 2, MAX_SEEDS = 12 };

extern const uint32_t WIDTH[WIDTH_COUNT]; /* bits per weight: 4, 3, 2; TWO_BITS is the index of the last */

/* Where training with quantized weights starts: at the trained float network, or at its random weights. */
enum { FINE_TUNED, FROM_SCRATCH, START_COUNT };

/* Curves, one per seed. PTQ from scratch is not measured. */
typedef struct {
    size_t seeds;      /* at most MAX_SEEDS */
    bool from_scratch; /* whether FROM_SCRATCH was measured */
    curve full_precision[MAX_SEEDS];
    curve quantized[START_COUNT][GRANULARITY_COUNT][METHOD_COUNT][WIDTH_COUNT][MAX_SEEDS];
} results;

/* Over the seeds, in per cent. */
typedef struct {
    double mean;
    double deviation; /* the sample standard deviation; 0 for one seed */
} summary;

/* Of the test accuracy of `curves`, one per seed, at an epoch. */
summary summarize(const curve *curves, size_t seeds, size_t epoch);

/* After the last epoch, which is what a trainer would ship; never the best epoch, which only the test images know. */
summary summarize_last(const curve *curves, size_t seeds);

/* Prints the tables on stdout. */
void results_print(const results *measured);

#endif
