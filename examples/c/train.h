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

/* Test accuracy, 0..1, after each epoch; accuracy[0] is that before the first. */
typedef struct {
    size_t epochs;
    float accuracy[MAX_EPOCHS + 1];
    size_t projected_scales; /* as weight_quantizer has it, at the end */
} curve;

/* Trains `net` on the training images, weights quantized by `quantizer`, or float where that is NULL. With no epochs it
 * only measures. `seed` decides the order of the images; `where` says what the progress line shall call this run. */
void train(mlp *net, weight_quantizer *quantizer, const digits_split *split, const recipe *how, uint64_t seed,
           progress where, curve *result);

#endif
