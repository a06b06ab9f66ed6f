/* The network: a multilayer perceptron 64-32-32-10 with ReLU and softmax cross-entropy, in plain C.
 *
 * Nothing here knows of quantization. A network is a struct of two flat arrays, so its gradient and Adam's two moments
 * have the same type, copying is an assignment, and nothing needs an allocation. */
#ifndef MLP_H
#define MLP_H

#include "digits.h"
#include "rng.h"

#include <stddef.h>
#include <stdint.h>

enum {
    MLP_LAYERS = 3,
    MLP_INPUTS = DIGITS_PIXELS,
    MLP_HIDDEN = 32,
    MLP_CLASSES = DIGITS_CLASSES,
    MLP_MAX_WIDTH = MLP_INPUTS,
    MLP_WEIGHTS = MLP_INPUTS * MLP_HIDDEN + MLP_HIDDEN * MLP_HIDDEN + MLP_HIDDEN * MLP_CLASSES,
    MLP_BIASES = MLP_HIDDEN + MLP_HIDDEN + MLP_CLASSES,
    MLP_BATCH = 32
};

typedef struct {
    float weights[MLP_WEIGHTS]; /* layer after layer, each [out][in]: one row of `in` weights per output channel */
    float biases[MLP_BIASES];   /* layer after layer, each [out] */
} mlp;

/* Where a layer lies in those arrays. */
typedef struct {
    size_t in, out;
    size_t weights, biases; /* offset of its first weight, of its first bias */
} mlp_layer;

extern const mlp_layer MLP_LAYER[MLP_LAYERS];

/* The activations of one batch, and their gradients. activations[0] is the input, [MLP_LAYERS] the logits. */
typedef struct {
    float activations[MLP_LAYERS + 1][MLP_BATCH * MLP_MAX_WIDTH]; /* each [batch][width of that layer] */
    float gradients[MLP_LAYERS + 1][MLP_BATCH * MLP_MAX_WIDTH];
    uint8_t labels[MLP_BATCH];
    size_t batch;
} mlp_batch;

/* He initialisation: uniform in +-sqrt(6 / in), biases 0. */
void mlp_init(mlp *net, rng *random);

/* Makes n images, at most MLP_BATCH, the input of the batch. */
void mlp_load(mlp_batch *batch, const digits *data, const size_t *images, size_t n);

/* Fills the activations from activations[0]. */
void mlp_forward(const mlp *net, mlp_batch *batch);

/* The mean cross-entropy of the batch; leaves its gradient with respect to the logits in gradients[MLP_LAYERS]. */
float mlp_loss(mlp_batch *batch);

/* The gradient with respect to the weights and biases that mlp_forward used, and mlp_loss went before. */
void mlp_backward(const mlp *net, mlp_batch *batch, mlp *gradient);

/* The steps of mlp_forward and mlp_backward, for who has something to do in between. Layer l turns activations[l] into
 * activations[l + 1], with ReLU but in the last; backwards, it turns gradients[l + 1] into gradients[l], but in the
 * first, and adds to `gradient`. ReLU's own part is mlp_relu_backward, on n elements. */
void mlp_layer_forward(const mlp *net, size_t l, mlp_batch *batch);
void mlp_layer_backward(const mlp *net, size_t l, mlp_batch *batch, mlp *gradient);
void mlp_relu_backward(const float *output, float *gradient, size_t n);

/* How many images of the batch have their largest logit at the right digit. */
size_t mlp_correct(const mlp_batch *batch);

#endif
