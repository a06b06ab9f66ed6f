#include "mlp.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

const mlp_layer MLP_LAYER[MLP_LAYERS] = {
    {.in = MLP_INPUTS, .out = MLP_HIDDEN, .weights = 0, .biases = 0},
    {.in = MLP_HIDDEN, .out = MLP_HIDDEN, .weights = MLP_INPUTS * MLP_HIDDEN, .biases = MLP_HIDDEN},
    {.in = MLP_HIDDEN,
     .out = MLP_CLASSES,
     .weights = MLP_INPUTS * MLP_HIDDEN + MLP_HIDDEN * MLP_HIDDEN,
     .biases = MLP_HIDDEN + MLP_HIDDEN},
};

void mlp_init(mlp *net, rng *random) {
    *net = (mlp){0};
    for (size_t l = 0; l < MLP_LAYERS; l++) {
        const mlp_layer *layer = &MLP_LAYER[l];
        float bound = sqrtf(6.0f / (float)layer->in);
        for (size_t i = 0; i < layer->in * layer->out; i++) {
            net->weights[layer->weights + i] = bound * (2.0f * rng_uniform(random) - 1.0f);
        }
    }
}

/* Eight partial sums: a compiler may not reorder one float sum, but it may keep eight in vector registers. Every layer
 * here has a multiple of eight inputs; the second loop makes the function right for the others too. */
static float dot(const float *restrict a, const float *restrict b, size_t n) {
    float sums[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (size_t j = 0; j < 8; j++) {
            sums[j] += a[i + j] * b[i + j];
        }
    }
    float sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    for (; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* y += a * x */
static void axpy(float a, const float *restrict x, float *restrict y, size_t n) {
    for (size_t i = 0; i < n; i++) {
        y[i] += a * x[i];
    }
}

void mlp_load(mlp_batch *batch, const digits *data, const size_t *images, size_t n) {
    digits_gather(data, images, n, batch->activations[0], batch->labels);
    batch->batch = n;
}

void mlp_layer_forward(const mlp *net, size_t l, mlp_batch *batch) {
    const mlp_layer *layer = &MLP_LAYER[l];
    bool rectify = l + 1 < MLP_LAYERS; /* the last layer gives logits */
    for (size_t b = 0; b < batch->batch; b++) {
        const float *x = batch->activations[l] + b * layer->in;
        float *y = batch->activations[l + 1] + b * layer->out;
        for (size_t o = 0; o < layer->out; o++) {
            const float *row = net->weights + layer->weights + o * layer->in;
            float sum = net->biases[layer->biases + o] + dot(row, x, layer->in);
            y[o] = rectify && sum < 0.0f ? 0.0f : sum;
        }
    }
}

void mlp_forward(const mlp *net, mlp_batch *batch) {
    for (size_t l = 0; l < MLP_LAYERS; l++) {
        mlp_layer_forward(net, l, batch);
    }
}

/* Softmax cross-entropy of one image. The maximum is subtracted so that expf cannot overflow. */
static float image_loss(const float *logits, size_t label, float scale, float *gradient) {
    float maximum = logits[0], sum = 0.0f;
    for (size_t c = 1; c < MLP_CLASSES; c++) {
        maximum = logits[c] > maximum ? logits[c] : maximum;
    }
    for (size_t c = 0; c < MLP_CLASSES; c++) {
        gradient[c] = expf(logits[c] - maximum);
        sum += gradient[c];
    }
    for (size_t c = 0; c < MLP_CLASSES; c++) {
        gradient[c] = scale * (gradient[c] / sum - (c == label ? 1.0f : 0.0f));
    }
    return logf(sum) + maximum - logits[label];
}

float mlp_loss(mlp_batch *batch) {
    float loss = 0.0f, scale = 1.0f / (float)batch->batch;
    for (size_t b = 0; b < batch->batch; b++) {
        size_t first = b * MLP_CLASSES;
        loss += image_loss(batch->activations[MLP_LAYERS] + first, batch->labels[b], scale,
                           batch->gradients[MLP_LAYERS] + first);
    }
    return loss * scale;
}

/* One image through one layer, backwards. grad_y is the gradient at the layer's output; grad_x may be NULL. */
static void image_backward(const mlp *net, const mlp_layer *layer, const float *x, const float *grad_y, mlp *gradient,
                           float *grad_x) {
    for (size_t o = 0; o < layer->out; o++) {
        size_t row = layer->weights + o * layer->in;
        gradient->biases[layer->biases + o] += grad_y[o];
        axpy(grad_y[o], x, gradient->weights + row, layer->in);
        if (grad_x != NULL) {
            axpy(grad_y[o], net->weights + row, grad_x, layer->in);
        }
    }
}

void mlp_layer_backward(const mlp *net, size_t l, mlp_batch *batch, mlp *gradient) {
    const mlp_layer *layer = &MLP_LAYER[l];
    bool is_first = l == 0; /* nobody asks for the gradient of the pixels */
    memset(batch->gradients[l], 0, sizeof batch->gradients[l]);
    for (size_t b = 0; b < batch->batch; b++) {
        const float *x = batch->activations[l] + b * layer->in;
        float *grad_x = batch->gradients[l] + b * layer->in;
        image_backward(net, layer, x, batch->gradients[l + 1] + b * layer->out, gradient, is_first ? NULL : grad_x);
    }
}

void mlp_relu_backward(const float *output, float *gradient, size_t n) {
    for (size_t i = 0; i < n; i++) {
        gradient[i] = output[i] > 0.0f ? gradient[i] : 0.0f;
    }
}

void mlp_backward(const mlp *net, mlp_batch *batch, mlp *gradient) {
    memset(gradient, 0, sizeof *gradient);
    for (size_t l = MLP_LAYERS; l-- > 0;) {
        mlp_layer_backward(net, l, batch, gradient);
        if (l > 0) {
            mlp_relu_backward(batch->activations[l], batch->gradients[l], batch->batch * MLP_LAYER[l].in);
        }
    }
}

size_t mlp_correct(const mlp_batch *batch) {
    size_t correct = 0;
    for (size_t b = 0; b < batch->batch; b++) {
        const float *logits = batch->activations[MLP_LAYERS] + b * MLP_CLASSES;
        size_t best = 0;
        for (size_t c = 1; c < MLP_CLASSES; c++) {
            best = logits[c] > logits[best] ? c : best;
        }
        correct += best == batch->labels[b];
    }
    return correct;
}
