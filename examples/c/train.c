#include "train.h"
#include "adam.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const recipe FLOAT_RECIPE = {.epochs = 40, .learning_rate = 5e-3f};
const recipe QAT_RECIPE = {.epochs = 40, .learning_rate = 2e-2f, .scale_learning_rate = 1e-3f};

static void forward_alone(void *context, const mlp *net, mlp_batch *batch) {
    (void)context;
    mlp_forward(net, batch);
}

static float gradient_alone(void *context, const mlp *net, const digits *data, const size_t *images, size_t n,
                            mlp_batch *scratch, mlp *gradient) {
    (void)context;
    mlp_load(scratch, data, images, n);
    mlp_forward(net, scratch);
    float loss = mlp_loss(scratch);
    mlp_backward(net, scratch, gradient);
    return loss;
}

const computation ALONE = {.forward = forward_alone, .gradient = gradient_alone};

/* What one run carries from step to step. */
typedef struct {
    mlp *net;                    /* the latent weights, which Adam updates */
    weight_quantizer *quantizer; /* or NULL */
    const digits_split *split;
    const recipe *how;
    const computation *by;
    mlp adam_m, adam_v;
    size_t step, steps;
    mlp_batch batch;
} training;

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* The share of the test images that `net` gets right, with its weights as they would be deployed. */
static float test_accuracy(training *run) {
    const digits_split *split = run->split;
    const size_t *order = split->order + split->train_count;
    size_t correct = 0;
    mlp deployed = *run->net;
    if (run->quantizer != NULL) {
        weight_quantizer_deploy(run->quantizer, run->net, &deployed);
    }
    for (size_t i = 0; i < split->test_count; i += MLP_BATCH) {
        mlp_load(&run->batch, split->data, order + i, smaller(MLP_BATCH, split->test_count - i));
        run->by->forward(run->by->context, &deployed, &run->batch);
        correct += mlp_correct(&run->batch);
    }
    return (float)correct / (float)split->test_count;
}

/* One step of Adam on a batch of n images; returns its loss. */
static float train_step(training *run, const size_t *images, size_t n) {
    const mlp *used = run->net;
    mlp quantized, gradient;

    if (run->quantizer != NULL) {
        weight_quantizer_forward(run->quantizer, run->net, &quantized);
        used = &quantized;
    }
    float loss = run->by->gradient(run->by->context, used, run->split->data, images, n, &run->batch, &gradient);

    float decay = 0.5f * (1.0f + cosf(3.14159265f * (float)run->step / (float)run->steps));
    float learning_rate = run->how->learning_rate * decay;
    float scale_learning_rate = run->how->scale_learning_rate * decay;
    run->step++;
    if (run->quantizer != NULL) {
        weight_quantizer_backward(run->quantizer, run->net, &gradient);
        weight_quantizer_update_scales(run->quantizer, scale_learning_rate, run->step);
    }
    if (run->by->update_scales != NULL) {
        run->by->update_scales(run->by->context, scale_learning_rate, run->step);
    }
    adam_update(run->net->weights, gradient.weights, run->adam_m.weights, run->adam_v.weights, MLP_WEIGHTS,
                learning_rate, run->step);
    adam_update(run->net->biases, gradient.biases, run->adam_m.biases, run->adam_v.biases, MLP_BIASES, learning_rate,
                run->step);
    return loss;
}

/* Returns the mean loss over the training images. */
static float train_epoch(training *run, const size_t *order) {
    const digits_split *split = run->split;
    float loss = 0.0f;
    for (size_t i = 0; i < split->train_count; i += MLP_BATCH) {
        size_t n = smaller(MLP_BATCH, split->train_count - i);
        loss += (float)n * train_step(run, order + i, n);
    }
    return loss / (float)split->train_count;
}

void train(mlp *net, weight_quantizer *quantizer, const digits_split *split, const recipe *how, uint64_t seed,
           const computation *by, progress where, curve *result) {
    training run = {.net = net, .quantizer = quantizer, .split = split, .how = how, .by = by};
    run.steps = how->epochs * ((split->train_count + MLP_BATCH - 1) / MLP_BATCH);
    rng random = {seed};
    size_t *order = allocate(split->train_count, sizeof *order);
    memcpy(order, split->order, split->train_count * sizeof *order);

    result->epochs = how->epochs;
    result->accuracy[0] = test_accuracy(&run);
    for (size_t epoch = 1; epoch <= how->epochs; epoch++) {
        rng_shuffle(&random, order, split->train_count);
        where.loss = train_epoch(&run, order);
        where.accuracy = result->accuracy[epoch] = test_accuracy(&run);
        where.epoch = epoch;
        where.epochs = how->epochs;
        report_progress(&where);
    }
    result->projected_scales = quantizer != NULL ? quantizer->projected : 0;
    free(order);
}
