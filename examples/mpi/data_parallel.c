#include "data_parallel.h"

#include <math.h>
#include <string.h>

void data_parallel_init(data_parallel *work, MPI_Comm comm, sum_kind kind, activation_quantizer *activations) {
    *work = (data_parallel){.comm = comm, .kind = kind, .activations = activations};
    MPI_Comm_rank(comm, &work->rank);
    MPI_Comm_size(comm, &work->ranks);
}

static void forward(void *context, const mlp *net, mlp_batch *batch) {
    data_parallel *work = context;
    if (work->activations != NULL) {
        activation_quantizer_forward(work->activations, net, batch);
    } else {
        mlp_forward(net, batch);
    }
}

/* Adds a slice that is loaded, one of a batch of n images. */
static void add_slice(data_parallel *work, const mlp *net, mlp_batch *slice, size_t n) {
    const float share = (float)slice->batch / (float)n;
    forward(work, net, slice);
    work->part.loss = mlp_loss(slice);
    if (work->activations != NULL) {
        activation_quantizer_backward(work->activations, net, slice, &work->part.gradient, work->part.scale_gradient);
        /* LSQ divides by the root of the number of elements, here those of the slice: see docs/distributed.md. */
        for (size_t i = 0; i < QUANTIZED_ACTIVATIONS; i++) {
            work->part.scale_gradient[i] *= sqrtf(share);
        }
    } else {
        mlp_backward(net, slice, &work->part.gradient);
    }
    sum_add(&work->sum, share, &work->part); /* the batch's loss is the mean over its images */
}

static float gradient(void *context, const mlp *net, const digits *data, const size_t *images, size_t n,
                      mlp_batch *scratch, mlp *result) {
    data_parallel *work = context;
    sum_clear(&work->sum, work->kind);
    for (size_t s = (size_t)work->rank; s < slice_count(n); s += (size_t)work->ranks) {
        mlp_load(scratch, data, images + s * SLICE, slice_length(n, s));
        add_slice(work, net, scratch, n);
    }
    sum_over_ranks(&work->sum, work->comm, &work->total);
    *result = work->total.gradient;
    return work->total.loss;
}

static void update_scales(void *context, float learning_rate, size_t step) {
    data_parallel *work = context;
    if (work->activations != NULL) {
        activation_quantizer_update(work->activations, work->total.scale_gradient, learning_rate, step);
    }
}

computation data_parallel_computation(data_parallel *work) {
    return (computation){.context = work, .forward = forward, .gradient = gradient, .update_scales = update_scales};
}
