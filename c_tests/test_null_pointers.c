/* NULL for each pointer of each function: refused, by the name of the argument, and nothing else is written. */

#include "config_fields.h"

#define CHECK_NULL(call, argument) CHECK_REFUSED(call, DIFFQUANT_STATUS_NULL_POINTER, argument)

/* ---- Configurations ---------------------------------------------------------------------------------------------- */

TEST(functions_that_make_or_read_a_configuration_refuse_null) {
    diffquant_config *config = default_config();
    const struct config_text before = text_of(config);
    char text[1024];
    size_t length = 99;
    diffquant_config *made = no_config();
    touch_not(text, sizeof text);

    CHECK_NULL(diffquant_config_new(NULL), "out");
    CHECK_NULL(diffquant_config_new_preset(DIFFQUANT_PRESET_PIQ3, NULL), "out");
    CHECK_NULL(diffquant_config_from_json(NULL, 10, &made), "json");
    CHECK_NULL(diffquant_config_from_json(NULL, 0, &made), "json");
    CHECK_NULL(diffquant_config_from_json("{}", 2, NULL), "out");
    CHECK_NULL(diffquant_config_to_json(NULL, text, sizeof text, &length), "config");
    CHECK_NULL(diffquant_config_to_json(config, NULL, sizeof text, &length), "buf");
    CHECK_NULL(diffquant_config_to_json(config, text, sizeof text, NULL), "len");
    CHECK_NULL(diffquant_config_to_json(config, NULL, 0, NULL), "len");
    CHECK_NULL(diffquant_config_clone(NULL, &made), "config");
    CHECK_NULL(diffquant_config_clone(config, NULL), "out");
    CHECK_NULL(diffquant_config_validate(NULL), "config");
    CHECK(made == no_config());
    CHECK(still_untouched(text, sizeof text));
    CHECK_UINT(length, 99);
    CHECK_CONFIG(config, &before);
    diffquant_config_free(config);
}

TEST(derived_figures_refuse_null) {
    diffquant_config *config = default_config();
    REQUIRE_OK(diffquant_config_set_pi_k(config, 4));
    uint32_t levels = 99;
    int32_t min = 99, max = 99;
    float number = 99.0f;
    size_t count = 99;

    CHECK_NULL(diffquant_config_num_levels(NULL, &levels), "config");
    CHECK_NULL(diffquant_config_num_levels(config, NULL), "out");
    CHECK_NULL(diffquant_config_code_range(NULL, &min, &max), "config");
    CHECK_NULL(diffquant_config_code_range(config, NULL, &max), "min");
    CHECK_NULL(diffquant_config_code_range(config, &min, NULL), "max");
    CHECK_NULL(diffquant_config_pi_step(NULL, 1.0f, &number), "config");
    CHECK_NULL(diffquant_config_pi_step(config, 1.0f, NULL), "out");
    CHECK_NULL(diffquant_config_bits_per_weight(NULL, &number), "config");
    CHECK_NULL(diffquant_config_bits_per_weight(config, NULL), "out");
    CHECK_NULL(diffquant_config_parameter_count(NULL, 100, 10, &count), "config");
    CHECK_NULL(diffquant_config_parameter_count(config, 100, 10, NULL), "out");
    CHECK_UINT(levels, 99);
    CHECK_INT(min, 99);
    CHECK_INT(max, 99);
    CHECK_FLOAT(number, 99.0f);
    CHECK_UINT(count, 99);
    diffquant_config_free(config);
}

TEST(setters_and_getters_of_a_configuration_refuse_null) {
    diffquant_config *config = default_config();
    float float_value = 99.0f;
    size_t size_value = 99;
    uint32_t uint32_value = 99;
    for (size_t i = 0; i < float_field_count; i++) {
        check_context("%s", float_fields[i].name);
        CHECK_NULL(float_fields[i].set(NULL, 1.0f), "config");
        CHECK_NULL(float_fields[i].get(NULL, &float_value), "config");
        CHECK_NULL(float_fields[i].get(config, NULL), "out");
    }
    for (size_t i = 0; i < size_field_count; i++) {
        check_context("%s", size_fields[i].name);
        CHECK_NULL(size_fields[i].set(NULL, 1), "config");
        CHECK_NULL(size_fields[i].get(NULL, &size_value), "config");
        CHECK_NULL(size_fields[i].get(config, NULL), "out");
    }
    for (size_t i = 0; i < uint32_field_count; i++) {
        check_context("%s", uint32_fields[i].name);
        CHECK_NULL(uint32_fields[i].set(NULL, uint32_fields[i].initial), "config");
        CHECK_NULL(uint32_fields[i].get(NULL, &uint32_value), "config");
        CHECK_NULL(uint32_fields[i].get(config, NULL), "out");
    }
    check_context("pairs");
    CHECK_NULL(diffquant_config_set_ste(NULL, DIFFQUANT_STE_STANDARD, 0.0f), "config");
    CHECK_NULL(diffquant_config_ste(NULL, &uint32_value, &float_value), "config");
    CHECK_NULL(diffquant_config_ste(config, NULL, &float_value), "ste");
    CHECK_NULL(diffquant_config_ste(config, NULL, NULL), "ste");
    CHECK_NULL(diffquant_config_set_granularity(NULL, DIFFQUANT_GRANULARITY_PER_BLOCK, 32), "config");
    CHECK_NULL(diffquant_config_granularity(NULL, &uint32_value, &size_value), "config");
    CHECK_NULL(diffquant_config_granularity(config, NULL, &size_value), "granularity");
    CHECK_NULL(diffquant_config_granularity(config, NULL, NULL), "granularity");
    CHECK_FLOAT(float_value, 99.0f);
    CHECK_UINT(size_value, 99);
    CHECK_UINT(uint32_value, 99);
    diffquant_config_free(config);
}

/* ---- Quantizers -------------------------------------------------------------------------------------------------- */

TEST(functions_that_make_a_quantizer_refuse_null) {
    diffquant_config *config = default_config();
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f), *made = no_quantizer();
    CHECK_NULL(diffquant_quantizer_new(NULL, &made), "config");
    CHECK_NULL(diffquant_quantizer_new(config, NULL), "out");
    CHECK_NULL(diffquant_quantizer_new_uniform(4, DIFFQUANT_STE_STANDARD, 0.0f, NULL), "out");
    CHECK_NULL(diffquant_quantizer_new_pi(3, 4, NULL), "out");
    CHECK_NULL(diffquant_quantizer_clone(NULL, &made), "quantizer");
    CHECK_NULL(diffquant_quantizer_clone(quantizer, NULL), "out");
    CHECK_NULL(diffquant_pi_scale_from_range(1.0f, 3, 4, NULL), "out");
    CHECK(made == no_quantizer());
    diffquant_quantizer_free(quantizer);
    diffquant_config_free(config);
}

TEST(setters_and_getters_of_a_quantizer_refuse_null) {
    diffquant_quantizer *quantizer = NULL;
    REQUIRE_OK(diffquant_quantizer_new_pi(3, 4, &quantizer));
    const struct quantizer_state before = state_of(quantizer);
    static const float w[] = {1.0f, 2.0f};
    uint32_t uint32_value = 99;
    float float_value = 99.0f;
    size_t size_value = 99;
    uint64_t seed = 99, first_element = 99;

    CHECK_NULL(diffquant_quantizer_set_seed(NULL, 1, 2), "quantizer");
    CHECK_NULL(diffquant_quantizer_seed(NULL, &seed, &first_element), "quantizer");
    CHECK_NULL(diffquant_quantizer_seed(quantizer, NULL, &first_element), "seed");
    CHECK_NULL(diffquant_quantizer_seed(quantizer, NULL, NULL), "seed");
    CHECK_NULL(diffquant_quantizer_set_non_finite(NULL, DIFFQUANT_NON_FINITE_REJECT), "quantizer");
    CHECK_NULL(diffquant_quantizer_non_finite(NULL, &uint32_value), "quantizer");
    CHECK_NULL(diffquant_quantizer_non_finite(quantizer, NULL), "out");
    CHECK_NULL(diffquant_quantizer_set_ste(NULL, DIFFQUANT_STE_STANDARD, 0.0f), "quantizer");
    CHECK_NULL(diffquant_quantizer_ste(NULL, &uint32_value, &float_value), "quantizer");
    CHECK_NULL(diffquant_quantizer_ste(quantizer, NULL, &float_value), "ste");
    CHECK_NULL(diffquant_quantizer_ste(quantizer, NULL, NULL), "ste");
    CHECK_NULL(diffquant_quantizer_set_rounding(NULL, DIFFQUANT_ROUNDING_HALF_EVEN), "quantizer");
    CHECK_NULL(diffquant_quantizer_rounding(NULL, &uint32_value), "quantizer");
    CHECK_NULL(diffquant_quantizer_rounding(quantizer, NULL), "out");
    CHECK_NULL(diffquant_quantizer_bits(NULL, &uint32_value), "quantizer");
    CHECK_NULL(diffquant_quantizer_bits(quantizer, NULL), "out");
    CHECK_NULL(diffquant_quantizer_num_levels(NULL, &uint32_value), "quantizer");
    CHECK_NULL(diffquant_quantizer_num_levels(quantizer, NULL), "out");
    CHECK_NULL(diffquant_quantizer_k(NULL, &uint32_value), "quantizer");
    CHECK_NULL(diffquant_quantizer_k(quantizer, NULL), "out");
    CHECK_NULL(diffquant_quantizer_set_threads(NULL, 2), "quantizer");
    CHECK_NULL(diffquant_quantizer_set_parallel_for(NULL, NULL, NULL), "quantizer");
    CHECK_NULL(diffquant_quantizer_init_per_channel(NULL, 2), "quantizer");
    CHECK_NULL(diffquant_quantizer_init_scale(NULL, w, 2), "quantizer");
    CHECK_NULL(diffquant_quantizer_init_scale(quantizer, NULL, 2), "w");
    CHECK_NULL(diffquant_quantizer_scale_count(NULL, &size_value), "quantizer");
    CHECK_NULL(diffquant_quantizer_scale_count(quantizer, NULL), "out");
    CHECK_NULL(diffquant_quantizer_scales(NULL, &float_value, 1), "quantizer");
    CHECK_NULL(diffquant_quantizer_scales(quantizer, NULL, 1), "out");
    CHECK_NULL(diffquant_quantizer_set_scales(NULL, w, 1), "quantizer");
    CHECK_NULL(diffquant_quantizer_set_scales(quantizer, NULL, 1), "scales");
    CHECK_NULL(diffquant_quantizer_set_scale(NULL, 0, 1.0f), "quantizer");
    CHECK_NULL(diffquant_quantizer_step_size(NULL, 0, &float_value), "quantizer");
    CHECK_NULL(diffquant_quantizer_step_size(quantizer, 0, NULL), "out");
    CHECK_UINT(uint32_value, 99);
    CHECK_FLOAT(float_value, 99.0f);
    CHECK_UINT(size_value, 99);
    CHECK_UINT(seed, 99);
    CHECK_UINT(first_element, 99);
    CHECK_STATE(quantizer, &before);
    diffquant_quantizer_free(quantizer);
}

TEST(shapes_ranges_and_calibration_refuse_null) {
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    const struct quantizer_state before = state_of(quantizer);
    static const float numbers[] = {1.0f, 2.0f};
    static const size_t shape[] = {2, 3};
    static const int32_t zero_point = 1;
    uint32_t uint32_value = 99;
    int32_t int_value = 99, other_int_value = 99;
    float float_value = 99.0f;
    size_t size_value = 99;

    CHECK_NULL(diffquant_quantizer_set_granularity(NULL, DIFFQUANT_GRANULARITY_PER_BLOCK, 32), "quantizer");
    CHECK_NULL(diffquant_quantizer_granularity(NULL, &uint32_value, &size_value), "quantizer");
    CHECK_NULL(diffquant_quantizer_granularity(quantizer, NULL, &size_value), "granularity");
    CHECK_NULL(diffquant_quantizer_granularity(quantizer, NULL, NULL), "granularity");
    CHECK_NULL(diffquant_quantizer_set_shape(NULL, shape, 2, 0), "quantizer");
    CHECK_NULL(diffquant_quantizer_set_shape(quantizer, NULL, 2, 0), "shape");
    CHECK_NULL(diffquant_quantizer_group_of(NULL, 0, 1, &size_value), "quantizer");
    CHECK_NULL(diffquant_quantizer_group_of(quantizer, 0, 1, NULL), "out");
    CHECK_NULL(diffquant_quantizer_set_code_range(NULL, DIFFQUANT_CODE_RANGE_NARROW), "quantizer");
    CHECK_NULL(diffquant_quantizer_code_range(NULL, &uint32_value), "quantizer");
    CHECK_NULL(diffquant_quantizer_code_range(quantizer, NULL), "out");
    CHECK_NULL(diffquant_quantizer_code_bounds(NULL, &int_value, &other_int_value), "quantizer");
    CHECK_NULL(diffquant_quantizer_code_bounds(quantizer, NULL, &int_value), "smallest");
    CHECK_NULL(diffquant_quantizer_code_bounds(quantizer, &int_value, NULL), "largest");
    CHECK_NULL(diffquant_quantizer_set_symmetric(NULL, 1), "quantizer");
    CHECK_NULL(diffquant_quantizer_symmetric(NULL, &uint32_value), "quantizer");
    CHECK_NULL(diffquant_quantizer_symmetric(quantizer, NULL), "out");
    CHECK_NULL(diffquant_quantizer_zero_points(NULL, &int_value, 1), "quantizer");
    CHECK_NULL(diffquant_quantizer_zero_points(quantizer, NULL, 1), "out");
    CHECK_NULL(diffquant_quantizer_set_zero_points(NULL, &zero_point, 1), "quantizer");
    CHECK_NULL(diffquant_quantizer_set_zero_points(quantizer, NULL, 1), "zero_points");
    CHECK_NULL(diffquant_quantizer_offsets(NULL, &float_value, 1), "quantizer");
    CHECK_NULL(diffquant_quantizer_offsets(quantizer, NULL, 1), "out");
    CHECK_NULL(diffquant_quantizer_set_offsets(NULL, numbers, 1), "quantizer");
    CHECK_NULL(diffquant_quantizer_set_offsets(quantizer, NULL, 1), "offsets");
    CHECK_NULL(diffquant_quantizer_init_scale_with(NULL, DIFFQUANT_SCALE_INIT_MSE, 0.0f, numbers, 2), "quantizer");
    CHECK_NULL(diffquant_quantizer_init_scale_with(quantizer, DIFFQUANT_SCALE_INIT_MSE, 0.0f, NULL, 2), "w");
    CHECK_NULL(diffquant_quantizer_apply_scale_step(NULL, numbers, 1, 0.1f, 0.1f, &size_value), "quantizer");
    CHECK_NULL(diffquant_quantizer_apply_scale_step(quantizer, NULL, 1, 0.1f, 0.1f, &size_value), "grad_scale");
    CHECK_UINT(uint32_value, 99);
    CHECK_INT(int_value, 99);
    CHECK_INT(other_int_value, 99);
    CHECK_FLOAT(float_value, 99.0f);
    CHECK_UINT(size_value, 99);
    CHECK_STATE(quantizer, &before);
    diffquant_quantizer_free(quantizer);
}

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

TEST(tensor_functions_refuse_null_and_write_no_output) {
    enum { N = 4 };
    static const float w[N] = {1.0f, 2.0f, 3.0f, 4.0f}, g[N] = {1.0f, 1.0f, 1.0f, 1.0f};
    static const int8_t codes[N] = {1, 2, 3, 4};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    struct guarded out_codes = guarded_new(N), out = guarded_new(N * sizeof(float)),
                   grad_scale = guarded_new(sizeof(float)), grad_offset = guarded_new(sizeof(float));
    void *const grads = grad_scale.data, *const offsets = grad_offset.data;
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_LSQ, 0.0f));

    CHECK_NULL(diffquant_quantizer_forward(NULL, w, N, out_codes.data, out.data), "quantizer");
    CHECK_NULL(diffquant_quantizer_forward(quantizer, NULL, N, out_codes.data, out.data), "w");
    CHECK_NULL(diffquant_quantizer_backward(NULL, w, w, g, N, out.data), "quantizer");
    CHECK_NULL(diffquant_quantizer_backward(quantizer, NULL, w, g, N, out.data), "w");
    CHECK_NULL(diffquant_quantizer_backward(quantizer, w, w, NULL, N, out.data), "grad_out");
    CHECK_NULL(diffquant_quantizer_backward(quantizer, w, w, g, N, NULL), "grad_w");
    CHECK_NULL(diffquant_quantizer_backward_scale(NULL, w, g, N, out.data, grad_scale.data), "quantizer");
    CHECK_NULL(diffquant_quantizer_backward_scale(quantizer, NULL, g, N, out.data, grad_scale.data), "w");
    CHECK_NULL(diffquant_quantizer_backward_scale(quantizer, w, NULL, N, out.data, grad_scale.data), "grad_out");
    CHECK_NULL(diffquant_quantizer_backward_scale(quantizer, w, g, N, out.data, NULL), "grad_scale");
    CHECK_NULL(diffquant_quantizer_backward_scale(quantizer, w, g, N, NULL, NULL), "grad_scale");
    CHECK_NULL(diffquant_quantizer_backward_scale_offset(NULL, w, g, N, out.data, grads, offsets), "quantizer");
    CHECK_NULL(diffquant_quantizer_backward_scale_offset(quantizer, NULL, g, N, out.data, grads, offsets), "w");
    CHECK_NULL(diffquant_quantizer_backward_scale_offset(quantizer, w, NULL, N, out.data, grads, offsets), "grad_out");
    CHECK_NULL(diffquant_quantizer_backward_scale_offset(quantizer, w, g, N, out.data, NULL, offsets), "grad_scale");
    CHECK_NULL(diffquant_quantizer_backward_scale_offset(quantizer, w, g, N, out.data, grads, NULL), "grad_offset");
    CHECK_NULL(diffquant_quantizer_backward_scale_offset(quantizer, w, g, N, NULL, grads, NULL), "grad_offset");
    CHECK_NULL(diffquant_quantizer_forward_dynamic(NULL, w, N, out_codes.data, out.data, grads, 1), "quantizer");
    CHECK_NULL(diffquant_quantizer_forward_dynamic(quantizer, NULL, N, out_codes.data, out.data, grads, 1), "w");
    CHECK_NULL(diffquant_quantizer_forward_dynamic(quantizer, w, N, out_codes.data, out.data, NULL, 1), "scales");
    CHECK_NULL(diffquant_quantizer_dequantize(NULL, codes, N, out.data), "quantizer");
    CHECK_NULL(diffquant_quantizer_dequantize(quantizer, NULL, N, out.data), "codes");
    CHECK_NULL(diffquant_quantizer_dequantize(quantizer, codes, N, NULL), "values");
    CHECK_UNTOUCHED(&out_codes);
    CHECK_UNTOUCHED(&out);
    CHECK_UNTOUCHED(&grad_scale);
    CHECK_UNTOUCHED(&grad_offset);

    guarded_free(&out_codes);
    guarded_free(&out);
    guarded_free(&grad_scale);
    guarded_free(&grad_offset);
    diffquant_quantizer_free(quantizer);
}

TEST(a_null_handle_is_refused_even_where_there_is_nothing_to_do) {
    float grad_scale = 99.0f;
    CHECK_NULL(diffquant_quantizer_forward(NULL, NULL, 0, NULL, NULL), "quantizer");
    CHECK_NULL(diffquant_quantizer_backward(NULL, NULL, NULL, NULL, 0, NULL), "quantizer");
    CHECK_NULL(diffquant_quantizer_backward_scale(NULL, NULL, NULL, 0, NULL, &grad_scale), "quantizer");
    CHECK_NULL(diffquant_quantizer_backward_scale_offset(NULL, NULL, NULL, 0, NULL, &grad_scale, &grad_scale),
               "quantizer");
    CHECK_NULL(diffquant_quantizer_forward_dynamic(NULL, NULL, 0, NULL, NULL, &grad_scale, 1), "quantizer");
    CHECK_NULL(diffquant_quantizer_init_scale_with(NULL, DIFFQUANT_SCALE_INIT_LSQ, 0.0f, NULL, 0), "quantizer");
    CHECK_NULL(diffquant_quantizer_dequantize(NULL, NULL, 0, NULL), "quantizer");
    CHECK_NULL(diffquant_quantizer_init_scale(NULL, NULL, 0), "quantizer");
    CHECK_FLOAT(grad_scale, 99.0f);
}
