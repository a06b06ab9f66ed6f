#include "activation_quantizer.h"
#include "adam.h"
#include "check.h"

#include <string.h>

/* No learned scale gets smaller; activations here are of the order of 1. */
static const float SMALLEST_ACTIVATION_SCALE = 1e-3f;

void activation_quantizer_new(activation_quantizer *quantizer, uint32_t bits,
                              diffquant_observer *const observers[QUANTIZED_ACTIVATIONS]) {
    *quantizer = (activation_quantizer){0};
    for (size_t i = 0; i < QUANTIZED_ACTIVATIONS; i++) {
        CHECK(diffquant_quantizer_new_uniform(bits, DIFFQUANT_STE_LSQ, 0.0f, &quantizer->layer[i]));
        /* After ReLU nothing is negative. */
        CHECK(diffquant_quantizer_set_code_range(quantizer->layer[i], DIFFQUANT_CODE_RANGE_UNSIGNED));
        CHECK(diffquant_quantizer_init_scale_from_observer(quantizer->layer[i], observers[i],
                                                           DIFFQUANT_SCALE_INIT_MSE, 0.0f));
    }
}

void activation_quantizer_free(activation_quantizer *quantizer) {
    for (size_t i = 0; i < QUANTIZED_ACTIVATIONS; i++) {
        diffquant_quantizer_free(quantizer->layer[i]);
        quantizer->layer[i] = NULL;
    }
}

void activation_quantizer_forward(activation_quantizer *quantizer, const mlp *net, mlp_batch *batch) {
    const size_t n = batch->batch * MLP_HIDDEN;
    for (size_t l = 0; l < MLP_LAYERS; l++) {
        mlp_layer_forward(net, l, batch);
        if (l < QUANTIZED_ACTIVATIONS) {
            float *x = batch->activations[l + 1];
            memcpy(quantizer->before[l], x, n * sizeof *x);
            CHECK(diffquant_quantizer_forward(quantizer->layer[l], x, n, NULL, x));
        }
    }
}

void activation_quantizer_backward(const activation_quantizer *quantizer, const mlp *net, mlp_batch *batch,
                                   mlp *gradient, float scale_gradient[QUANTIZED_ACTIVATIONS]) {
    const size_t n = batch->batch * MLP_HIDDEN;
    memset(gradient, 0, sizeof *gradient);
    for (size_t l = MLP_LAYERS; l-- > 0;) {
        mlp_layer_backward(net, l, batch, gradient);
        if (l > 0) {
            const float *before = quantizer->before[l - 1];
            float *grad_x = batch->gradients[l];
            CHECK(diffquant_quantizer_backward_scale(quantizer->layer[l - 1], before, grad_x, n, grad_x,
                                                     &scale_gradient[l - 1]));
            mlp_relu_backward(before, grad_x, n); /* not by the value: that is 0 for small activations too */
        }
    }
}

void activation_quantizer_update(activation_quantizer *quantizer, float scale_gradient[QUANTIZED_ACTIVATIONS],
                                 float learning_rate, size_t step) {
    adam_direction(scale_gradient, quantizer->adam_m, quantizer->adam_v, QUANTIZED_ACTIVATIONS, step);
    for (size_t i = 0; i < QUANTIZED_ACTIVATIONS; i++) {
        size_t projected;
        CHECK(diffquant_quantizer_apply_scale_step(quantizer->layer[i], &scale_gradient[i], 1, learning_rate,
                                                   SMALLEST_ACTIVATION_SCALE, &projected));
    }
}

void activation_quantizer_scales(const activation_quantizer *quantizer, float scales[QUANTIZED_ACTIVATIONS]) {
    for (size_t i = 0; i < QUANTIZED_ACTIVATIONS; i++) {
        CHECK(diffquant_quantizer_scales(quantizer->layer[i], &scales[i], 1));
    }
}
