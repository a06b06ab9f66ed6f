/* Nothing is written past n: every output between guards, for every length from 0 to 100, with the numbers checked
 * against the formulas of the header in plain C. */

#include "support.h"

enum { LONGEST = 100 };

/* How the weights of a length are divided: into one channel, into one for each weight, or anything between. */
static const size_t channel_counts[] = {1, 2, 3, 7, 16};

struct setting {
    uint32_t bits;
    bool half_even;
    diffquant_ste ste;
    float ste_param;
};

static const struct setting settings[] = {
    {2, false, DIFFQUANT_STE_STANDARD, 0.0f},
    {4, true, DIFFQUANT_STE_EWGS, 0.3f},
    {8, false, DIFFQUANT_STE_CLIPPED, 1.0f},
};

/* Inputs lie in memory from malloc that ends with them: valgrind and the address sanitizer see a read past it. */
static float *exactly(const float *from, size_t n) {
    float *copy = malloc(n > 0 ? n * sizeof *copy : 1);
    REQUIRE(copy != NULL);
    if (n > 0) {
        memcpy(copy, from, n * sizeof *copy);
    }
    return copy;
}

static void check_length(diffquant_quantizer *quantizer, const struct setting *setting, const float *steps,
                         size_t channels, size_t n) {
    float weights[LONGEST], gradients[LONGEST];
    fill_weights(weights, LONGEST, (uint32_t)n + 1000, true);
    fill_weights(gradients, LONGEST, (uint32_t)n + 2000, false);
    float *w = exactly(weights, n), *g = exactly(gradients, n);
    int8_t codes[LONGEST];
    float values[LONGEST], grad_w[LONGEST];
    for (size_t i = 0; i < n; i++) {
        const float step = steps[i / (n / channels)];
        codes[i] = code_of(w[i], step, setting->bits, setting->half_even);
        values[i] = value_of(codes[i], step);
        grad_w[i] = weight_gradient_of(setting->ste, setting->ste_param, w[i], values[i], g[i]);
    }

    struct guarded out_codes = guarded_new(n), out_values = guarded_new(n * sizeof(float));
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, n, out_codes.data, out_values.data));
    CHECK_CODES((int8_t *)out_codes.data, codes, n);
    CHECK_FLOATS((float *)out_values.data, values, n);
    CHECK_GUARDS(&out_codes);
    CHECK_GUARDS(&out_values);

    struct guarded out_grad = guarded_new(n * sizeof(float));
    CHECK_OK(diffquant_quantizer_backward(quantizer, w, out_values.data, g, n, out_grad.data));
    CHECK_FLOATS((float *)out_grad.data, grad_w, n);
    CHECK_GUARDS(&out_grad);
    guarded_free(&out_grad);

    out_grad = guarded_new(n * sizeof(float));
    CHECK_OK(diffquant_quantizer_backward(quantizer, w, NULL, g, n, out_grad.data));
    CHECK_FLOATS((float *)out_grad.data, grad_w, n);
    CHECK_GUARDS(&out_grad);
    guarded_free(&out_grad);

    struct guarded grad_scale = guarded_new(channels * sizeof(float));
    out_grad = guarded_new(n * sizeof(float));
    CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, n, out_grad.data, grad_scale.data));
    CHECK_FLOATS((float *)out_grad.data, grad_w, n);
    CHECK_GUARDS(&out_grad);
    CHECK_GUARDS(&grad_scale);
    for (size_t channel = 0; n > 0 && channel < channels; channel++) {
        double sum = 0.0, magnitudes = 0.0;
        for (size_t i = channel * (n / channels); i < (channel + 1) * (n / channels); i++) {
            sum += (double)g[i] * codes[i];
            magnitudes += fabs((double)g[i] * codes[i]);
        }
        const double root = sqrt((double)(n / channels) * (double)(1u << setting->bits));
        CHECK(fabs((double)((float *)grad_scale.data)[channel] - sum / root) <= 1e-6 * magnitudes / root);
    }
    if (n == 0) {
        CHECK_UNTOUCHED(&grad_scale);
    }
    guarded_free(&out_grad);
    guarded_free(&grad_scale);

    struct guarded again = guarded_new(n * sizeof(float));
    CHECK_OK(diffquant_quantizer_dequantize(quantizer, out_codes.data, n, again.data));
    CHECK_FLOATS((float *)again.data, values, n);
    CHECK_GUARDS(&again);
    CHECK_GUARDS(&out_codes);
    guarded_free(&again);
    guarded_free(&out_codes);
    guarded_free(&out_values);
    free(w);
    free(g);
}

TEST(every_length_up_to_100_is_computed_whole_and_nothing_past_it_is_written) {
    static const float scales[MOST_SCALES] = {0.5f, 0.3f, 1.7f, 0.01f, 2.5f, 0.9f, 0.25f, 1.1f,
                                              0.6f, 0.7f, 0.8f, 1.3f,  1.4f, 0.1f, 3.0f,  0.2f};
    for (size_t i = 0; i < COUNT(settings) * COUNT(channel_counts); i++) {
        const struct setting *setting = &settings[i % COUNT(settings)];
        const size_t channels = channel_counts[i / COUNT(settings)];
        diffquant_quantizer *quantizer = channel_quantizer(setting->bits, scales, channels);
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, setting->ste, setting->ste_param));
        REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, setting->half_even ? DIFFQUANT_ROUNDING_HALF_EVEN
                                                                                  : DIFFQUANT_ROUNDING_HALF_AWAY));
        for (size_t n = 0; n <= LONGEST; n += channels) {
            check_context("%u bits, %zu channels, n = %zu", setting->bits, channels, n);
            check_length(quantizer, setting, scales, channels, n);
        }
        diffquant_quantizer_free(quantizer);
    }
}

TEST(calibration_reads_every_length_up_to_100_and_nothing_past_it) {
    diffquant_quantizer *quantizer = uniform_quantizer(2, 1.0f);
    for (size_t n = 1; n <= LONGEST; n++) {
        float *w = exactly((const float[LONGEST]){0.0f}, n);
        w[n - 1] = -0.75f;
        check_context("n = %zu", n);
        CHECK_OK(diffquant_quantizer_init_scale(quantizer, w, n));
        CHECK_FLOAT(state_of(quantizer).scales[0], 0.5f);
        free(w);
    }
    diffquant_quantizer_free(quantizer);
}
