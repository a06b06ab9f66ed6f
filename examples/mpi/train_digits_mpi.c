/* The digits of examples/c, trained by several processes over MPI: weights of 2 bits, activations of 4.
 *
 *   mpirun -n 4 target/demo/mpi/train_digits_mpi examples/data/digits.csv
 *
 * diffquant does not know of MPI, and nothing stands between the two: what has to cross is gradients, which are the
 * trainer's own floats, and observers, as JSON. To read it:
 *
 *   data_parallel.c         the gradient of a batch, from slices of it on each rank; start here
 *   reduce.c                the one MPI_Allreduce, and what makes its sum exact
 *   observers.c             each rank observes its images; the observers gathered and merged
 *   activation_quantizer.c  activations quantized with scales from there
 *   train_digits_mpi.c      the run, and that it is what one process would have done
 *
 * The rest is that of examples/c: the loop, the network, the quantized weights, the data.
 *
 * Rank 0 does it all a second time by itself. The program fails unless every rank ends with the bits of the others and,
 * with an exact sum, with those of rank 0 alone; and unless merged observers are the one that saw every image.
 */
#include "check.h"
#include "data_parallel.h"
#include "observers.h"
#include "reduce.h"
#include "report.h"
#include "seeds.h"
#include "train.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WEIGHT_BITS = 2, ACTIVATION_BITS = 4, QUICK_EPOCHS = 2 };

typedef struct {
    bool quick;
    sum_kind sum;
    size_t seed;
    const char *data_path;
} options;

static const char USAGE[] =
    "Usage: mpirun -n RANKS train_digits_mpi [OPTION...] [DIGITS.CSV]\n"
    "\n"
    "Trains the digits on RANKS processes, 1 to 8, and checks that one process reaches the same bits.\n"
    "\n"
    "  DIGITS.CSV     the images to read  (default: examples/data/digits.csv)\n"
    "  --sum=KIND     how gradients are added over the ranks: exact (the default), f64 or f32; with the last two the\n"
    "                 difference from one process is printed, and is no failure\n"
    "  --seed=N       of the split, the weights and the order of the images  (default: 1)\n"
    "  --quick        two epochs: tests the program, its accuracies mean nothing\n"
    "  --help         this text\n";

static sum_kind parse_sum(const char *name) {
    for (sum_kind kind = SUM_EXACT; kind < SUM_KINDS; kind++) {
        if (strcmp(name, SUM_NAME[kind]) == 0) {
            return kind;
        }
    }
    die("unknown sum '%s'", name);
}

static options parse_arguments(int count, char **arguments) {
    options chosen = {.seed = 1, .data_path = "examples/data/digits.csv"};
    for (int i = 1; i < count; i++) {
        const char *argument = arguments[i];
        char *end;
        if (strcmp(argument, "--quick") == 0) {
            chosen.quick = true;
        } else if (strncmp(argument, "--sum=", 6) == 0) {
            chosen.sum = parse_sum(argument + 6);
        } else if (strncmp(argument, "--seed=", 7) == 0) {
            chosen.seed = (size_t)strtoul(argument + 7, &end, 10);
            if (end == argument + 7 || *end != '\0') {
                die("not a seed: '%s'", argument);
            }
        } else if (argument[0] == '-') {
            die("unexpected argument '%s'\n\n%s", argument, USAGE);
        } else {
            chosen.data_path = argument;
        }
    }
    return chosen;
}

/* Everything that training made, as floats: it is compared as one array of them. */
typedef struct {
    mlp latent;
    float weight_scales[MLP_BIASES];
    float activation_scales[QUANTIZED_ACTIVATIONS];
    float float_accuracy, accuracy;
} trained;

enum { TRAINED_LENGTH = sizeof(trained) / sizeof(float) };
_Static_assert(sizeof(trained) == TRAINED_LENGTH * sizeof(float), "trained has no padding");

static bool same_bits(const trained *a, const trained *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

static double largest_difference(const trained *a, const trained *b) {
    const float *x = (const float *)a, *y = (const float *)b;
    double largest = 0.0;
    for (size_t i = 0; i < TRAINED_LENGTH; i++) {
        largest = fmax(largest, fabs((double)x[i] - (double)y[i]));
    }
    return largest;
}

/* Every rank compares itself with rank 0. */
static void check_ranks_agree(const trained *together, MPI_Comm comm) {
    trained first = *together;
    int rank;
    MPI_Comm_rank(comm, &rank);
    MPI_Bcast(&first, TRAINED_LENGTH, MPI_FLOAT, 0, comm);
    if (!same_bits(together, &first)) {
        die("rank %d does not have the network of rank 0: they differ by up to %g", rank,
            largest_difference(together, &first));
    }
    MPI_Barrier(comm); /* none goes on before all have looked */
}

/* What one process sees by itself, against what the ranks have merged; prints, and fails on the rank that sees it. */
static void check_observers(const observers *merged, const mlp *net, const digits_split *split, MPI_Comm comm) {
    observers whole;
    int rank, ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &ranks);
    observers_new(&whole, net, split, 0, 1);
    for (size_t i = 0; i < QUANTIZED_ACTIVATIONS; i++) {
        uint64_t count;
        size_t length, expected_length;
        char *text = observer_text(merged->layer[i], &length);
        char *expected = observer_text(whole.layer[i], &expected_length);
        CHECK(diffquant_observer_counts(merged->layer[i], &count, NULL, 1));
        if (strcmp(text, expected) != 0) {
            die("rank %d: merged observer %zu is not that of one process:\n%.160s...\n%.160s...", rank, i + 1, text,
                expected);
        }
        if (ranks > 1 && rank == 0) {
            printf("observer %zu: %llu activations, merged from %d ranks: the text of one process, %zu bytes\n", i + 1,
                   (unsigned long long)count, ranks, length);
        }
        free(text);
        free(expected);
    }
    observers_free(&whole);
}

/* The whole run over the ranks of `comm`: in float, then calibrated and quantized. Fails unless all end with the same. */
static void run(const digits_split *split, const options *chosen, MPI_Comm comm, trained *result) {
    static data_parallel work;
    static activation_quantizer activations;
    static curve accuracies;
    recipe floats = FLOAT_RECIPE, quantized = QAT_RECIPE;
    rng random = {seed_for(chosen->seed, PURPOSE_WEIGHTS)};
    weight_quantizer weights;
    observers seen;

    if (chosen->quick) {
        floats.epochs = quantized.epochs = QUICK_EPOCHS;
    }
    memset(result, 0, sizeof *result);
    mlp_init(&result->latent, &random);
    data_parallel_init(&work, comm, chosen->sum, NULL);
    computation by = data_parallel_computation(&work);
    progress where = {.run = 1, .runs = work.rank == 0 ? 2 : 0};
    snprintf(where.name, sizeof where.name, "%d rank%s, float", work.ranks, work.ranks == 1 ? "" : "s");
    train(&result->latent, NULL, split, &floats, seed_for(chosen->seed, PURPOSE_FLOAT_ORDER), &by, where, &accuracies);
    result->float_accuracy = accuracies.accuracy[accuracies.epochs];
    check_ranks_agree(result, comm);

    observers_new(&seen, &result->latent, split, work.rank, work.ranks);
    observers_merge_over_ranks(&seen, comm);
    check_observers(&seen, &result->latent, split, comm);
    activation_quantizer_new(&activations, ACTIVATION_BITS, seen.layer);
    observers_free(&seen);

    work.activations = &activations;
    weight_quantizer_new(&weights, &METHOD[QAT_LSQ_MSE], PER_CHANNEL, WEIGHT_BITS, &result->latent);
    snprintf(where.name, sizeof where.name, "%d rank%s, %db weights, %db activations", work.ranks,
             work.ranks == 1 ? "" : "s", WEIGHT_BITS, ACTIVATION_BITS);
    where.run = 2;
    train(&result->latent, &weights, split, &quantized, seed_for(chosen->seed, PURPOSE_QAT_ORDER), &by, where,
          &accuracies);
    result->accuracy = accuracies.accuracy[accuracies.epochs];
    weight_quantizer_scales(&weights, result->weight_scales);
    activation_quantizer_scales(&activations, result->activation_scales);
    weight_quantizer_free(&weights);
    activation_quantizer_free(&activations);
    check_ranks_agree(result, comm);
}

static void print_accuracies(const char *who, const trained *result) {
    printf("%-12s float %.2f %%, weights of %d bits and activations of %d %.2f %%\n", who,
           100.0 * (double)result->float_accuracy, WEIGHT_BITS, ACTIVATION_BITS, 100.0 * (double)result->accuracy);
}

static void check_against_one_process(const trained *together, const digits_split *split, const options *chosen) {
    static trained alone;
    run(split, chosen, MPI_COMM_SELF, &alone);
    print_accuracies("one process:", &alone);
    if (same_bits(together, &alone)) {
        printf("sums %s: every weight, bias and scale has the bits of one process\n", SUM_NAME[chosen->sum]);
        return;
    }
    printf("sums %s: a weight, bias or scale differs from one process's by up to %.2g\n", SUM_NAME[chosen->sum],
           largest_difference(together, &alone));
    if (chosen->sum == SUM_EXACT) {
        die("the ranks together are not what one process is");
    }
}

int main(int count, char **arguments) {
    static trained together;
    digits data;
    digits_split split;
    int rank, ranks;
    char who[16];

    program_name = "train_digits_mpi";
    if (count == 2 && strcmp(arguments[1], "--help") == 0) { /* without mpirun, too */
        return fputs(USAGE, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    MPI_Init(&count, &arguments);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const options chosen = parse_arguments(count, arguments);
    if (ranks > MAX_RANKS) {
        die("%d ranks: a batch of %d images has work for %d", ranks, MLP_BATCH, MAX_RANKS);
    }
    const double start = MPI_Wtime();

    /* Every rank reads all images and draws the same split and the same weights from the seed. */
    rng random = {seed_for(chosen.seed, PURPOSE_SPLIT)};
    digits_read(&data, chosen.data_path);
    digits_split_new(&split, &data, &random);
    if (rank == 0) {
        printf("diffquant %s: MLP 64-32-32-10 on %zu handwritten digits, %d rank%s\n", diffquant_version_string(),
               data.count, ranks, ranks == 1 ? "" : "s");
        fflush(stdout);
    }

    run(&split, &chosen, MPI_COMM_WORLD, &together);
    if (rank == 0) {
        snprintf(who, sizeof who, "%d rank%s:", ranks, ranks == 1 ? "" : "s");
        report_progress_end();
        print_accuracies(who, &together);
        fprintf(stderr, "Took %.1f s\n", MPI_Wtime() - start);
        check_against_one_process(&together, &split, &chosen);
        report_progress_end();
        if (fflush(stdout) != 0 || ferror(stdout)) {
            die("cannot write to the standard output");
        }
    }
    digits_split_free(&split);
    digits_free(&data);
    MPI_Finalize();
    return EXIT_SUCCESS;
}
