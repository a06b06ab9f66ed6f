/* Nothing is read or written beside a buffer: inputs and outputs that end where memory ends, or begin where it begins.
 * One byte too far is a segmentation fault, also for the vector loads that guards of bytes cannot see. */

#include "granular.h"
#include "island.h"

enum { LONGEST = 130, BUFFERS = 5 };

/* Every tensor function on n weights, each buffer on an island of its own. The estimator has a gradient of offsets. */
static void check_tensors(const struct island *islands, diffquant_quantizer *quantizer, size_t scale_count, size_t n,
                          bool at_end) {
    const size_t bytes = n * sizeof(float), scale_bytes = scale_count * sizeof(float);
    static float weights[MOST_ELEMENTS], gradients[MOST_ELEMENTS], expected_values[MOST_ELEMENTS],
        expected_grad[MOST_ELEMENTS];
    static int8_t expected_codes[MOST_ELEMENTS];
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
    float *grad_scale = island_place(&islands[2], scale_bytes, at_end);
    float *grad_offset = island_place(&islands[4], scale_bytes, at_end);
    CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, n, grad_w, grad_scale));
    CHECK_FLOATS(grad_w, expected_grad, n);
    CHECK_OK(diffquant_quantizer_backward_scale_offset(quantizer, w, g, n, grad_w, grad_scale, grad_offset));
    CHECK_FLOATS(grad_w, expected_grad, n);

    /* In place, last: it overwrites the inputs. */
    CHECK_OK(diffquant_quantizer_backward(quantizer, w, NULL, g, n, g));
    CHECK_FLOATS(g, expected_grad, n);
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, n, NULL, w));
    CHECK_FLOATS(w, expected_values, n);

    /* With finite weights, what reads them to find scales. */
    fill_weights(w, n, (uint32_t)n + 900, false);
    codes = island_place(&islands[1], n, at_end);
    values = island_place(&islands[3], bytes, at_end);
    CHECK_OK(diffquant_quantizer_forward_dynamic(quantizer, w, n, codes, values, grad_scale, scale_count));
    diffquant_quantizer *calibrated = NULL;
    REQUIRE_OK(diffquant_quantizer_clone(quantizer, &calibrated));
    for (diffquant_scale_init method = DIFFQUANT_SCALE_INIT_MSE + 1; method > 0; method--) {
        CHECK_OK(diffquant_quantizer_init_scale_with(calibrated, method - 1, 90.0f, w, n));
    }
    REQUIRE_OK(diffquant_quantizer_scales(calibrated, grad_offset, scale_count));
    CHECK_FLOATS(grad_scale, grad_offset, scale_count); /* the last was MAX_ABS */
    CHECK_OK(diffquant_quantizer_apply_scale_step(calibrated, grad_scale, scale_count, 0.5f, 1e-3f, NULL));
    CHECK_OK(diffquant_quantizer_set_offsets(calibrated, grad_scale, scale_count));
    CHECK_OK(diffquant_quantizer_offsets(calibrated, grad_offset, scale_count));
    CHECK_FLOATS(grad_scale, grad_offset, scale_count);
    int32_t *zero_points = island_place(&islands[2], scale_count * sizeof(int32_t), at_end);
    CHECK_OK(diffquant_quantizer_zero_points(calibrated, zero_points, scale_count));
    REQUIRE_OK(diffquant_quantizer_set_symmetric(calibrated, 0));
    CHECK_OK(diffquant_quantizer_set_zero_points(calibrated, zero_points, scale_count));
    diffquant_quantizer_free(calibrated);
}

TEST(tensor_functions_stay_between_the_pages_that_surround_their_buffers) {
    static const float scales[] = {0.5f, 0.3f, 1.7f};
    struct island islands[BUFFERS];
    for (size_t i = 0; i < BUFFERS; i++) {
        islands[i] = island_new(1);
    }
    for (size_t channels = 1; channels <= 3; channels += 2) {
        diffquant_quantizer *quantizer = channel_quantizer(4, scales, channels);
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_EWGS_SIGNED, 0.5f));
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

TEST(every_granularity_stays_between_the_pages_that_surround_its_buffers) {
    static const diffquant_ste estimators[] = {DIFFQUANT_STE_LSQ_PLUS, DIFFQUANT_STE_EWGS_SIGNED};
    struct island islands[BUFFERS];
    for (size_t i = 0; i < BUFFERS; i++) {
        islands[i] = island_new(MOST_ELEMENTS * sizeof(float));
    }
    for (size_t i = 0; i < granular_case_count * COUNT(estimators); i++) {
        const struct granular_case *one = &granular_cases[i % granular_case_count];
        const diffquant_ste ste = estimators[i / granular_case_count];
        diffquant_quantizer *quantizer = granular_quantizer(one, 4);
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, ste, 0.5f));
        if (ste == DIFFQUANT_STE_LSQ_PLUS) {
            static float offsets[MOST_SCALES];
            fill_weights(offsets, one->scales, 12, false);
            REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, offsets, one->scales));
        }
        for (int at_end = 0; at_end <= 1; at_end++) {
            check_context("%s, ste %u, at the %s", one->name, ste, at_end ? "end" : "start");
            check_tensors(islands, quantizer, one->scales, granular_elements(one), at_end != 0);
        }
        diffquant_quantizer_free(quantizer);
    }
    for (size_t i = 0; i < BUFFERS; i++) {
        island_free(&islands[i]);
    }
}

TEST(a_shape_stays_between_the_pages_that_surround_it) {
    static const size_t shape[16] = {1, 2, 1, 1, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2};
    struct island island = island_new(sizeof shape);
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, DIFFQUANT_GRANULARITY_PER_CHANNEL, 0));
    for (size_t ndim = 1; ndim <= 16; ndim++) {
        for (int at_end = 0; at_end <= 1; at_end++) {
            const size_t *const copy = island_copy(&island, shape, ndim * sizeof(size_t), at_end != 0);
            check_context("%zu dimensions", ndim);
            CHECK_OK(diffquant_quantizer_set_shape(quantizer, copy, ndim, ndim - 1));
            CHECK_UINT(state_of(quantizer).scale_count, shape[ndim - 1]);
        }
    }
    diffquant_quantizer_free(quantizer);
    island_free(&island);
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
