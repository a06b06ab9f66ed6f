/* One sum over all ranks of everything that a batch adds up to: the gradients of weights and biases, those of the scales
 * of the activations, and the loss, in one MPI_Allreduce.
 *
 * MPI may add in any order, and a sum of floats depends on it. SUM_EXACT therefore adds whole multiples of 2^-40, in 64
 * bits: whole numbers have the same sum in any order, so any number of ranks ends in the same bits. It moves
 * twice the bytes of f32, loses what is smaller than 2^-41 (far below Adam's epsilon of 1e-8), and refuses what does not
 * lie within +-2^19. SUM_F64 and SUM_F32 are there to see what that is worth: docs/distributed.md has it. */
#ifndef REDUCE_H
#define REDUCE_H

#include "activation_quantizer.h"
#include "mlp.h"

#include <mpi.h>
#include <stdint.h>

/* Floats only, and so without padding: it is also an array of SUM_LENGTH of them. */
typedef struct {
    mlp gradient;
    float scale_gradient[QUANTIZED_ACTIVATIONS];
    float loss;
} batch_sums;

enum { SUM_LENGTH = sizeof(batch_sums) / sizeof(float) };

typedef enum { SUM_EXACT, SUM_F64, SUM_F32, SUM_KINDS } sum_kind;

/* For messages and the command line. */
extern const char *const SUM_NAME[SUM_KINDS];

typedef struct {
    sum_kind kind;
    union {
        int64_t exact[SUM_LENGTH]; /* multiples of 2^-40 */
        double f64[SUM_LENGTH];
        float f32[SUM_LENGTH];
    } of;
} running_sum;

void sum_clear(running_sum *sum, sum_kind kind);

/* sum += factor * part */
void sum_add(running_sum *sum, float factor, const batch_sums *part);

/* Every rank's sum added up, the same bits on every rank. */
void sum_over_ranks(running_sum *sum, MPI_Comm ranks, batch_sums *total);

#endif
