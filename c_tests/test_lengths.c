/* Lengths: none, no multiple of the channels, and more than memory can be. */

#include "support.h"

static const float three[] = {0.5f, 0.25f, 2.0f};

TEST(n_0_touches_nothing_and_its_pointers_may_be_anything) {
    /* NULL, misaligned, overlapping, or the address of nothing at all. */
    void *const anything[] = {NULL, at_offset(NULL, 1), at_offset(NULL, 3), at_offset(NULL, SIZE_MAX)};
    static const size_t shape[] = {2, 3};
    diffquant_quantizer *quantizers[] = {uniform_quantizer(4, 0.5f), channel_quantizer(4, three, 3),
                                         uniform_quantizer(4, 0.5f), uniform_quantizer(4, 0.5f)};
    REQUIRE_OK(diffquant_quantizer_set_granularity(quantizers[2], DIFFQUANT_GRANULARITY_PER_BLOCK, 2));
    REQUIRE_OK(diffquant_quantizer_set_shape(quantizers[2], shape, 2, 1));
    REQUIRE_OK(diffquant_quantizer_set_granularity(quantizers[3], DIFFQUANT_GRANULARITY_PER_TOKEN, 0));
    for (size_t i = 0; i < COUNT(quantizers); i++) {
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizers[i], DIFFQUANT_STE_LSQ, 0.0f));
    }
    for (size_t i = 0; i < COUNT(quantizers) * COUNT(anything); i++) {
        diffquant_quantizer *quantizer = quantizers[i / COUNT(anything)];
        void *p = anything[i % COUNT(anything)];
        const struct quantizer_state before = state_of(quantizer);
        check_context("pointer %zu, quantizer %zu", i % COUNT(anything), i / COUNT(anything));
        CHECK_OK(diffquant_quantizer_forward(quantizer, p, 0, p, p));
        CHECK_OK(diffquant_quantizer_backward(quantizer, p, p, p, 0, p));
        CHECK_OK(diffquant_quantizer_backward_scale(quantizer, p, p, 0, p, p));
        CHECK_OK(diffquant_quantizer_dequantize(quantizer, p, 0, p));
        CHECK_OK(diffquant_quantizer_init_scale(quantizer, p, 0));
        CHECK_OK(diffquant_quantizer_init_scale_with(quantizer, DIFFQUANT_SCALE_INIT_MSE, 0.0f, p, 0));
        CHECK_OK(diffquant_quantizer_forward_dynamic(quantizer, p, 0, p, p, p, 7));
        CHECK_OK(diffquant_quantizer_backward_scale_offset(quantizer, p, p, 0, p, p, p));
        CHECK_STATE(quantizer, &before);
    }
    for (size_t i = 0; i < COUNT(quantizers); i++) {
        struct guarded out = guarded_new(64);
        const float w = 1.0f;
        const int8_t code = 1;
        CHECK_OK(diffquant_quantizer_forward(quantizers[i], &w, 0, out.data, at_offset(out.data, 16)));
        CHECK_OK(diffquant_quantizer_backward(quantizers[i], &w, &w, &w, 0, out.data));
        CHECK_OK(diffquant_quantizer_backward_scale(quantizers[i], &w, &w, 0, out.data, at_offset(out.data, 16)));
        CHECK_OK(diffquant_quantizer_backward_scale_offset(quantizers[i], &w, &w, 0, out.data, at_offset(out.data, 16),
                                                           at_offset(out.data, 32)));
        CHECK_OK(diffquant_quantizer_forward_dynamic(quantizers[i], &w, 0, out.data, NULL, at_offset(out.data, 16), 1));
        CHECK_OK(diffquant_quantizer_dequantize(quantizers[i], &code, 0, out.data));
        CHECK_UNTOUCHED(&out);
        guarded_free(&out);
        diffquant_quantizer_free(quantizers[i]);
    }
}

TEST(a_length_that_is_no_multiple_of_the_channels_is_refused_everywhere) {
    static const size_t lengths[] = {1, 2, 4, 5, 7, 32, 100};
    static const float w[100] = {1.0f}, g[100] = {1.0f};
    static const int8_t codes[100] = {1};
    diffquant_quantizer *quantizer = channel_quantizer(4, three, 3);
    const struct quantizer_state before = state_of(quantizer);
    struct guarded out_codes = guarded_new(100), out = guarded_new(100 * sizeof(float)), grad_scale = guarded_new(12);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        const size_t n = lengths[i];
        const struct decimal text = decimal(n);
        check_context("n = %zu", n);
        CHECK_REFUSED(diffquant_quantizer_forward(quantizer, w, n, out_codes.data, out.data),
                      DIFFQUANT_STATUS_LENGTH_MISMATCH, "n", text.text, "3");
        CHECK_REFUSED(diffquant_quantizer_forward(quantizer, w, n, NULL, NULL), DIFFQUANT_STATUS_LENGTH_MISMATCH, "n",
                      text.text, "3");
        CHECK_REFUSED(diffquant_quantizer_backward(quantizer, w, w, g, n, out.data), DIFFQUANT_STATUS_LENGTH_MISMATCH,
                      "n", text.text, "3");
        CHECK_REFUSED(diffquant_quantizer_backward_scale(quantizer, w, g, n, out.data, grad_scale.data),
                      DIFFQUANT_STATUS_LENGTH_MISMATCH, "n", text.text, "3");
        CHECK_REFUSED(diffquant_quantizer_dequantize(quantizer, codes, n, out.data), DIFFQUANT_STATUS_LENGTH_MISMATCH,
                      "n", text.text, "3");
        CHECK_REFUSED(diffquant_quantizer_init_scale(quantizer, w, n), DIFFQUANT_STATUS_LENGTH_MISMATCH, "n", text.text,
                      "3");
        CHECK_UNTOUCHED(&out_codes);
        CHECK_UNTOUCHED(&out);
        CHECK_UNTOUCHED(&grad_scale);
        CHECK_STATE(quantizer, &before);
    }
    guarded_free(&out_codes);
    guarded_free(&out);
    guarded_free(&grad_scale);
    diffquant_quantizer_free(quantizer);
}

TEST(a_length_whose_bytes_no_memory_holds_is_refused_before_anything_is_touched) {
    /* The bytes overflow size_t; wrap around to few; are more than half of the address space. */
    static const size_t lengths[] = {SIZE_MAX,         SIZE_MAX / 4,     SIZE_MAX / 4 + 1,
                                     SIZE_MAX / 4 + 2, SIZE_MAX / 2 + 1, SIZE_MAX / 8 + 1};
    static const float w[4] = {1.0f}, g[4] = {1.0f};
    static const int8_t codes[4] = {1};
    static const int32_t zero_points[4] = {1};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_LSQ, 0.0f));
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    const struct quantizer_state before = state_of(quantizer);
    struct guarded out_codes = guarded_new(4), out = guarded_new(16), grad_scale = guarded_new(4),
                   numbers = guarded_new(16);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        const size_t n = lengths[i];
        const struct decimal text = decimal(n);
        check_context("n = %zu", n);
        CHECK_REFUSED(diffquant_quantizer_forward(quantizer, w, n, out_codes.data, out.data),
                      DIFFQUANT_STATUS_SIZE_OVERFLOW, text.text);
        CHECK_REFUSED(diffquant_quantizer_forward(quantizer, w, n, NULL, NULL), DIFFQUANT_STATUS_SIZE_OVERFLOW, "w",
                      text.text);
        CHECK_REFUSED(diffquant_quantizer_backward(quantizer, w, NULL, g, n, out.data), DIFFQUANT_STATUS_SIZE_OVERFLOW,
                      text.text);
        CHECK_REFUSED(diffquant_quantizer_backward_scale(quantizer, w, g, n, NULL, grad_scale.data),
                      DIFFQUANT_STATUS_SIZE_OVERFLOW, text.text);
        CHECK_REFUSED(diffquant_quantizer_dequantize(quantizer, codes, n, out.data), DIFFQUANT_STATUS_SIZE_OVERFLOW,
                      text.text);
        CHECK_REFUSED(diffquant_quantizer_init_scale(quantizer, w, n), DIFFQUANT_STATUS_SIZE_OVERFLOW, "w", text.text);
        CHECK_REFUSED(diffquant_quantizer_scales(quantizer, out.data, n), DIFFQUANT_STATUS_SIZE_OVERFLOW, "out",
                      text.text);
        CHECK_REFUSED(diffquant_quantizer_set_scales(quantizer, w, n), DIFFQUANT_STATUS_SIZE_OVERFLOW, "scales",
                      text.text);
        CHECK_REFUSED(diffquant_quantizer_backward_scale_offset(quantizer, w, g, n, NULL, grad_scale.data, out.data),
                      DIFFQUANT_STATUS_SIZE_OVERFLOW, text.text);
        CHECK_REFUSED(diffquant_quantizer_forward_dynamic(quantizer, w, n, NULL, NULL, grad_scale.data, 1),
                      DIFFQUANT_STATUS_SIZE_OVERFLOW, "w", text.text);
        CHECK_REFUSED(diffquant_quantizer_forward_dynamic(quantizer, w, 4, NULL, NULL, grad_scale.data, n),
                      DIFFQUANT_STATUS_SIZE_OVERFLOW, "scales", text.text);
        CHECK_REFUSED(diffquant_quantizer_init_scale_with(quantizer, DIFFQUANT_SCALE_INIT_LSQ, 0.0f, w, n),
                      DIFFQUANT_STATUS_SIZE_OVERFLOW, "w", text.text);
        CHECK_REFUSED(diffquant_quantizer_zero_points(quantizer, numbers.data, n), DIFFQUANT_STATUS_SIZE_OVERFLOW,
                      "out", text.text);
        CHECK_REFUSED(diffquant_quantizer_set_zero_points(quantizer, zero_points, n), DIFFQUANT_STATUS_SIZE_OVERFLOW,
                      "zero_points", text.text);
        CHECK_REFUSED(diffquant_quantizer_offsets(quantizer, out.data, n), DIFFQUANT_STATUS_SIZE_OVERFLOW, "out",
                      text.text);
        CHECK_REFUSED(diffquant_quantizer_set_offsets(quantizer, w, n), DIFFQUANT_STATUS_SIZE_OVERFLOW, "offsets",
                      text.text);
        CHECK_REFUSED(diffquant_quantizer_apply_scale_step(quantizer, w, n, 0.1f, 0.1f, NULL),
                      DIFFQUANT_STATUS_SIZE_OVERFLOW, "grad_scale", text.text);
        CHECK_UNTOUCHED(&numbers);
        CHECK_UNTOUCHED(&out_codes);
        CHECK_UNTOUCHED(&out);
        CHECK_UNTOUCHED(&grad_scale);
        CHECK_STATE(quantizer, &before);
    }
    guarded_free(&out_codes);
    guarded_free(&out);
    guarded_free(&grad_scale);
    guarded_free(&numbers);
    diffquant_quantizer_free(quantizer);
}

TEST(a_capacity_that_no_memory_holds_is_refused_too) {
    diffquant_config *config = default_config();
    struct guarded buffer = guarded_new(1024);
    static const size_t capacities[] = {SIZE_MAX, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < COUNT(capacities); i++) {
        size_t length = 99;
        CHECK_REFUSED(diffquant_config_to_json(config, buffer.data, capacities[i], &length),
                      DIFFQUANT_STATUS_SIZE_OVERFLOW, "buf", decimal(capacities[i]).text);
        CHECK_UINT(length, 99);
        CHECK_UNTOUCHED(&buffer);
    }
    guarded_free(&buffer);
    diffquant_config_free(config);
}
