/* Trains a small network on handwritten digits, first in float, then with weights of 4, 3 and 2 bits.
 *
 * This is quantization-aware training from C, from end to end: the matrix products and Adam are the example's own plain
 * C; every step that quantizes goes through diffquant. To read it:
 *
 *   weight_quantizer.c  every call of the library; start here
 *   train.c             the training loop around it
 *   train_digits.c      which runs there are, and the command line
 *   mlp.c, adam.h       the network and its optimizer, ignorant of quantization
 *   digits.c, rng.h     the data, and the random numbers; seeds.h says which are drawn from which seed
 *   results.c, chart.c  the table and the curves
 *   report.c            progress, and the way out when something fails
 */
#include "chart.h"
#include "digits.h"
#include "mlp.h"
#include "report.h"
#include "results.h"
#include "seeds.h"
#include "train.h"
#include "weight_quantizer.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const recipe PTQ_RECIPE = {.epochs = 0};
enum { SEEDS = 3, STUDY_SEEDS = MAX_SEEDS, QUICK_EPOCHS = 2 };

typedef struct {
    bool quick, study;
    size_t first_seed, seeds;
    recipe qat;
    const char *data_path, *chart_path;
} options;

static void print_usage(FILE *stream) {
    fputs("Usage: train_digits [OPTION...] [DIGITS.CSV [DIGITS.SVG]]\n"
          "\n"
          "Trains an MLP 64-32-32-10 on 8x8 images of handwritten digits, in float and with weights of 4, 3 and 2\n"
          "bits, prints the test accuracies and draws the training curves.\n"
          "\n"
          "  DIGITS.CSV         the images to read  (default: examples/data/digits.csv)\n"
          "  DIGITS.SVG         the chart to write  (default: digits.svg)\n"
          "  --study            12 seeds instead of 3, and training from random weights too\n"
          "  --first-seed=N     the seeds from N on  (default: 1)\n"
          "  --seeds=N          how many seeds, 1 to 12\n"
          "  --rate=R           learning rate of quantized training\n"
          "  --scale-rate=R     learning rate of learned scales\n"
          "  --quick            one seed and two epochs per run: tests the program, its accuracies mean nothing\n"
          "  --help             this text\n",
          stream);
}

static _Noreturn void refuse(const char *argument) {
    fprintf(stderr, "train_digits: unexpected argument '%s'\n\n", argument);
    print_usage(stderr);
    exit(EXIT_FAILURE);
}

/* Whether the argument is "name=number", with a number from smallest to largest. */
static bool parse_number(const char *argument, const char *name, double smallest, double largest, double *number) {
    const size_t length = strlen(name);
    char *end;
    if (strncmp(argument, name, length) != 0 || argument[length] != '=') {
        return false;
    }
    *number = strtod(argument + length + 1, &end);
    if (end == argument + length + 1 || *end != '\0' || !(*number >= smallest && *number <= largest)) {
        refuse(argument);
    }
    return true;
}

/* Ends the program on bad usage. */
static options parse_arguments(int count, char **arguments) {
    options chosen = {.data_path = "examples/data/digits.csv", .chart_path = "digits.svg", .qat = QAT_RECIPE};
    int paths = 0;
    chosen.first_seed = 1;
    for (int i = 1; i < count; i++) {
        const char *argument = arguments[i];
        double number;
        if (strcmp(argument, "--help") == 0) {
            print_usage(stdout);
            exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
        } else if (strcmp(argument, "--quick") == 0) {
            chosen.quick = true;
        } else if (strcmp(argument, "--study") == 0) {
            chosen.study = true;
        } else if (parse_number(argument, "--first-seed", 0, 1e9, &number)) {
            chosen.first_seed = (size_t)number;
        } else if (parse_number(argument, "--seeds", 1, MAX_SEEDS, &number)) {
            chosen.seeds = (size_t)number;
        } else if (parse_number(argument, "--rate", 1e-9, 1, &number)) {
            chosen.qat.learning_rate = (float)number;
        } else if (parse_number(argument, "--scale-rate", 1e-9, 1, &number)) {
            chosen.qat.scale_learning_rate = (float)number;
        } else if (argument[0] == '-' || argument[0] == '\0' || paths == 2) {
            refuse(argument);
        } else if (paths++ == 0) {
            chosen.data_path = argument;
        } else {
            chosen.chart_path = argument;
        }
    }
    if (chosen.seeds == 0) {
        chosen.seeds = chosen.quick ? 1 : chosen.study ? STUDY_SEEDS : SEEDS;
    }
    return chosen;
}

static recipe shortened(recipe how, bool quick) {
    if (quick && how.epochs > QUICK_EPOCHS) {
        how.epochs = QUICK_EPOCHS;
    }
    return how;
}

/* One cell of the tables for one seed: a method at one granularity and width, from the weights of `first`. */
typedef struct {
    size_t seed, start, granularity, method, width;
} cell;

static bool is_measured(const cell *of) {
    return of->start == FINE_TUNED || METHOD[of->method].trains;
}

static void run_quantized(const cell *of, const mlp *first, const digits_split *split, const options *chosen,
                          progress *where, curve *result) {
    static const char *const START[] = {"", "scratch "}, *const GRANULARITY[] = {"tensor", "channel"};
    const quantization_method *method = &METHOD[of->method];
    const recipe how = shortened(method->trains ? chosen->qat : PTQ_RECIPE, chosen->quick);
    mlp net = *first;
    weight_quantizer quantizer;

    snprintf(where->name, sizeof where->name, "seed %zu %s%s %s %ub", of->seed, START[of->start], method->name,
             GRANULARITY[of->granularity], (unsigned)WIDTH[of->width]);
    where->run += method->trains;
    weight_quantizer_new(&quantizer, method, of->granularity, WIDTH[of->width], first);
    train(&net, &quantizer, split, &how, seed_for(of->seed, PURPOSE_QAT_ORDER), &ALONE, *where, result);
    weight_quantizer_free(&quantizer);
}

/* The cells of one seed and start. */
static void run_cells(cell at, const mlp *first, const digits_split *split, const options *chosen, size_t index,
                      progress *where, results *measured) {
    for (at.granularity = 0; at.granularity < GRANULARITY_COUNT; at.granularity++) {
        for (at.method = 0; at.method < METHOD_COUNT; at.method++) {
            for (at.width = 0; at.width < WIDTH_COUNT && is_measured(&at); at.width++) {
                run_quantized(&at, first, split, chosen, where,
                              &measured->quantized[at.start][at.granularity][at.method][at.width][index]);
            }
        }
    }
}

/* Everything for one seed: its own split and initial weights, the float network, then each method. */
static void run_seed(const digits *data, size_t index, const options *chosen, progress *where, results *measured) {
    const size_t seed = chosen->first_seed + index;
    const recipe how = shortened(FLOAT_RECIPE, chosen->quick);
    rng split_random = {seed_for(seed, PURPOSE_SPLIT)}, weight_random = {seed_for(seed, PURPOSE_WEIGHTS)};
    digits_split split;
    mlp random, trained;

    digits_split_new(&split, data, &split_random);
    mlp_init(&random, &weight_random);
    trained = random;
    snprintf(where->name, sizeof where->name, "seed %zu float", seed);
    where->run++;
    train(&trained, NULL, &split, &how, seed_for(seed, PURPOSE_FLOAT_ORDER), &ALONE, *where,
          &measured->full_precision[index]);
    run_cells((cell){.seed = seed, .start = FINE_TUNED}, &trained, &split, chosen, index, where, measured);
    if (measured->from_scratch) {
        run_cells((cell){.seed = seed, .start = FROM_SCRATCH}, &random, &split, chosen, index, where, measured);
    }
    digits_split_free(&split);
}

/* Training runs of one seed: PTQ does not train. */
static size_t runs_per_seed(bool from_scratch) {
    size_t runs = 0;
    for (size_t m = 0; m < METHOD_COUNT; m++) {
        runs += METHOD[m].trains ? GRANULARITY_COUNT * WIDTH_COUNT : 0;
    }
    return 1 + (from_scratch ? START_COUNT : 1) * runs; /* the float network first */
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

    measured.seeds = chosen.seeds;
    measured.from_scratch = chosen.study;
    progress where = {.runs = measured.seeds * runs_per_seed(chosen.study)};
    for (size_t index = 0; index < measured.seeds; index++) {
        run_seed(&data, index, &chosen, &where, &measured);
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
