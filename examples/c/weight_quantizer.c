#include "weight_quantizer.h"
#include "adam.h"
#include "report.h"

#include <math.h>

/* Every function of the library that can fail returns a status and leaves a message. */
#define CHECK(call) check((call), #call)

static void check(diffquant_status status, const char *call) {
    if (status != DIFFQUANT_STATUS_OK) {
        die("%s\n  %s: %s", call, diffquant_status_name(status), diffquant_last_error_message());
    }
}

/* ---- the quantizers ---- */

/* STE Standard hands the gradient through unchanged, also that of a weight which has left the range of its codes. */
static diffquant_quantizer *create_uniform(uint32_t bits) {
    diffquant_quantizer *quantizer;
    CHECK(diffquant_quantizer_new_uniform(bits, DIFFQUANT_STE_STANDARD, 0.0f, &quantizer));
    return quantizer;
}

/* Steps of alpha * PI / k, with the presets piq3 (3 bits, k 4) and piq2 (2 bits, k 3); 4 bits has no preset. */
static diffquant_quantizer *create_pi(uint32_t bits) {
    diffquant_quantizer *quantizer;
    diffquant_config *config;
    if (bits == 4) {
        CHECK(diffquant_quantizer_new_pi(bits, 4, &quantizer));
        CHECK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_LEARNED_STEP_SIZE, 0.0f));
        return quantizer;
    }
    CHECK(diffquant_config_new_preset(bits == 3 ? DIFFQUANT_PRESET_PIQ3 : DIFFQUANT_PRESET_PIQ2, &config));
    CHECK(diffquant_quantizer_new(config, &quantizer));
    diffquant_config_free(config);
    return quantizer;
}

const quantization_method METHOD[METHOD_COUNT] = {
    [PTQ_PER_TENSOR] = {"PTQ per tensor", "PTQ, max-abs scale per tensor", .create = create_uniform},
    [PTQ_PER_CHANNEL] = {"PTQ per channel", "PTQ, max-abs scale per channel", .per_channel = true,
                         .create = create_uniform},
    [QAT_UNIFORM] = {"QAT uniform", "QAT, uniform, fixed scale, STE Standard", .per_channel = true, .trains = true,
                     .create = create_uniform},
    [QAT_PI] = {"QAT pi", "QAT, pi, learned alpha, LearnedStepSize", .per_channel = true, .trains = true,
                .learns_scale = true, .create = create_pi},
};

/* ---- one quantizer per layer ---- */

static size_t weight_count(const mlp_layer *layer) {
    return layer->in * layer->out;
}

void weight_quantizer_new(weight_quantizer *quantizer, const quantization_method *method, uint32_t bits,
                          const mlp *trained) {
    *quantizer = (weight_quantizer){.method = method};
    for (size_t l = 0; l < MLP_LAYERS; l++) {
        const mlp_layer *layer = &MLP_LAYER[l];
        quantizer->layer[l] = method->create(bits);
        if (method->per_channel) {
            CHECK(diffquant_quantizer_init_per_channel(quantizer->layer[l], layer->out));
        }
        CHECK(diffquant_quantizer_init_scale(quantizer->layer[l], trained->weights + layer->weights,
                                             weight_count(layer)));
        if (method->learns_scale) {
            CHECK(diffquant_quantizer_scales(quantizer->layer[l], quantizer->scales + layer->biases, layer->out));
        }
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
    const float smallest = 1e-4f; /* an Adam step may overshoot zero, and the library refuses a scale <= 0 */
    if (!quantizer->method->learns_scale) {
        return;
    }
    adam_update(quantizer->scales, quantizer->scale_gradient, quantizer->adam_m, quantizer->adam_v, MLP_BIASES,
                learning_rate, step);
    for (size_t s = 0; s < MLP_BIASES; s++) {
        quantizer->scales[s] = fmaxf(quantizer->scales[s], smallest);
    }
    for (size_t l = 0; l < MLP_LAYERS; l++) {
        const mlp_layer *layer = &MLP_LAYER[l];
        CHECK(diffquant_quantizer_set_scales(quantizer->layer[l], quantizer->scales + layer->biases, layer->out));
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
