/* Large tensors, which a library may treat in other ways than small ones (several threads, stores past the cache): the
 * same bits as piece by piece, and nothing beside the buffers. */

#include "island.h"

/* Eight mebibytes of floats, and a few more: a whole block of the kernels and a part of one. */
#define MANY ((size_t)1 << 21)
static const size_t lengths[] = {MANY + 36, MANY + 37};

/* Elements in a piece. */
enum { PIECE = 16384 };

struct tensors {
    struct island w, g, values, grad_w, codes;
    float *expected_values, *expected_grad;
    int8_t *expected_codes;
};

static struct tensors tensors_new(size_t most) {
    const size_t bytes = most * sizeof(float);
    struct tensors tensors = {island_new(bytes), island_new(bytes), island_new(bytes), island_new(bytes),
                              island_new(most),  malloc(bytes),     malloc(bytes),     malloc(most)};
    REQUIRE(tensors.expected_values != NULL && tensors.expected_grad != NULL && tensors.expected_codes != NULL);
    return tensors;
}

static void tensors_free(struct tensors *tensors) {
    island_free(&tensors->w);
    island_free(&tensors->g);
    island_free(&tensors->values);
    island_free(&tensors->grad_w);
    island_free(&tensors->codes);
    free(tensors->expected_values);
    free(tensors->expected_grad);
    free(tensors->expected_codes);
}

static float *random_weights(size_t n, uint32_t seed) {
    float *w = malloc(n * sizeof *w);
    REQUIRE(w != NULL);
    fill_weights(w, n, seed, false);
    return w;
}

/* What the tensor functions are to give for a quantizer with one scale. */
static void compute_in_pieces(const struct tensors *tensors, const diffquant_quantizer *quantizer, const float *w,
                              const float *g, size_t n) {
    for (size_t at = 0; at < n; at += PIECE) {
        const size_t count = n - at < PIECE ? n - at : PIECE;
        REQUIRE(diffquant_quantizer_forward(quantizer, w + at, count, tensors->expected_codes + at,
                                            tensors->expected_values + at) == DIFFQUANT_STATUS_OK);
        REQUIRE(diffquant_quantizer_backward(quantizer, w + at, NULL, g + at, count, tensors->expected_grad + at) ==
                DIFFQUANT_STATUS_OK);
    }
}

static void check_grad_scale(const struct tensors *tensors, const float *g, size_t n, float grad_scale) {
    double sum = 0.0, magnitudes = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double term = (double)g[i] * tensors->expected_codes[i];
        sum += term;
        magnitudes += fabs(term);
    }
    const double root = sqrt((double)n * 16.0);
    CHECK(fabs((double)grad_scale - sum / root) <= 1e-6 * magnitudes / root);
}

TEST(large_tensors_give_the_bits_of_their_pieces_and_stay_between_their_pages) {
    struct tensors tensors = tensors_new(MANY + 37);
    float *weights = random_weights(MANY + 37, 61), *gradients = random_weights(MANY + 37, 62);
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.3f);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_EWGS, 0.5f));
    compute_in_pieces(&tensors, quantizer, weights, gradients, MANY + 37);
    for (size_t i = 0; i < 2 * COUNT(lengths); i++) {
        const size_t n = lengths[i / 2], bytes = n * sizeof(float);
        const bool at_end = i % 2 == 1;
        float *w = island_copy(&tensors.w, weights, bytes, at_end);
        float *g = island_copy(&tensors.g, gradients, bytes, at_end);
        float *values = island_place(&tensors.values, bytes, at_end);
        float *grad_w = island_place(&tensors.grad_w, bytes, at_end), grad_scale = 99.0f;
        int8_t *codes = island_place(&tensors.codes, n, at_end);
        check_context("n = %zu, at the %s", n, at_end ? "end" : "start");

        CHECK_OK(diffquant_quantizer_forward(quantizer, w, n, codes, values));
        CHECK_CODES(codes, tensors.expected_codes, n);
        CHECK_FLOATS(values, tensors.expected_values, n);
        touch_not(values, bytes);
        CHECK_OK(diffquant_quantizer_forward(quantizer, w, n, NULL, values));
        CHECK_FLOATS(values, tensors.expected_values, n);
        touch_not(values, bytes);
        CHECK_OK(diffquant_quantizer_dequantize(quantizer, codes, n, values));
        CHECK_FLOATS(values, tensors.expected_values, n);
        CHECK_OK(diffquant_quantizer_backward(quantizer, w, values, g, n, grad_w));
        CHECK_FLOATS(grad_w, tensors.expected_grad, n);
        touch_not(grad_w, bytes);
        CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, n, grad_w, &grad_scale));
        CHECK_FLOATS(grad_w, tensors.expected_grad, n);
        check_grad_scale(&tensors, g, n, grad_scale);
        const float whole = grad_scale;
        CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, n, NULL, &grad_scale));
        CHECK_FLOAT(grad_scale, whole);

        /* In place, last: it overwrites the inputs. */
        CHECK_OK(diffquant_quantizer_backward(quantizer, w, NULL, g, n, g));
        CHECK_FLOATS(g, tensors.expected_grad, n);
        CHECK_OK(diffquant_quantizer_forward(quantizer, w, n, NULL, w));
        CHECK_FLOATS(w, tensors.expected_values, n);
    }
    diffquant_quantizer_free(quantizer);
    free(weights);
    free(gradients);
    tensors_free(&tensors);
}

TEST(large_tensors_of_many_channels_give_the_bits_of_each_channel_alone) {
    /* Runs of 16 bytes' multiples, and runs that begin at any float. */
    static const size_t channel_counts[] = {2, 3, 15};
    static const float scales[] = {0.5f, 0.3f, 1.7f, 0.01f, 2.5f, 0.9f, 0.25f, 1.1f,
                                   0.6f, 0.7f, 0.8f, 1.3f,  1.4f, 0.1f, 3.0f};
    const size_t n = 2 * 3 * 5 * 69911; /* a little more than MANY */
    struct tensors tensors = tensors_new(n);
    float *w = island_place(&tensors.w, n * sizeof(float), true),
          *g = island_place(&tensors.g, n * sizeof(float), true);
    float *values = island_place(&tensors.values, n * sizeof(float), false);
    float *grad_w = island_place(&tensors.grad_w, n * sizeof(float), false);
    int8_t *codes = island_place(&tensors.codes, n, false);
    fill_weights(w, n, 63, false);
    fill_weights(g, n, 64, false);
    for (size_t i = 0; i < COUNT(channel_counts); i++) {
        const size_t channels = channel_counts[i], run = n / channels;
        float grad_scale[COUNT(scales)], expected_scale[COUNT(scales)];
        check_context("%zu channels", channels);
        for (size_t channel = 0; channel < channels; channel++) {
            const size_t at = channel * run;
            diffquant_quantizer *alone = uniform_quantizer(4, scales[channel]);
            REQUIRE_OK(diffquant_quantizer_set_ste(alone, DIFFQUANT_STE_CLIPPED, 2.0f));
            REQUIRE_OK(diffquant_quantizer_forward(alone, w + at, run, tensors.expected_codes + at,
                                                   tensors.expected_values + at));
            REQUIRE_OK(diffquant_quantizer_backward_scale(alone, w + at, g + at, run, tensors.expected_grad + at,
                                                          &expected_scale[channel]));
            diffquant_quantizer_free(alone);
        }
        diffquant_quantizer *quantizer = channel_quantizer(4, scales, channels);
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_CLIPPED, 2.0f));
        touch_not(values, n * sizeof(float));
        touch_not(grad_w, n * sizeof(float));
        CHECK_OK(diffquant_quantizer_forward(quantizer, w, n, codes, values));
        CHECK_CODES(codes, tensors.expected_codes, n);
        CHECK_FLOATS(values, tensors.expected_values, n);
        CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, n, grad_w, grad_scale));
        CHECK_FLOATS(grad_w, tensors.expected_grad, n);
        CHECK_FLOATS(grad_scale, expected_scale, channels);
        CHECK_OK(diffquant_quantizer_init_scale(quantizer, w, n));
        const struct quantizer_state state = state_of(quantizer);
        for (size_t channel = 0; channel < channels; channel++) {
            float largest = 0.0f;
            for (size_t j = channel * run; j < (channel + 1) * run; j++) {
                largest = fabsf(w[j]) > largest ? fabsf(w[j]) : largest;
            }
            CHECK_FLOAT(state.scales[channel], largest / 7.5f);
        }
        diffquant_quantizer_free(quantizer);
    }
    tensors_free(&tensors);
}

TEST(eight_mebibytes_of_codes_are_those_of_their_pieces) {
    const size_t n = ((size_t)1 << 23) + 37;
    struct island island = island_new(n);
    int8_t *codes = island_place(&island, n, false);
    float *w = random_weights(n, 65);
    diffquant_quantizer *quantizer = uniform_quantizer(8, 0.03f);
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, n, codes, NULL));
    int8_t piece[PIECE];
    for (size_t at = 0; at < n; at += PIECE) {
        const size_t count = n - at < PIECE ? n - at : PIECE;
        check_context("from %zu", at);
        REQUIRE(diffquant_quantizer_forward(quantizer, w + at, count, piece, NULL) == DIFFQUANT_STATUS_OK);
        CHECK_CODES(codes + at, piece, count);
    }
    diffquant_quantizer_free(quantizer);
    island_free(&island);
    free(w);
}
