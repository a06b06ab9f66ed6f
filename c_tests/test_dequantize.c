/* Dequantize: value = code * step. */

#include "support.h"

TEST(a_code_stands_for_code_times_step) {
    static const int8_t codes[] = {-4, -3, -1, 0, 1, 2, 3};
    static const float expected[] = {-2.0f, -1.5f, -0.5f, 0.0f, 0.5f, 1.0f, 1.5f};
    float values[7];
    diffquant_quantizer *quantizer = uniform_quantizer(3, 0.5f);
    CHECK_OK(diffquant_quantizer_dequantize(quantizer, codes, 7, values));
    CHECK_FLOATS(values, expected, 7);
    diffquant_quantizer_free(quantizer);
}

TEST(codes_outside_the_range_are_taken_as_they_are) {
    int8_t codes[256];
    float values[256], expected[256];
    for (int i = 0; i < 256; i++) {
        codes[i] = (int8_t)(i - 128);
        expected[i] = (float)(i - 128) * 0.1f;
    }
    diffquant_quantizer *quantizer = uniform_quantizer(2, 0.1f);
    CHECK_OK(diffquant_quantizer_dequantize(quantizer, codes, 256, values));
    CHECK_FLOATS(values, expected, 256);
    diffquant_quantizer_free(quantizer);
}

TEST(each_channel_has_its_own_step_when_codes_become_values) {
    static const float scales[] = {0.5f, 0.25f, 2.0f};
    static const int8_t codes[] = {2, -3, 2, -3, 2, -3};
    static const float expected[] = {1.0f, -1.5f, 0.5f, -0.75f, 4.0f, -6.0f};
    float values[6];
    diffquant_quantizer *quantizer = channel_quantizer(3, scales, 3);
    CHECK_OK(diffquant_quantizer_dequantize(quantizer, codes, 6, values));
    CHECK_FLOATS(values, expected, 6);
    diffquant_quantizer_free(quantizer);
}

TEST(a_pi_code_stands_for_code_times_alpha_times_pi_by_k) {
    static const int8_t codes[] = {1, -2, 3};
    static const float expected[] = {0x1.921fb6p-1f, -0x1.921fb6p+0f, 0x1.2d97c8p+1f};
    float values[3];
    diffquant_quantizer *quantizer = NULL;
    REQUIRE_OK(diffquant_quantizer_new_pi(3, 4, &quantizer));
    CHECK_OK(diffquant_quantizer_dequantize(quantizer, codes, 3, values));
    CHECK_FLOATS(values, expected, 3);
    diffquant_quantizer_free(quantizer);
}

TEST(dequantizing_the_codes_of_forward_gives_its_values) {
    enum { N = 120 };
    static const float scales[] = {0.1f, 0.7f, 0.013f, 1.9f};
    float w[N], values[N], again[N];
    int8_t codes[N];
    fill_weights(w, N, 11, true);
    for (uint32_t bits = 2; bits <= 8; bits++) {
        diffquant_quantizer *quantizer = channel_quantizer(bits, scales, 4);
        check_context("%u bits", bits);
        CHECK_OK(diffquant_quantizer_forward(quantizer, w, N, codes, values));
        CHECK_OK(diffquant_quantizer_dequantize(quantizer, codes, N, again));
        CHECK_FLOATS(again, values, N);
        diffquant_quantizer_free(quantizer);
    }
}
