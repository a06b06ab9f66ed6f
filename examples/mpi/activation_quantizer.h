/* The activations of the hidden layers, quantized: one unsigned scale per layer, chosen by observers, then learned (LSQ).
 *
 * The pixels stay float, and so do the logits. */
#ifndef ACTIVATION_QUANTIZER_H
#define ACTIVATION_QUANTIZER_H

#include "mlp.h"

#include <diffquant.h>

#include <stddef.h>
#include <stdint.h>

enum { QUANTIZED_ACTIVATIONS = MLP_LAYERS - 1 }; /* element i is what layer i hands to layer i + 1 */

typedef struct {
    diffquant_quantizer *layer[QUANTIZED_ACTIVATIONS];
    float before[QUANTIZED_ACTIVATIONS][MLP_BATCH * MLP_HIDDEN]; /* of the last forward: what was quantized */
    float adam_m[QUANTIZED_ACTIVATIONS], adam_v[QUANTIZED_ACTIVATIONS];
} activation_quantizer;

/* Creates the quantizers, with the scales of least squared error on what the observers have seen. */
void activation_quantizer_new(activation_quantizer *quantizer, uint32_t bits,
                              diffquant_observer *const observers[QUANTIZED_ACTIVATIONS]);
void activation_quantizer_free(activation_quantizer *quantizer);

/* mlp_forward, but each hidden layer's output is replaced by the values that its codes stand for. */
void activation_quantizer_forward(activation_quantizer *quantizer, const mlp *net, mlp_batch *batch);

/* mlp_backward for that; also gives the gradients of the scales, normalized by the number of elements in this batch. */
void activation_quantizer_backward(const activation_quantizer *quantizer, const mlp *net, mlp_batch *batch,
                                   mlp *gradient, float scale_gradient[QUANTIZED_ACTIVATIONS]);

/* One Adam step of the scales; overwrites scale_gradient, and step counts from 1. */
void activation_quantizer_update(activation_quantizer *quantizer, float scale_gradient[QUANTIZED_ACTIVATIONS],
                                 float learning_rate, size_t step);

void activation_quantizer_scales(const activation_quantizer *quantizer, float scales[QUANTIZED_ACTIVATIONS]);

#endif
