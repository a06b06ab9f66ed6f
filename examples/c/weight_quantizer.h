/* The weights of the network, quantized: everything this example asks of diffquant is in weight_quantizer.c.
 *
 * The trainer keeps latent float weights. Each step it computes with the values that their codes stand for (forward),
 * and passes the gradient back through the rounding (backward). Biases and activations stay float. */
#ifndef WEIGHT_QUANTIZER_H
#define WEIGHT_QUANTIZER_H

#include "mlp.h"

#include <diffquant.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PTQ_PER_TENSOR, PTQ_PER_CHANNEL, QAT_UNIFORM, QAT_PI, METHOD_COUNT };

/* A way to get a network with few-bit weights out of a trained float network. All start from max-abs scales, at
 * which every weight lies within half a step of a code. */
typedef struct {
    const char *name;      /* for the progress line */
    const char *long_name; /* for the table and the chart */
    bool per_channel;      /* one scale per output channel, else one per layer */
    bool trains;           /* QAT: go on training with quantized weights; else PTQ, quantize and be done */
    bool learns_scale;     /* the scales are trained too; needs per_channel */
    diffquant_quantizer *(*create)(uint32_t bits);
} quantization_method;

extern const quantization_method METHOD[METHOD_COUNT];

/* One quantizer per layer. A channel is an output row, so scale s belongs to the same row as bias s of the network. */
typedef struct {
    const quantization_method *method;
    diffquant_quantizer *layer[MLP_LAYERS];
    float scales[MLP_BIASES];         /* what the library holds, as Adam sees it; used when the scales are learned */
    float scale_gradient[MLP_BIASES]; /* from the last backward */
    float adam_m[MLP_BIASES], adam_v[MLP_BIASES];
} weight_quantizer;

/* Creates the quantizers and calibrates their scales on the weights of `trained`. */
void weight_quantizer_new(weight_quantizer *quantizer, const quantization_method *method, uint32_t bits,
                          const mlp *trained);
void weight_quantizer_free(weight_quantizer *quantizer);

/* used = latent, with each weight replaced by the value of its code. */
void weight_quantizer_forward(const weight_quantizer *quantizer, const mlp *latent, mlp *used);

/* gradient holds dL/d(used weights) and is turned, in place, into dL/d(latent weights); keeps dL/d(scales). */
void weight_quantizer_backward(weight_quantizer *quantizer, const mlp *latent, mlp *gradient);

/* One Adam step of the scales along the kept gradient, where the method learns them; step counts from 1. */
void weight_quantizer_update_scales(weight_quantizer *quantizer, float learning_rate, size_t step);

/* deployed = latent, as a program that ships it would see it: weights to int8 codes, and codes times scale back. */
void weight_quantizer_deploy(const weight_quantizer *quantizer, const mlp *latent, mlp *deployed);

#endif
