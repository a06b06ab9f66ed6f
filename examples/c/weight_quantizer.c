#include "weight_quantizer.h"
#include "adam.h"
#include "check.h"

/* docs/methods.md has the formulas. A method that trains differs from the one above it in one thing only: STE_MSE in the
 * scale, LEARNED_STEP and LSQ in the gradients (and LSQ in its own first scale), LSQ_MSE in the first scale, EWGS in the
 * gradient of the weights. PTQ never asks for a gradient. */
const quantization_method METHOD[METHOD_COUNT] = {
    [PTQ_MAX_ABS] = {"PTQ", "PTQ, max-abs scale", .first_scales = DIFFQUANT_SCALE_INIT_MAX_ABS},
    [PTQ_MSE] = {"PTQ-MSE", "PTQ, MSE scale", .first_scales = DIFFQUANT_SCALE_INIT_MSE},
    [QAT_STE] = {"STE", "QAT, STANDARD, fixed max-abs scale", .trains = true,
                 .first_scales = DIFFQUANT_SCALE_INIT_MAX_ABS, .ste = DIFFQUANT_STE_STANDARD},
    [QAT_STE_MSE] = {"STE-MSE", "QAT, STANDARD, fixed MSE scale", .trains = true,
                     .first_scales = DIFFQUANT_SCALE_INIT_MSE, .ste = DIFFQUANT_STE_STANDARD},
    [QAT_LEARNED_STEP] = {"LSS", "QAT, LEARNED_STEP_SIZE from max-abs", .trains = true, .learns_scale = true,
                          .first_scales = DIFFQUANT_SCALE_INIT_MAX_ABS, .ste = DIFFQUANT_STE_LEARNED_STEP_SIZE},
    [QAT_LSQ] = {"LSQ", "QAT, LSQ from LSQ's first scale", .trains = true, .learns_scale = true,
                 .first_scales = DIFFQUANT_SCALE_INIT_LSQ, .ste = DIFFQUANT_STE_LSQ},
    [QAT_LSQ_MSE] = {"LSQ-MSE", "QAT, LSQ from MSE", .trains = true, .learns_scale = true,
                     .first_scales = DIFFQUANT_SCALE_INIT_MSE, .ste = DIFFQUANT_STE_LSQ},
    /* 0.2: gradients grow and shrink by a tenth at most, halfway between two codes. Not tuned. */
    [QAT_EWGS] = {"EWGS", "QAT, EWGS_SIGNED from MSE", .trains = true, .learns_scale = true,
                  .first_scales = DIFFQUANT_SCALE_INIT_MSE, .ste = DIFFQUANT_STE_EWGS_SIGNED, .ste_param = 0.2f},
};

static size_t weight_count(const mlp_layer *layer) {
    return layer->in * layer->out;
}

void weight_quantizer_new(weight_quantizer *quantizer, const quantization_method *method, size_t granularity,
                          uint32_t bits, const mlp *net) {
    *quantizer = (weight_quantizer){.method = method};
    for (size_t l = 0; l < MLP_LAYERS; l++) {
        const mlp_layer *layer = &MLP_LAYER[l];
        CHECK(diffquant_quantizer_new_uniform(bits, method->ste, method->ste_param, &quantizer->layer[l]));
        if (granularity == PER_CHANNEL) {
            CHECK(diffquant_quantizer_init_per_channel(quantizer->layer[l], layer->out));
        }
        CHECK(diffquant_quantizer_init_scale_with(quantizer->layer[l], method->first_scales, 0.0f,
                                                  net->weights + layer->weights, weight_count(layer)));
    }
}

void weight_quantizer_free(weight_quantizer *quantizer) {
    for (size_t l = 0; l < MLP_LAYERS; l++) {
        diffquant_quantizer_free(quantizer->layer[l]);
        quantizer->layer[l] = NULL;
    }
}

void weight_quantizer_forward(const weight_quantizer *quantizer, const mlp *latent, mlp *used) {
    *used = *latent; /* for the biases */
    for (size_t l = 0; l < MLP_LAYERS; l++) {
        const mlp_layer *layer = &MLP_LAYER[l];
        CHECK(diffquant_quantizer_forward(quantizer->layer[l], latent->weights + layer->weights, weight_count(layer),
                                          NULL, used->weights + layer->weights));
    }
}

void weight_quantizer_backward(weight_quantizer *quantizer, const mlp *latent, mlp *gradient) {
    for (size_t l = 0; l < MLP_LAYERS; l++) {
        const mlp_layer *layer = &MLP_LAYER[l];
        const float *w = latent->weights + layer->weights;
        float *grad_w = gradient->weights + layer->weights;
        if (quantizer->method->learns_scale) {
            CHECK(diffquant_quantizer_backward_scale(quantizer->layer[l], w, grad_w, weight_count(layer), grad_w,
                                                     quantizer->scale_gradient + layer->biases));
        } else {
            CHECK(diffquant_quantizer_backward(quantizer->layer[l], w, NULL, grad_w, weight_count(layer), grad_w));
        }
    }
}

void weight_quantizer_update_scales(weight_quantizer *quantizer, float learning_rate, size_t step) {
    if (!quantizer->method->learns_scale) {
        return;
    }
    /* The library takes one step down a gradient, or down whatever direction an optimizer makes of it. Adam's does not
     * depend on the gradient's size, so that the methods' different normalizers do not matter here. */
    adam_direction(quantizer->scale_gradient, quantizer->adam_m, quantizer->adam_v, MLP_BIASES, step);
    for (size_t l = 0; l < MLP_LAYERS; l++) {
        size_t count, projected;
        CHECK(diffquant_quantizer_scale_count(quantizer->layer[l], &count));
        CHECK(diffquant_quantizer_apply_scale_step(quantizer->layer[l],
                                                   quantizer->scale_gradient + MLP_LAYER[l].biases, count,
                                                   learning_rate, SMALLEST_SCALE, &projected));
        quantizer->projected += projected;
    }
}

void weight_quantizer_scales(const weight_quantizer *quantizer, float scales[MLP_BIASES]) {
    for (size_t l = 0; l < MLP_LAYERS; l++) {
        size_t count;
        CHECK(diffquant_quantizer_scale_count(quantizer->layer[l], &count));
        CHECK(diffquant_quantizer_scales(quantizer->layer[l], scales + MLP_LAYER[l].biases, count));
    }
}

void weight_quantizer_deploy(const weight_quantizer *quantizer, const mlp *latent, mlp *deployed) {
    int8_t codes[MLP_WEIGHTS];
    *deployed = *latent; /* for the biases */
    for (size_t l = 0; l < MLP_LAYERS; l++) {
        const mlp_layer *layer = &MLP_LAYER[l];
        CHECK(diffquant_quantizer_forward(quantizer->layer[l], latent->weights + layer->weights, weight_count(layer),
                                          codes + layer->weights, NULL));
        CHECK(diffquant_quantizer_dequantize(quantizer->layer[l], codes + layer->weights, weight_count(layer),
                                             deployed->weights + layer->weights));
    }
}
