/* Observers of the hidden activations, one per layer: each rank sees its share of the images, then all are merged. */
#ifndef OBSERVERS_H
#define OBSERVERS_H

#include "activation_quantizer.h"
#include "digits.h"
#include "mlp.h"

#include <diffquant.h>
#include <mpi.h>

#include <stddef.h>

typedef struct {
    diffquant_observer *layer[QUANTIZED_ACTIVATIONS];
} observers;

/* Histograms of the activations of the training images that this rank takes, in `net` as it is. */
void observers_new(observers *seen, const mlp *net, const digits_split *split, int rank, int ranks);
void observers_free(observers *seen);

/* Adds what every other rank has seen, on every rank. */
void observers_merge_over_ranks(observers *seen, MPI_Comm ranks);

/* An observer as JSON, ended by a NUL; observers that are the same have the same text. Free it with free. */
char *observer_text(const diffquant_observer *observer, size_t *length);

#endif
