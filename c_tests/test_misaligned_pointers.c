/* A pointer that is not aligned for its type: refused by the name of the argument, and nothing is written.
 *
 * The misaligned pointers lie inside buffers that are large enough, so that a library which used them all the same
 * would be found by what it wrote, not by a crash. */

#include "config_fields.h"

#define CHECK_MISALIGNED(call, argument) CHECK_REFUSED(call, DIFFQUANT_STATUS_MISALIGNED, argument)

/* The addresses in `memory` that are not aligned for `size` bytes. */
#define FOR_EACH_MISALIGNED(pointer, memory, size)                                                                     \
    for (size_t misaligned_by = 1; misaligned_by < (size) && (pointer = at_offset((memory), misaligned_by), true);     \
         misaligned_by++)

TEST(outputs_of_a_single_number_refuse_a_misaligned_pointer) {
    diffquant_config *config = NULL;
    diffquant_quantizer *quantizer = NULL;
    REQUIRE_OK(diffquant_config_new_preset(DIFFQUANT_PRESET_PIQ3, &config));
    REQUIRE_OK(diffquant_quantizer_new(config, &quantizer));
    struct guarded out = guarded_new(64);
    int32_t good_int = 99;
    uint32_t good_uint = 99;
    const float good_float = 1.0f;
    const struct quantizer_state before = state_of(quantizer);
    uint64_t good_long = 99;
    void *bad;
    FOR_EACH_MISALIGNED(bad, out.data, sizeof(uint32_t)) {
        check_context("4 bytes, off by %zu", misaligned_by);
        for (size_t i = 0; i < float_field_count; i++) {
            CHECK_MISALIGNED(float_fields[i].get(config, bad), "out");
        }
        for (size_t i = 0; i < uint32_field_count; i++) {
            CHECK_MISALIGNED(uint32_fields[i].get(config, bad), "out");
        }
        CHECK_MISALIGNED(diffquant_config_num_levels(config, bad), "out");
        CHECK_MISALIGNED(diffquant_config_code_range(config, bad, &good_int), "min");
        CHECK_MISALIGNED(diffquant_config_code_range(config, &good_int, bad), "max");
        CHECK_MISALIGNED(diffquant_config_pi_step(config, 1.0f, bad), "out");
        CHECK_MISALIGNED(diffquant_config_bits_per_weight(config, bad), "out");
        CHECK_MISALIGNED(diffquant_config_ste(config, bad, NULL), "ste");
        CHECK_MISALIGNED(diffquant_config_ste(config, &good_uint, bad), "ste_param");
        CHECK_MISALIGNED(diffquant_config_granularity(config, bad, NULL), "granularity");
        CHECK_MISALIGNED(diffquant_quantizer_ste(quantizer, bad, NULL), "ste");
        CHECK_MISALIGNED(diffquant_quantizer_ste(quantizer, &good_uint, bad), "ste_param");
        CHECK_MISALIGNED(diffquant_quantizer_rounding(quantizer, bad), "out");
        CHECK_MISALIGNED(diffquant_quantizer_non_finite(quantizer, bad), "out");
        CHECK_MISALIGNED(diffquant_quantizer_bits(quantizer, bad), "out");
        CHECK_MISALIGNED(diffquant_quantizer_num_levels(quantizer, bad), "out");
        CHECK_MISALIGNED(diffquant_quantizer_k(quantizer, bad), "out");
        CHECK_MISALIGNED(diffquant_quantizer_step_size(quantizer, 0, bad), "out");
        CHECK_MISALIGNED(diffquant_quantizer_granularity(quantizer, bad, NULL), "granularity");
        CHECK_MISALIGNED(diffquant_quantizer_code_range(quantizer, bad), "out");
        CHECK_MISALIGNED(diffquant_quantizer_code_bounds(quantizer, bad, &good_int), "smallest");
        CHECK_MISALIGNED(diffquant_quantizer_code_bounds(quantizer, &good_int, bad), "largest");
        CHECK_MISALIGNED(diffquant_quantizer_symmetric(quantizer, bad), "out");
        CHECK_MISALIGNED(diffquant_pi_scale_from_range(1.0f, 3, 4, bad), "out");
    }
    char text[1024];
    touch_not(text, sizeof text);
    FOR_EACH_MISALIGNED(bad, out.data, sizeof(size_t)) {
        check_context("size_t, off by %zu", misaligned_by);
        for (size_t i = 0; i < size_field_count; i++) {
            CHECK_MISALIGNED(size_fields[i].get(config, bad), "out");
        }
        CHECK_MISALIGNED(diffquant_config_granularity(config, &good_uint, bad), "block_size");
        CHECK_MISALIGNED(diffquant_config_parameter_count(config, 100, 10, bad), "out");
        CHECK_MISALIGNED(diffquant_config_to_json(config, text, sizeof text, bad), "len");
        CHECK_MISALIGNED(diffquant_quantizer_scale_count(quantizer, bad), "out");
        CHECK_MISALIGNED(diffquant_quantizer_granularity(quantizer, &good_uint, bad), "block_size");
        CHECK_MISALIGNED(diffquant_quantizer_group_of(quantizer, 0, 1, bad), "out");
        CHECK_MISALIGNED(diffquant_quantizer_apply_scale_step(quantizer, &good_float, 1, 0.1f, 0.1f, bad), "projected");
    }
    FOR_EACH_MISALIGNED(bad, out.data, sizeof(uint64_t)) {
        check_context("8 bytes, off by %zu", misaligned_by);
        CHECK_MISALIGNED(diffquant_quantizer_seed(quantizer, bad, NULL), "seed");
        CHECK_MISALIGNED(diffquant_quantizer_seed(quantizer, &good_long, bad), "first_element");
    }
    CHECK_UNTOUCHED(&out);
    CHECK_UINT(good_long, 99);
    CHECK(still_untouched(text, sizeof text));
    CHECK_INT(good_int, 99);
    CHECK_UINT(good_uint, 99);
    CHECK_STATE(quantizer, &before);
    guarded_free(&out);
    diffquant_quantizer_free(quantizer);
    diffquant_config_free(config);
}

TEST(outputs_of_a_handle_refuse_a_misaligned_pointer_and_make_nothing) {
    /* Something made here would be lost: the leak checks look, too. */
    diffquant_config *config = default_config();
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    const struct config_text json = text_of(config);
    struct guarded out = guarded_new(64);
    void *bad;
    FOR_EACH_MISALIGNED(bad, out.data, sizeof(void *)) {
        check_context("off by %zu", misaligned_by);
        CHECK_MISALIGNED(diffquant_config_new(bad), "out");
        CHECK_MISALIGNED(diffquant_config_new_preset(DIFFQUANT_PRESET_PIQ3, bad), "out");
        CHECK_MISALIGNED(diffquant_config_from_json(json.text, strlen(json.text), bad), "out");
        CHECK_MISALIGNED(diffquant_config_clone(config, bad), "out");
        CHECK_MISALIGNED(diffquant_quantizer_new(config, bad), "out");
        CHECK_MISALIGNED(diffquant_quantizer_new_uniform(4, DIFFQUANT_STE_STANDARD, 0.0f, bad), "out");
        CHECK_MISALIGNED(diffquant_quantizer_new_pi(3, 4, bad), "out");
        CHECK_MISALIGNED(diffquant_quantizer_clone(quantizer, bad), "out");
    }
    CHECK_UNTOUCHED(&out);
    guarded_free(&out);
    diffquant_quantizer_free(quantizer);
    diffquant_config_free(config);
}

TEST(a_handle_that_is_no_address_of_a_handle_is_refused) {
    /* Not every bad handle can be told; one that is not aligned can. */
    diffquant_config *config = default_config();
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f), *made = no_quantizer();
    const struct config_text config_before = text_of(config);
    const struct quantizer_state quantizer_before = state_of(quantizer);
    diffquant_config *bad_config = at_offset(config, 1);
    diffquant_quantizer *bad_quantizer = at_offset(quantizer, 1);
    uint32_t bits = 99;
    CHECK_MISALIGNED(diffquant_config_set_bits(bad_config, 2), "config");
    CHECK_MISALIGNED(diffquant_config_bits(bad_config, &bits), "config");
    CHECK_MISALIGNED(diffquant_config_validate(bad_config), "config");
    CHECK_MISALIGNED(diffquant_quantizer_new(bad_config, &made), "config");
    CHECK_MISALIGNED(diffquant_quantizer_set_scale(bad_quantizer, 0, 2.0f), "quantizer");
    CHECK_MISALIGNED(diffquant_quantizer_bits(bad_quantizer, &bits), "quantizer");
    CHECK_MISALIGNED(diffquant_quantizer_clone(bad_quantizer, &made), "quantizer");
    CHECK_MISALIGNED(diffquant_quantizer_forward(bad_quantizer, NULL, 0, NULL, NULL), "quantizer");
    CHECK(made == no_quantizer());
    CHECK_UINT(bits, 99);
    CHECK_CONFIG(config, &config_before);
    CHECK_STATE(quantizer, &quantizer_before);
    diffquant_quantizer_free(quantizer);
    diffquant_config_free(config);
}

TEST(tensor_functions_refuse_misaligned_floats) {
    enum { N = 40 };
    struct guarded in = guarded_new((N + 1) * sizeof(float)), out = guarded_new((N + 1) * sizeof(float));
    float w[N], g[N];
    int8_t codes[N] = {0};
    fill_weights(w, N, 1, false);
    fill_weights(g, N, 2, false);
    fill_weights(in.data, N + 1, 3, false);
    float scale = 99.0f;
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_LSQ, 0.0f));
    const struct quantizer_state before = state_of(quantizer);
    void *bad_in, *bad_out, *const good = out.data;
    FOR_EACH_MISALIGNED(bad_in, in.data, sizeof(float)) {
        bad_out = at_offset(out.data, misaligned_by);
        check_context("off by %zu", misaligned_by);
        CHECK_MISALIGNED(diffquant_quantizer_init_scale(quantizer, bad_in, N), "w");
        CHECK_MISALIGNED(diffquant_quantizer_set_scales(quantizer, bad_in, 1), "scales");
        CHECK_MISALIGNED(diffquant_quantizer_scales(quantizer, bad_out, 1), "out");
        CHECK_MISALIGNED(diffquant_quantizer_forward(quantizer, bad_in, N, NULL, out.data), "w");
        CHECK_MISALIGNED(diffquant_quantizer_forward(quantizer, w, N, NULL, bad_out), "values");
        CHECK_MISALIGNED(diffquant_quantizer_backward(quantizer, bad_in, NULL, g, N, out.data), "w");
        CHECK_MISALIGNED(diffquant_quantizer_backward(quantizer, w, bad_in, g, N, out.data), "values");
        CHECK_MISALIGNED(diffquant_quantizer_backward(quantizer, w, NULL, bad_in, N, out.data), "grad_out");
        CHECK_MISALIGNED(diffquant_quantizer_backward(quantizer, w, NULL, g, N, bad_out), "grad_w");
        CHECK_MISALIGNED(diffquant_quantizer_backward_scale(quantizer, bad_in, g, N, NULL, out.data), "w");
        CHECK_MISALIGNED(diffquant_quantizer_backward_scale(quantizer, w, bad_in, N, NULL, out.data), "grad_out");
        CHECK_MISALIGNED(diffquant_quantizer_backward_scale(quantizer, w, g, N, bad_out, out.data), "grad_w");
        CHECK_MISALIGNED(diffquant_quantizer_backward_scale(quantizer, w, g, N, NULL, bad_out), "grad_scale");
        CHECK_MISALIGNED(diffquant_quantizer_backward_scale_offset(quantizer, bad_in, g, N, NULL, &scale, good), "w");
        CHECK_MISALIGNED(diffquant_quantizer_backward_scale_offset(quantizer, w, bad_in, N, NULL, &scale, good),
                         "grad_out");
        CHECK_MISALIGNED(diffquant_quantizer_backward_scale_offset(quantizer, w, g, N, bad_out, &scale, good),
                         "grad_w");
        CHECK_MISALIGNED(diffquant_quantizer_backward_scale_offset(quantizer, w, g, N, NULL, bad_out, &scale),
                         "grad_scale");
        CHECK_MISALIGNED(diffquant_quantizer_backward_scale_offset(quantizer, w, g, N, NULL, &scale, bad_out),
                         "grad_offset");
        CHECK_MISALIGNED(diffquant_quantizer_forward_dynamic(quantizer, bad_in, N, NULL, good, &scale, 1), "w");
        CHECK_MISALIGNED(diffquant_quantizer_forward_dynamic(quantizer, w, N, NULL, bad_out, &scale, 1), "values");
        CHECK_MISALIGNED(diffquant_quantizer_forward_dynamic(quantizer, w, N, NULL, good, bad_out, 1), "scales");
        CHECK_MISALIGNED(diffquant_quantizer_dequantize(quantizer, codes, N, bad_out), "values");
    }
    CHECK_UNTOUCHED(&out);
    CHECK_FLOAT(scale, 99.0f);
    CHECK_STATE(quantizer, &before);
    guarded_free(&in);
    guarded_free(&out);
    diffquant_quantizer_free(quantizer);
}

TEST(functions_on_one_number_per_scale_refuse_misaligned_arrays) {
    static const size_t shape[] = {2, 2};
    struct guarded in = guarded_new(64), out = guarded_new(64);
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    const struct quantizer_state before = state_of(quantizer);
    void *bad_in;
    memset(in.data, 0, 64);
    FOR_EACH_MISALIGNED(bad_in, in.data, sizeof(float)) {
        void *const bad_out = at_offset(out.data, misaligned_by);
        check_context("off by %zu", misaligned_by);
        CHECK_MISALIGNED(diffquant_quantizer_zero_points(quantizer, bad_out, 1), "out");
        CHECK_MISALIGNED(diffquant_quantizer_set_zero_points(quantizer, bad_in, 1), "zero_points");
        CHECK_MISALIGNED(diffquant_quantizer_offsets(quantizer, bad_out, 1), "out");
        CHECK_MISALIGNED(diffquant_quantizer_set_offsets(quantizer, bad_in, 1), "offsets");
        CHECK_MISALIGNED(diffquant_quantizer_apply_scale_step(quantizer, bad_in, 1, 0.1f, 0.1f, NULL), "grad_scale");
        for (diffquant_scale_init method = 0; method <= DIFFQUANT_SCALE_INIT_MSE; method++) {
            CHECK_MISALIGNED(diffquant_quantizer_init_scale_with(quantizer, method, 50.0f, bad_in, 4), "w");
        }
    }
    memcpy(in.data, shape, sizeof shape);
    FOR_EACH_MISALIGNED(bad_in, in.data, sizeof(size_t)) {
        CHECK_MISALIGNED(diffquant_quantizer_set_shape(quantizer, bad_in, 2, 0), "shape");
    }
    CHECK_UNTOUCHED(&out);
    CHECK_STATE(quantizer, &before);
    guarded_free(&in);
    guarded_free(&out);
    diffquant_quantizer_free(quantizer);
}

TEST(codes_may_lie_at_any_address_and_floats_at_any_multiple_of_four) {
    /* Vector code must not ask for more than the types do. */
    enum { N = 70 };
    float w[N], memory[N + 16], values[N], expected_values[N];
    int8_t code_memory[N + 32], expected[N];
    fill_weights(w, N, 4, true);
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.3f);
    REQUIRE_OK(diffquant_quantizer_forward(quantizer, w, N, expected, expected_values));
    for (size_t offset = 0; offset < 32; offset++) {
        check_context("codes at %zu", offset);
        CHECK_OK(diffquant_quantizer_forward(quantizer, w, N, code_memory + offset, NULL));
        CHECK_CODES(code_memory + offset, expected, N);
        CHECK_OK(diffquant_quantizer_dequantize(quantizer, code_memory + offset, N, values));
        CHECK_FLOATS(values, expected_values, N);
    }
    for (size_t offset = 0; offset < 16; offset++) {
        check_context("floats at %zu", offset);
        memcpy(memory + offset, w, sizeof w);
        CHECK_OK(diffquant_quantizer_forward(quantizer, memory + offset, N, NULL, values));
        CHECK_FLOATS(values, expected_values, N);
        CHECK_OK(diffquant_quantizer_forward(quantizer, w, N, NULL, memory + offset));
        CHECK_FLOATS(memory + offset, expected_values, N);
    }
    diffquant_quantizer_free(quantizer);
}
