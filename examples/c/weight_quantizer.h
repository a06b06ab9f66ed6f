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

enum { PTQ_MAX_ABS, PTQ_MSE, QAT_STE, QAT_STE_MSE, QAT_LEARNED_STEP, QAT_LSQ, QAT_LSQ_MSE, QAT_EWGS, METHOD_COUNT };

/* A way to get a network with few-bit weights. */
typedef struct {
    const char *name;      /* for the progress line */
    const char *long_name; /* for the table and the chart */
    diffquant_scale_init first_scales;
    diffquant_ste ste;
    float ste_param;
    bool trains;       /* QAT: train with quantized weights; else PTQ, quantize and be done */
    bool learns_scale; /* the scales are trained too */
} quantization_method;

extern const quantization_method METHOD[METHOD_COUNT];

/* Which weights share a scale. */
enum { PER_TENSOR, PER_CHANNEL, GRANULARITY_COUNT };

/* One quantizer per layer. */
typedef struct {
    const quantization_method *method;
    diffquant_quantizer *layer[MLP_LAYERS];
    /* By scale. The scales of a layer begin where its biases do: a channel is an output row, as many as there are
     * biases; per tensor only the first is used. */
    float scale_gradient[MLP_BIASES]; /* from the last backward */
    float adam_m[MLP_BIASES], adam_v[MLP_BIASES];
    size_t projected; /* how often a step would have made a scale smaller than SMALLEST_SCALE */
} weight_quantizer;

/* No learned scale gets smaller; the weights here are of the order of 0.1. */
#define SMALLEST_SCALE 1e-4f

/* Creates the quantizers and chooses their first scales for the weights of `net`. */
void weight_quantizer_new(weight_quantizer *quantizer, const quantization_method *method, size_t granularity,
                          uint32_t bits, const mlp *net);
void weight_quantizer_free(weight_quantizer *quantizer);

/* used = latent, with each weight replaced by the value of its code. */
void weight_quantizer_forward(const weight_quantizer *quantizer, const mlp *latent, mlp *used);

/* gradient holds dL/d(used weights) and is turned, in place, into dL/d(latent weights); keeps dL/d(scales). */
void weight_quantizer_backward(weight_quantizer *quantizer, const mlp *latent, mlp *gradient);

/* One Adam step of the scales along the kept gradient, where the method learns them; step counts from 1. */
void weight_quantizer_update_scales(weight_quantizer *quantizer, float learning_rate, size_t step);

/* Every scale, where scale_gradient has its gradient; the rest of `scales` stays as it is. */
void weight_quantizer_scales(const weight_quantizer *quantizer, float scales[MLP_BIASES]);

/* deployed = latent, as a program that ships it would see it: weights to int8 codes, and codes times scale back. */
void weight_quantizer_deploy(const weight_quantizer *quantizer, const mlp *latent, mlp *deployed);

#endif
