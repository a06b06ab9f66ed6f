/* The gradient of a batch, computed by several ranks.
 *
 * A batch is cut into slices of SLICE images, whatever the number of ranks, and rank r takes the slices r, r + ranks, ...
 * What one slice gives is then the same wherever it is computed, and with an exact sum so is the gradient of the batch. */
#ifndef DATA_PARALLEL_H
#define DATA_PARALLEL_H

#include "activation_quantizer.h"
#include "reduce.h"
#include "train.h"

#include <mpi.h>

#include <stddef.h>

enum { SLICE = 4, MAX_RANKS = MLP_BATCH / SLICE /* more would have nothing to do */ };

static inline size_t slice_count(size_t images) {
    return (images + SLICE - 1) / SLICE;
}

/* The last one may be shorter. */
static inline size_t slice_length(size_t images, size_t slice) {
    return images - slice * SLICE < SLICE ? images - slice * SLICE : SLICE;
}

typedef struct {
    MPI_Comm comm;
    int rank, ranks;
    sum_kind kind;
    activation_quantizer *activations; /* or NULL: float */
    running_sum sum;
    batch_sums part, total;
} data_parallel;

void data_parallel_init(data_parallel *work, MPI_Comm comm, sum_kind kind, activation_quantizer *activations);

/* For train(): every rank calls it with the same network and images, and goes on with the same bits. */
computation data_parallel_computation(data_parallel *work);

#endif
