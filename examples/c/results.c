#include "results.h"

#include <math.h>
#include <stdio.h>

enum { NAME_COLUMNS = 40 };

const uint32_t WIDTH[WIDTH_COUNT] = {4, 3, 2};

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

static void print_heading(void) {
    printf("\n%-*s", NAME_COLUMNS, "weights");
    for (size_t w = 0; w < WIDTH_COUNT; w++) {
        printf("%11u bits", (unsigned)WIDTH[w]);
    }
}

static void print_accuracy(const curve *curves, size_t seeds) {
    summary s = summarize_last(curves, seeds);
    printf("%7.2f +- %5.2f", s.mean, s.deviation);
}

static void print_accuracies(const results *measured) {
    printf("\nTest accuracy in %%: mean +- standard deviation, seeds: %zu\n", measured->seeds);
    print_heading();
    printf("\n%-*s", NAME_COLUMNS, "float");
    print_accuracy(measured->full_precision, measured->seeds);
    printf(" (32 bits)");
    for (size_t m = 0; m < METHOD_COUNT; m++) {
        printf("\n%-*s", NAME_COLUMNS, METHOD[m].long_name);
        for (size_t w = 0; w < WIDTH_COUNT; w++) {
            print_accuracy(measured->quantized[m][w], measured->seeds);
        }
    }
    printf("\n");
}

static void print_differences(const results *measured) {
    printf("\nAgainst float, seed by seed, in points: mean +- standard error\n");
    print_heading();
    for (size_t m = 0; m < METHOD_COUNT; m++) {
        printf("\n%-*s", NAME_COLUMNS, METHOD[m].long_name);
        for (size_t w = 0; w < WIDTH_COUNT; w++) {
            summary s = summarize_difference(measured->quantized[m][w], measured->full_precision, measured->seeds);
            printf("%+7.2f +- %5.2f", s.mean, s.deviation);
        }
    }
    printf("\n");
}

void results_print(const results *measured) {
    print_accuracies(measured);
    print_differences(measured);
    printf("\n"
           "The weights of all three layers are quantized; biases and activations are float. Each seed has its own\n"
           "split and initial weights, which all rows share. PTQ quantizes the trained float network; QAT quantizes\n"
           "it and trains on for %zu epochs, one scale per channel. pi: k = 4 at 4 bits and 3 bits (piq3), k = 3 at\n"
           "2 bits (piq2). Measured after the last epoch, on weights rebuilt from their int8 codes.\n",
           measured->quantized[QAT_UNIFORM][0][0].epochs);
    if (measured->seeds == 1) {
        printf("One seed: there is no spread to tell.\n");
    }
}
