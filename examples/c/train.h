/* The training loop: the same for float and for quantized weights. */
#ifndef TRAIN_H
#define TRAIN_H

#include "digits.h"
#include "mlp.h"
#include "report.h"
#include "weight_quantizer.h"

#include <stddef.h>
#include <stdint.h>

enum { MAX_EPOCHS = 64 };

/* How to train. The learning rates fall to zero along half a cosine: the latent weights then come to rest, instead of
 * hopping to and fro between two codes. */
typedef struct {
    size_t epochs; /* at most MAX_EPOCHS */
    float learning_rate;
    float scale_learning_rate; /* of learned scales, in units of the weights */
} recipe;

/* Their learning rates were chosen on seeds 101 to 108 (docs/methods.md says how), the tables are of seeds from 1. */
extern const recipe FLOAT_RECIPE, QAT_RECIPE;

/* Test accuracy, 0..1, after each epoch; accuracy[0] is that before the first. */
typedef struct {
    size_t epochs;
    float accuracy[MAX_EPOCHS + 1];
    size_t projected_scales; /* as weight_quantizer has it, at the end */
} curve;

/* Who computes for the loop: this process by itself, or examples/mpi, where several share each batch. */
typedef struct {
    void *context; /* handed to each function */
    /* From the loaded images to the logits, for measuring. */
    void (*forward)(void *context, const mlp *net, mlp_batch *batch);
    /* The mean loss of n images and its gradient by the weights and biases of `net`; `scratch` is free for use. */
    float (*gradient)(void *context, const mlp *net, const digits *data, const size_t *images, size_t n,
                      mlp_batch *scratch, mlp *gradient);
    /* One step of whatever scales there are beside those of the weights, after a gradient; NULL where there are none. */
    void (*update_scales)(void *context, float learning_rate, size_t step);
} computation;

extern const computation ALONE;

/* Trains `net` on the training images, weights quantized by `quantizer`, or float where that is NULL. With no epochs it
 * only measures. `seed` decides the order of the images; `where` says what the progress line shall call this run. */
void train(mlp *net, weight_quantizer *quantizer, const digits_split *split, const recipe *how, uint64_t seed,
           const computation *by, progress where, curve *result);

#endif
