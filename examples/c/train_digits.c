/* Trains a small network on handwritten digits, first in float, then with weights of 4, 3 and 2 bits.
 *
 * This is quantization-aware training from C, from end to end: the matrix products and Adam are the example's own plain
 * C; every step that quantizes goes through diffquant. To read it:
 *
 *   weight_quantizer.c  every call of the library; start here
 *   train.c             the training loop around it
 *   train_digits.c      which runs there are, and the command line
 *   mlp.c, adam.h       the network and its optimizer, ignorant of quantization
 *   digits.c, rng.h     the data, and the random numbers
 *   results.c, chart.c  the table and the curves
 *   report.c            progress, and the way out when something fails
 */
#include "chart.h"
#include "digits.h"
#include "mlp.h"
#include "report.h"
#include "results.h"
#include "train.h"
#include "weight_quantizer.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The learning rates were chosen on seeds 101 to 108, the table is of seeds 1 to 12. */
static const recipe FLOAT_RECIPE = {.epochs = 40, .learning_rate = 5e-3f};
static const recipe QAT_RECIPE = {.epochs = 40, .learning_rate = 3e-3f, .scale_learning_rate = 3e-4f};
static const recipe PTQ_RECIPE = {.epochs = 0};
enum { SEEDS = MAX_SEEDS, FIRST_SEED = 1, QUICK_EPOCHS = 2 };

typedef struct {
    bool quick;
    const char *data_path, *chart_path;
} options;

static void print_usage(FILE *stream) {
    fputs("Usage: train_digits [--quick] [DIGITS.CSV [DIGITS.SVG]]\n"
          "\n"
          "Trains an MLP 64-32-32-10 on 8x8 images of handwritten digits, in float and with weights of 4, 3 and 2\n"
          "bits, prints the test accuracies and draws the training curves.\n"
          "\n"
          "  DIGITS.CSV  the images to read  (default: examples/data/digits.csv)\n"
          "  DIGITS.SVG  the chart to write  (default: digits.svg)\n"
          "  --quick     one seed and two epochs per run: tests the program, its accuracies mean nothing\n"
          "  --help      this text\n",
          stream);
}

/* Ends the program on bad usage. */
static options parse_arguments(int count, char **arguments) {
    options chosen = {.data_path = "examples/data/digits.csv", .chart_path = "digits.svg"};
    int paths = 0;
    for (int i = 1; i < count; i++) {
        const char *argument = arguments[i];
        if (strcmp(argument, "--help") == 0) {
            print_usage(stdout);
            exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
        } else if (strcmp(argument, "--quick") == 0) {
            chosen.quick = true;
        } else if (argument[0] == '-' || argument[0] == '\0' || paths == 2) {
            fprintf(stderr, "train_digits: unexpected argument '%s'\n\n", argument);
            print_usage(stderr);
            exit(EXIT_FAILURE);
        } else if (paths++ == 0) {
            chosen.data_path = argument;
        } else {
            chosen.chart_path = argument;
        }
    }
    return chosen;
}

/* A seed for each purpose, so that for one seed all methods see the same split and the same order of images: what then
 * differs between two rows of the table is the method. */
enum { PURPOSE_SPLIT, PURPOSE_WEIGHTS, PURPOSE_FLOAT_ORDER, PURPOSE_QAT_ORDER, PURPOSE_COUNT };

static uint64_t seed_for(size_t seed, size_t purpose) {
    rng random = {seed * PURPOSE_COUNT + purpose};
    return rng_next(&random);
}

static recipe shortened(recipe how, bool quick) {
    if (quick && how.epochs > QUICK_EPOCHS) {
        how.epochs = QUICK_EPOCHS;
    }
    return how;
}

/* One method at one width, from the trained float network. QAT fine-tunes it, as one would in practice. */
static void run_quantized(const mlp *trained, size_t method, size_t width, const digits_split *split, size_t seed,
                          bool quick, progress *where, curve *result) {
    mlp net = *trained;
    weight_quantizer quantizer;
    const recipe how = shortened(METHOD[method].trains ? QAT_RECIPE : PTQ_RECIPE, quick);

    snprintf(where->name, sizeof where->name, "seed %zu, %s, %u bits", seed, METHOD[method].name,
             (unsigned)WIDTH[width]);
    where->run += METHOD[method].trains;
    weight_quantizer_new(&quantizer, &METHOD[method], WIDTH[width], trained);
    train(&net, &quantizer, split, &how, seed_for(seed, PURPOSE_QAT_ORDER), *where, result);
    weight_quantizer_free(&quantizer);
}

/* Everything for one seed: its own split and initial weights, the float network, then each method at each width. */
static void run_seed(const digits *data, size_t index, bool quick, progress *where, results *measured) {
    size_t seed = FIRST_SEED + index;
    digits_split split;
    mlp net;
    rng split_random = {seed_for(seed, PURPOSE_SPLIT)}, weight_random = {seed_for(seed, PURPOSE_WEIGHTS)};
    const recipe how = shortened(FLOAT_RECIPE, quick);

    digits_split_new(&split, data, &split_random);
    mlp_init(&net, &weight_random);
    snprintf(where->name, sizeof where->name, "seed %zu, float", seed);
    where->run++;
    train(&net, NULL, &split, &how, seed_for(seed, PURPOSE_FLOAT_ORDER), *where, &measured->full_precision[index]);
    for (size_t m = 0; m < METHOD_COUNT; m++) {
        for (size_t w = 0; w < WIDTH_COUNT; w++) {
            run_quantized(&net, m, w, &split, seed, quick, where, &measured->quantized[m][w][index]);
        }
    }
    digits_split_free(&split);
}

static size_t runs_per_seed(void) {
    size_t runs = 1; /* the float network */
    for (size_t m = 0; m < METHOD_COUNT; m++) {
        runs += METHOD[m].trains ? WIDTH_COUNT : 0;
    }
    return runs;
}

static double now_in_seconds(void) {
    struct timespec now;
    return timespec_get(&now, TIME_UTC) == 0 ? 0.0 : (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int count, char **arguments) {
    static results measured; /* zeroed, and too large for a small stack */
    const options chosen = parse_arguments(count, arguments);
    const double start = now_in_seconds();
    digits data;

    digits_read(&data, chosen.data_path);
    printf("diffquant %s: MLP 64-32-32-10 on %zu handwritten digits, one in five held out\n",
           diffquant_version_string(), data.count);
    fflush(stdout);

    measured.seeds = chosen.quick ? 1 : SEEDS;
    progress where = {.runs = measured.seeds * runs_per_seed()};
    for (size_t index = 0; index < measured.seeds; index++) {
        run_seed(&data, index, chosen.quick, &where, &measured);
    }
    report_progress_end();
    digits_free(&data);

    results_print(&measured);
    fflush(stdout); /* whatever becomes of the chart */
    chart_write(&measured, chosen.chart_path);
    printf("\nTraining curves: %s\n", chosen.chart_path);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        die("cannot write to the standard output");
    }
    fprintf(stderr, "Took %.1f s\n", now_in_seconds() - start);
    return EXIT_SUCCESS;
}
