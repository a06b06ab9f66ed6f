#include "results.h"

#include <math.h>
#include <stdio.h>

enum { NAME_COLUMNS = 39 };

const uint32_t WIDTH[WIDTH_COUNT] = {4, 3, 2};

static const char *const START_NAME[START_COUNT] = {"from the trained float network", "from random weights"};
static const char *const GRANULARITY_NAME[GRANULARITY_COUNT] = {"one scale per layer", "one scale per output channel"};

summary summarize(const curve *curves, size_t seeds, size_t epoch) {
    summary s = {0};
    double squares = 0.0;
    for (size_t i = 0; i < seeds; i++) {
        s.mean += 100.0 * (double)curves[i].accuracy[epoch] / (double)seeds;
    }
    for (size_t i = 0; i < seeds; i++) {
        double off = 100.0 * (double)curves[i].accuracy[epoch] - s.mean;
        squares += off * off;
    }
    s.deviation = seeds > 1 ? sqrt(squares / (double)(seeds - 1)) : 0.0;
    return s;
}

summary summarize_last(const curve *curves, size_t seeds) {
    return summarize(curves, seeds, curves[0].epochs);
}

/* Of a minus b, seed by seed, after the last epoch; `deviation` is the standard error of the mean. The two share split
 * and initial weights, so that this says more about the methods than the difference of two means. */
static summary summarize_difference(const curve *a, const curve *b, size_t seeds) {
    curve difference[MAX_SEEDS] = {0};
    for (size_t i = 0; i < seeds; i++) {
        difference[i].accuracy[0] = a[i].accuracy[a[i].epochs] - b[i].accuracy[b[i].epochs];
    }
    summary s = summarize(difference, seeds, 0);
    s.deviation /= sqrt((double)seeds);
    return s;
}

static bool is_measured(size_t start, size_t method) {
    return start == FINE_TUNED || METHOD[method].trains;
}

static void print_summary(summary s, bool is_difference) {
    printf(is_difference ? "  %+6.2f +- %4.2f" : "  %6.2f +- %4.2f", s.mean, s.deviation);
}

static void print_accuracies(const results *measured, size_t start) {
    printf("\n%-*s", NAME_COLUMNS, START_NAME[start]);
    for (size_t w = 0; w < WIDTH_COUNT; w++) {
        printf("%10u bits  ", (unsigned)WIDTH[w]);
    }
    for (size_t g = 0; g < GRANULARITY_COUNT; g++) {
        printf("\n%s\n", GRANULARITY_NAME[g]);
        for (size_t m = 0; m < METHOD_COUNT; m++) {
            if (!is_measured(start, m)) {
                continue;
            }
            printf("  %-*s", NAME_COLUMNS - 2, METHOD[m].long_name);
            for (size_t w = 0; w < WIDTH_COUNT; w++) {
                print_summary(summarize_last(measured->quantized[start][g][m][w], measured->seeds), false);
            }
            printf("\n");
        }
    }
}

/* The library keeps a scale positive whatever the step; how often it had to is the first thing to look at when a
 * learned scale misbehaves. */
static void print_projections(const results *measured) {
    size_t projected = 0;
    const curve *curves = &measured->quantized[0][0][0][0][0];
    for (size_t i = 0; i < sizeof measured->quantized / sizeof *curves; i++) {
        projected += curves[i].projected_scales;
    }
    if (projected != 0) {
        printf("\n%zu steps would have made a scale smaller than %g, and were stopped there.\n", projected,
               (double)SMALLEST_SCALE);
    }
}

static void print_differences(const results *measured) {
    size_t starts = measured->from_scratch ? START_COUNT : 1;
    printf("\nAt 2 bits, minus \"%s\",\nseed by seed, in points: mean +- standard error over the seeds\n\n%-*s",
           METHOD[QAT_STE].long_name, NAME_COLUMNS, "");
    for (size_t start = 0; start < starts; start++) {
        printf("  %-*s", 2 * 17 - 2, START_NAME[start]);
    }
    printf("\n%-*s", NAME_COLUMNS, "");
    for (size_t start = 0; start < starts; start++) {
        printf("  %-15s  %-15s", "per tensor", "per channel");
    }
    printf("\n");
    for (size_t m = 0; m < METHOD_COUNT; m++) {
        if (m == QAT_STE) {
            continue;
        }
        printf("  %-*s", NAME_COLUMNS - 2, METHOD[m].long_name);
        for (size_t start = 0; start < starts && is_measured(start, m); start++) {
            for (size_t g = 0; g < GRANULARITY_COUNT; g++) {
                print_summary(summarize_difference(measured->quantized[start][g][m][TWO_BITS],
                                                   measured->quantized[start][g][QAT_STE][TWO_BITS],
                                                   measured->seeds), true);
            }
        }
        printf("\n");
    }
}

void results_print(const results *measured) {
    printf("\nTest accuracy in %%: mean +- standard deviation, seeds: %zu\n\n%-*s", measured->seeds, NAME_COLUMNS,
           "float");
    print_summary(summarize_last(measured->full_precision, measured->seeds), false);
    printf("\n");
    print_accuracies(measured, FINE_TUNED);
    if (measured->from_scratch) {
        print_accuracies(measured, FROM_SCRATCH);
    }
    printf("\n"
           "The weights of all three layers are quantized; biases and activations are float. Each seed has its own\n"
           "split and initial weights, which all rows share. PTQ quantizes the trained float network; QAT quantizes\n"
           "%s and trains for %zu epochs; learned scales follow Adam. Measured after the last\n"
           "epoch, on weights rebuilt from their int8 codes.\n",
           measured->from_scratch ? "it, or its random weights," : "it",
           measured->quantized[FINE_TUNED][PER_TENSOR][QAT_STE][0][0].epochs);
    print_projections(measured);
    if (measured->seeds == 1) {
        printf("One seed: there is no spread to tell.\n");
    } else {
        print_differences(measured);
    }
}
