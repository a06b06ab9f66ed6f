/* Nothing is read or written beside a buffer: inputs and outputs that end where memory ends, or begin where it begins.
 * One byte too far is a segmentation fault, also for the vector loads that guards of bytes cannot see. */

#include "island.h"

enum { LONGEST = 130, BUFFERS = 4 };

/* Every tensor function on n weights, each buffer on an island of its own. */
static void check_tensors(const struct island *islands, diffquant_quantizer *quantizer, size_t channels, size_t n,
                          bool at_end) {
    const size_t bytes = n * sizeof(float);
    float weights[LONGEST], gradients[LONGEST], expected_values[LONGEST], expected_grad[LONGEST];
    int8_t expected_codes[LONGEST];
    fill_weights(weights, n, (uint32_t)n, true);
    fill_weights(gradients, n, (uint32_t)n + 500, false);
    REQUIRE_OK(diffquant_quantizer_forward(quantizer, weights, n, expected_codes, expected_values));
    REQUIRE_OK(diffquant_quantizer_backward(quantizer, weights, expected_values, gradients, n, expected_grad));

    float *w = island_copy(&islands[0], weights, bytes, at_end);
    int8_t *codes = island_place(&islands[1], n, at_end);
    float *values = island_place(&islands[2], bytes, at_end);
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, n, codes, values));
    CHECK_CODES(codes, expected_codes, n);
    CHECK_FLOATS(values, expected_values, n);
    memset(values, 0, bytes);
    CHECK_OK(diffquant_quantizer_dequantize(quantizer, codes, n, values));
    CHECK_FLOATS(values, expected_values, n);

    float *g = island_copy(&islands[1], gradients, bytes, at_end);
    float *grad_w = island_place(&islands[3], bytes, at_end);
    CHECK_OK(diffquant_quantizer_backward(quantizer, w, values, g, n, grad_w));
    CHECK_FLOATS(grad_w, expected_grad, n);
    CHECK_OK(diffquant_quantizer_backward(quantizer, w, NULL, g, n, grad_w));
    CHECK_FLOATS(grad_w, expected_grad, n);
    float *grad_scale = island_place(&islands[2], channels * sizeof(float), at_end);
    CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, n, grad_w, grad_scale));
    CHECK_FLOATS(grad_w, expected_grad, n);

    /* In place, last: it overwrites the inputs. */
    CHECK_OK(diffquant_quantizer_backward(quantizer, w, NULL, g, n, g));
    CHECK_FLOATS(g, expected_grad, n);
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, n, NULL, w));
    CHECK_FLOATS(w, expected_values, n);
}

TEST(tensor_functions_stay_between_the_pages_that_surround_their_buffers) {
    static const float scales[] = {0.5f, 0.3f, 1.7f};
    struct island islands[BUFFERS];
    for (size_t i = 0; i < BUFFERS; i++) {
        islands[i] = island_new(1);
    }
    for (size_t channels = 1; channels <= 3; channels += 2) {
        diffquant_quantizer *quantizer = channel_quantizer(4, scales, channels);
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_EWGS, 0.5f));
        for (size_t n = channels; n <= LONGEST; n += channels) {
            for (int at_end = 0; at_end <= 1; at_end++) {
                check_context("%zu channels, n = %zu, at the %s", channels, n, at_end ? "end" : "start");
                check_tensors(islands, quantizer, channels, n, at_end != 0);
            }
        }
        diffquant_quantizer_free(quantizer);
    }
    for (size_t i = 0; i < BUFFERS; i++) {
        island_free(&islands[i]);
    }
}

TEST(calibration_and_scales_stay_between_the_pages_that_surround_their_buffers) {
    struct island island = island_new(1);
    float weights[LONGEST];
    for (size_t i = 0; i < LONGEST; i++) {
        weights[i] = 0.25f * (float)(i + 1);
    }
    for (size_t n = 1; n <= LONGEST; n++) {
        for (int at_end = 0; at_end <= 1; at_end++) {
            check_context("n = %zu, at the %s", n, at_end ? "end" : "start");
            diffquant_quantizer *quantizer = uniform_quantizer(2, 1.0f);
            float *w = island_copy(&island, weights, n * sizeof(float), at_end != 0);
            CHECK_OK(diffquant_quantizer_init_scale(quantizer, w, n));
            CHECK_FLOAT(state_of(quantizer).scales[0], weights[n - 1] / 1.5f);
            /* The search for the weight that is to be named reads the buffer in another way. */
            w[n - 1] = NAN;
            CHECK_REFUSED(diffquant_quantizer_init_scale(quantizer, w, n), DIFFQUANT_STATUS_NON_FINITE, "w",
                          decimal(n - 1).text);

            REQUIRE_OK(diffquant_quantizer_init_per_channel(quantizer, n));
            memcpy(w, weights, n * sizeof(float));
            CHECK_OK(diffquant_quantizer_set_scales(quantizer, w, n));
            memset(w, 0, n * sizeof(float));
            CHECK_OK(diffquant_quantizer_scales(quantizer, w, n));
            CHECK_FLOATS(w, weights, n);
            diffquant_quantizer_free(quantizer);
        }
    }
    island_free(&island);
}

TEST(json_stays_between_the_pages_that_surround_its_text) {
    struct island island = island_new(1);
    diffquant_config *config = default_config();
    const struct config_text text = text_of(config);
    const size_t length = strlen(text.text);
    for (int at_end = 0; at_end <= 1; at_end++) {
        check_context("at the %s", at_end ? "end" : "start");
        char *json = island_copy(&island, text.text, length, at_end != 0);
        diffquant_config *copy = NULL;
        CHECK_OK(diffquant_config_from_json(json, length, &copy));
        CHECK_CONFIG(copy, &text);
        diffquant_config_free(copy);
        for (size_t cut = 0; cut < length; cut++) {
            json = island_copy(&island, text.text, cut, at_end != 0);
            diffquant_config *made = no_config();
            CHECK_REFUSED(diffquant_config_from_json(json, cut, &made), DIFFQUANT_STATUS_INVALID_JSON, "JSON");
        }

        size_t told = 99;
        char *buffer = island_place(&island, length + 1, at_end != 0);
        CHECK_OK(diffquant_config_to_json(config, buffer, length + 1, &told));
        CHECK_TEXT(buffer, text.text);
    }
    diffquant_config_free(config);
    island_free(&island);
}
