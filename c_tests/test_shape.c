/* Granularities and shapes: how many scales there are, which element has which, and what is refused. */

#include "granular.h"

/* ---- Which scale ------------------------------------------------------------------------------------------------- */

TEST(a_shape_decides_how_many_scales_there_are_and_each_starts_as_1) {
    for (size_t i = 0; i < granular_case_count; i++) {
        const struct granular_case *one = &granular_cases[i];
        diffquant_quantizer *quantizer = uniform_quantizer(4, 0.375f);
        check_context("%s", one->name);
        CHECK_OK(diffquant_quantizer_set_granularity(quantizer, one->granularity, one->block_size));
        CHECK_OK(diffquant_quantizer_set_shape(quantizer, one->shape, one->ndim, one->axis));
        const struct quantizer_state state = state_of(quantizer);
        CHECK_UINT(state.scale_count, one->scales);
        for (size_t scale = 0; scale < one->scales; scale++) {
            CHECK_FLOAT(state.scales[scale], 1.0f);
            CHECK_FLOAT(state.steps[scale], 1.0f);
            CHECK_FLOAT(state.offsets[scale], 0.0f);
            CHECK_INT(state.zero_points[scale], 0);
        }
        diffquant_quantizer_free(quantizer);
    }
}

TEST(an_element_has_the_scale_that_its_coordinates_say) {
    for (size_t i = 0; i < granular_case_count; i++) {
        const struct granular_case *one = &granular_cases[i];
        const size_t n = granular_elements(one);
        diffquant_quantizer *quantizer = granular_quantizer(one, 4);
        for (size_t element = 0; element < n; element++) {
            size_t scale = SIZE_MAX;
            check_context("%s, element %zu", one->name, element);
            CHECK(diffquant_quantizer_group_of(quantizer, element, n, &scale) == DIFFQUANT_STATUS_OK);
            CHECK_UINT(scale, granular_scale_of(one, element));
        }
        diffquant_quantizer_free(quantizer);
    }
}

TEST(the_scales_of_small_tensors_are_those_of_the_header) {
    /* [2][3][2] along the middle, in blocks of 2: outer * 2 + a / 2, times 2, plus inner. */
    static const size_t blocks[] = {0, 1, 0, 1, 2, 3, 4, 5, 4, 5, 6, 7};
    static const size_t channels[] = {0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2};
    static const size_t tokens[] = {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5};
    static const size_t tensor[12] = {0};
    static const struct {
        diffquant_granularity granularity;
        const size_t *expected;
    } cases[] = {
        {DIFFQUANT_GRANULARITY_PER_BLOCK, blocks},
        {DIFFQUANT_GRANULARITY_PER_CHANNEL, channels},
        {DIFFQUANT_GRANULARITY_PER_TOKEN, tokens},
        {DIFFQUANT_GRANULARITY_PER_TENSOR, tensor},
    };
    static const size_t shape[] = {2, 3, 2};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    for (size_t i = 0; i < COUNT(cases); i++) {
        REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, cases[i].granularity, 2));
        REQUIRE_OK(diffquant_quantizer_set_shape(quantizer, shape, 3, 1));
        for (size_t element = 0; element < 12; element++) {
            size_t scale = 99;
            check_context("granularity %u, element %zu", cases[i].granularity, element);
            CHECK_OK(diffquant_quantizer_group_of(quantizer, element, 12, &scale));
            CHECK_UINT(scale, cases[i].expected[element]);
        }
    }
    /* Channels without a shape are slices of a tensor of any length. */
    REQUIRE_OK(diffquant_quantizer_init_per_channel(quantizer, 3));
    for (size_t element = 0; element < 12; element++) {
        size_t scale = 99;
        CHECK_OK(diffquant_quantizer_group_of(quantizer, element, 12, &scale));
        CHECK_UINT(scale, element / 4);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(an_element_past_the_tensor_or_a_tensor_of_another_length_has_no_scale) {
    static const size_t shape[] = {2, 3};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    size_t scale = 99;
    REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, DIFFQUANT_GRANULARITY_PER_BLOCK, 2));
    CHECK_REFUSED(diffquant_quantizer_group_of(quantizer, 0, 6, &scale), DIFFQUANT_STATUS_NO_SHAPE, "shape");
    REQUIRE_OK(diffquant_quantizer_set_shape(quantizer, shape, 2, 1));
    CHECK_REFUSED(diffquant_quantizer_group_of(quantizer, 6, 6, &scale), DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE, "element",
                  "6");
    CHECK_REFUSED(diffquant_quantizer_group_of(quantizer, SIZE_MAX, 6, &scale), DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE,
                  "element", decimal(SIZE_MAX).text);
    CHECK_REFUSED(diffquant_quantizer_group_of(quantizer, 0, 0, &scale), DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE, "element",
                  "0");
    CHECK_REFUSED(diffquant_quantizer_group_of(quantizer, 0, 5, &scale), DIFFQUANT_STATUS_LENGTH_MISMATCH, "n", "5",
                  "6");
    REQUIRE_OK(diffquant_quantizer_init_per_channel(quantizer, 4));
    CHECK_REFUSED(diffquant_quantizer_group_of(quantizer, 0, 6, &scale), DIFFQUANT_STATUS_LENGTH_MISMATCH, "n", "6",
                  "4");
    CHECK_UINT(scale, 99);
    diffquant_quantizer_free(quantizer);
}

/* ---- The granularity --------------------------------------------------------------------------------------------- */

/* A quantizer with something in every place that a new granularity or shape is to reset. */
static diffquant_quantizer *quantizer_with_everything_set(void) {
    static const size_t shape[] = {2, 3};
    static const float scales[] = {0.5f, 0.25f, 2.0f}, offsets[] = {0.5f, -1.0f, 3.0f};
    static const int32_t zero_points[] = {1, -2, 3};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, DIFFQUANT_GRANULARITY_PER_CHANNEL, 0));
    REQUIRE_OK(diffquant_quantizer_set_shape(quantizer, shape, 2, 1));
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_EWGS_SIGNED, 0.5f));
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_HALF_EVEN));
    REQUIRE_OK(diffquant_quantizer_set_code_range(quantizer, DIFFQUANT_CODE_RANGE_UNSIGNED));
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    REQUIRE_OK(diffquant_quantizer_set_scales(quantizer, scales, 3));
    REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, zero_points, 3));
    REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, offsets, 3));
    return quantizer;
}

/* What is left of the above once the scales started again: everything but the scales, zero points and offsets. */
static void check_restarted(const diffquant_quantizer *quantizer, struct quantizer_state expected, size_t scales) {
    expected.scale_count = scales;
    for (size_t i = 0; i < scales; i++) {
        expected.scales[i] = expected.steps[i] = 1.0f;
        expected.zero_points[i] = -8; /* the unsigned 0 */
        expected.offsets[i] = 0.0f;
    }
    CHECK_STATE(quantizer, &expected);
}

TEST(a_granularity_can_be_changed_and_asked_and_starts_the_scales_again) {
    static const struct {
        diffquant_granularity granularity;
        size_t given, kept, scales;
    } cases[] = {
        {DIFFQUANT_GRANULARITY_PER_TENSOR, 64, 0, 1},      {DIFFQUANT_GRANULARITY_PER_CHANNEL, 0, 0, 1},
        {DIFFQUANT_GRANULARITY_PER_TOKEN, SIZE_MAX, 0, 0}, {DIFFQUANT_GRANULARITY_PER_BLOCK, 1, 1, 0},
        {DIFFQUANT_GRANULARITY_PER_BLOCK, 128, 128, 0},    {DIFFQUANT_GRANULARITY_PER_BLOCK, SIZE_MAX, SIZE_MAX, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        diffquant_granularity granularity = 99;
        size_t block_size = 99;
        diffquant_quantizer *quantizer = quantizer_with_everything_set();
        struct quantizer_state expected = state_of(quantizer);
        check_context("granularity %u, %zu", cases[i].granularity, cases[i].given);
        CHECK_OK(diffquant_quantizer_set_granularity(quantizer, cases[i].granularity, cases[i].given));
        CHECK_OK(diffquant_quantizer_granularity(quantizer, &granularity, &block_size));
        CHECK_UINT(granularity, cases[i].granularity);
        CHECK_UINT(block_size, cases[i].kept);
        granularity = 99;
        CHECK_OK(diffquant_quantizer_granularity(quantizer, &granularity, NULL));
        CHECK_UINT(granularity, cases[i].granularity);
        expected.granularity = cases[i].granularity;
        expected.block_size = cases[i].kept;
        check_restarted(quantizer, expected, cases[i].scales);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(an_unknown_granularity_or_a_block_of_nothing_changes_nothing) {
    diffquant_quantizer *quantizer = quantizer_with_everything_set();
    const struct quantizer_state before = state_of(quantizer);
    CHECK_REFUSED(diffquant_quantizer_set_granularity(quantizer, 4, 32), DIFFQUANT_STATUS_UNKNOWN_CONSTANT,
                  "granularity", "4");
    CHECK_STATE(quantizer, &before);
    CHECK_REFUSED(diffquant_quantizer_set_granularity(quantizer, 259, 32), DIFFQUANT_STATUS_UNKNOWN_CONSTANT,
                  "granularity", "259");
    CHECK_STATE(quantizer, &before);
    CHECK_REFUSED(diffquant_quantizer_set_granularity(quantizer, UINT32_MAX, 0), DIFFQUANT_STATUS_UNKNOWN_CONSTANT,
                  "granularity", "4294967295");
    CHECK_STATE(quantizer, &before);
    CHECK_REFUSED(diffquant_quantizer_set_granularity(quantizer, DIFFQUANT_GRANULARITY_PER_BLOCK, 0),
                  DIFFQUANT_STATUS_INVALID_ARGUMENT, "block_size", "0");
    CHECK_STATE(quantizer, &before);
    diffquant_quantizer_free(quantizer);
}

TEST(a_granularity_forgets_the_shape) {
    static const size_t shape[] = {2, 3};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    float w[5] = {1.0f}, values[5];
    REQUIRE_OK(diffquant_quantizer_set_shape(quantizer, shape, 2, 0));
    CHECK_REFUSED(diffquant_quantizer_forward(quantizer, w, 5, NULL, values), DIFFQUANT_STATUS_LENGTH_MISMATCH, "n",
                  "5", "6");
    REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, DIFFQUANT_GRANULARITY_PER_TENSOR, 0));
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, 5, NULL, values));
    diffquant_quantizer_free(quantizer);
}

/* ---- The shape --------------------------------------------------------------------------------------------------- */

TEST(a_shape_starts_the_scales_again_and_replaces_the_one_before) {
    static const size_t first[] = {4, 2}, second[] = {5, 3, 7};
    diffquant_quantizer *quantizer = quantizer_with_everything_set();
    const struct quantizer_state before = state_of(quantizer);
    CHECK_OK(diffquant_quantizer_set_shape(quantizer, first, 2, 0));
    check_restarted(quantizer, before, 4);
    CHECK_OK(diffquant_quantizer_set_shape(quantizer, second, 3, 1));
    check_restarted(quantizer, before, 3);
    /* Channels of slices, again of any length. */
    CHECK_OK(diffquant_quantizer_init_per_channel(quantizer, 2));
    check_restarted(quantizer, before, 2);
    size_t scale = 99;
    CHECK_OK(diffquant_quantizer_group_of(quantizer, 5, 10, &scale));
    CHECK_UINT(scale, 1);
    diffquant_quantizer_free(quantizer);
}

TEST(a_shape_may_have_16_dimensions) {
    size_t shape[16];
    for (size_t i = 0; i < COUNT(shape); i++) {
        shape[i] = i % 4 == 3 ? 2 : 1;
    }
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, DIFFQUANT_GRANULARITY_PER_CHANNEL, 0));
    CHECK_OK(diffquant_quantizer_set_shape(quantizer, shape, 16, 11));
    for (size_t element = 0; element < 16; element++) {
        size_t scale = 99;
        CHECK_OK(diffquant_quantizer_group_of(quantizer, element, 16, &scale));
        CHECK_UINT(scale, element / 2 % 2);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(the_axis_is_ignored_where_there_is_none) {
    static const size_t shape[] = {2, 3};
    static const diffquant_granularity without[] = {DIFFQUANT_GRANULARITY_PER_TENSOR, DIFFQUANT_GRANULARITY_PER_TOKEN};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    for (size_t i = 0; i < COUNT(without); i++) {
        REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, without[i], 0));
        CHECK_OK(diffquant_quantizer_set_shape(quantizer, shape, 2, SIZE_MAX));
        CHECK_UINT(state_of(quantizer).scale_count, i == 0 ? 1 : 2);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(a_shape_that_cannot_be_leaves_the_old_one) {
    static const size_t many[100] = {1};
    static const size_t with_zero[] = {2, 0, 3}, zero[] = {0}, huge[] = {SIZE_MAX / 2, 4},
                        square[] = {SIZE_MAX, SIZE_MAX}, wraps[] = {(SIZE_MAX >> 1) + 1, 2},
                        floats[] = {SIZE_MAX / 8 + 1}, good[] = {2, 3};
    static const struct {
        const size_t *shape;
        size_t ndim, axis;
        diffquant_status status;
        const char *word, *value;
    } cases[] = {
        {good, 0, 0, DIFFQUANT_STATUS_INVALID_ARGUMENT, "ndim", "0"},
        {NULL, 0, 0, DIFFQUANT_STATUS_INVALID_ARGUMENT, "ndim", "0"},
        {many, 17, 0, DIFFQUANT_STATUS_INVALID_ARGUMENT, "ndim", "17"},
        {many, 100, 0, DIFFQUANT_STATUS_INVALID_ARGUMENT, "ndim", "100"},
        {good, SIZE_MAX, 0, DIFFQUANT_STATUS_INVALID_ARGUMENT, "ndim", "1"},
        {zero, 1, 0, DIFFQUANT_STATUS_INVALID_ARGUMENT, "shape", "0"},
        {with_zero, 3, 2, DIFFQUANT_STATUS_INVALID_ARGUMENT, "shape", "0"},
        {good, 2, 2, DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE, "axis", "2"},
        {good, 2, SIZE_MAX, DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE, "axis", "2"},
        {huge, 2, 1, DIFFQUANT_STATUS_SIZE_OVERFLOW, "shape", "elements"},
        {square, 2, 0, DIFFQUANT_STATUS_SIZE_OVERFLOW, "shape", "elements"},
        {wraps, 2, 1, DIFFQUANT_STATUS_SIZE_OVERFLOW, "shape", "elements"},
        {floats, 1, 0, DIFFQUANT_STATUS_SIZE_OVERFLOW, "shape", "elements"},
    };
    static const diffquant_granularity with_axis[] = {DIFFQUANT_GRANULARITY_PER_CHANNEL,
                                                      DIFFQUANT_GRANULARITY_PER_BLOCK};
    for (size_t i = 0; i < COUNT(cases) * COUNT(with_axis); i++) {
        const size_t j = i % COUNT(cases);
        size_t scale = 99;
        diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
        REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, with_axis[i / COUNT(cases)], 2));
        REQUIRE_OK(diffquant_quantizer_set_shape(quantizer, good, 2, 1));
        REQUIRE_OK(diffquant_quantizer_set_scale(quantizer, 1, 0.25f));
        const struct quantizer_state before = state_of(quantizer);
        check_context("case %zu, granularity %u", j, before.granularity);
        CHECK_REFUSED(diffquant_quantizer_set_shape(quantizer, cases[j].shape, cases[j].ndim, cases[j].axis),
                      cases[j].status, cases[j].word, cases[j].value);
        CHECK_STATE(quantizer, &before);
        CHECK_OK(diffquant_quantizer_group_of(quantizer, 2, 6, &scale));
        CHECK_UINT(scale, before.granularity == DIFFQUANT_GRANULARITY_PER_CHANNEL ? 2 : 1);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(more_scales_than_memory_holds_leave_the_old_ones) {
    /* The tensor could lie in memory; its scales cannot be had beside it. */
    static const size_t shape[] = {SIZE_MAX / 16, 1}, old[] = {2, 3};
    static const diffquant_granularity many[] = {DIFFQUANT_GRANULARITY_PER_CHANNEL, DIFFQUANT_GRANULARITY_PER_TOKEN,
                                                 DIFFQUANT_GRANULARITY_PER_BLOCK};
    for (size_t i = 0; i < COUNT(many); i++) {
        diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
        REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, many[i], 1));
        REQUIRE_OK(diffquant_quantizer_set_shape(quantizer, old, 2, 0));
        const struct quantizer_state before = state_of(quantizer);
        check_context("granularity %u", many[i]);
        CHECK_REFUSED(diffquant_quantizer_set_shape(quantizer, shape, 2, 0), DIFFQUANT_STATUS_OUT_OF_MEMORY, "memory");
        CHECK_STATE(quantizer, &before);
        diffquant_quantizer_free(quantizer);
    }
}

/* ---- Without a shape --------------------------------------------------------------------------------------------- */

TEST(tokens_and_blocks_need_a_shape_for_everything_but_no_elements) {
    static const diffquant_granularity in_need[] = {DIFFQUANT_GRANULARITY_PER_TOKEN, DIFFQUANT_GRANULARITY_PER_BLOCK};
    enum { N = 8 };
    static const float w[N] = {1.0f}, g[N] = {1.0f};
    static const int8_t codes[N] = {1};
    struct guarded out = guarded_new(N * sizeof(float)), scales = guarded_new(N * sizeof(float)),
                   offsets = guarded_new(N * sizeof(float)), out_codes = guarded_new(N);
    for (size_t i = 0; i < COUNT(in_need); i++) {
        diffquant_quantizer *q = uniform_quantizer(4, 1.0f);
        REQUIRE_OK(diffquant_quantizer_set_granularity(q, in_need[i], 4));
        REQUIRE_OK(diffquant_quantizer_set_ste(q, DIFFQUANT_STE_LSQ_PLUS, 0.0f));
        const struct quantizer_state before = state_of(q);
        check_context("granularity %u", in_need[i]);
        CHECK_REFUSED(diffquant_quantizer_forward(q, w, N, out_codes.data, out.data), DIFFQUANT_STATUS_NO_SHAPE,
                      "shape");
        CHECK_REFUSED(diffquant_quantizer_forward_dynamic(q, w, N, out_codes.data, out.data, scales.data, 2),
                      DIFFQUANT_STATUS_NO_SHAPE, "shape");
        CHECK_REFUSED(diffquant_quantizer_backward(q, w, NULL, g, N, out.data), DIFFQUANT_STATUS_NO_SHAPE, "shape");
        CHECK_REFUSED(diffquant_quantizer_backward_scale(q, w, g, N, out.data, scales.data), DIFFQUANT_STATUS_NO_SHAPE,
                      "shape");
        CHECK_REFUSED(diffquant_quantizer_backward_scale_offset(q, w, g, N, out.data, scales.data, offsets.data),
                      DIFFQUANT_STATUS_NO_SHAPE, "shape");
        CHECK_REFUSED(diffquant_quantizer_dequantize(q, codes, N, out.data), DIFFQUANT_STATUS_NO_SHAPE, "shape");
        CHECK_REFUSED(diffquant_quantizer_init_scale(q, w, N), DIFFQUANT_STATUS_NO_SHAPE, "shape");
        for (diffquant_scale_init method = 0; method <= DIFFQUANT_SCALE_INIT_MSE; method++) {
            CHECK_REFUSED(diffquant_quantizer_init_scale_with(q, method, 99.0f, w, N), DIFFQUANT_STATUS_NO_SHAPE,
                          "shape");
        }
        CHECK_STATE(q, &before);
        CHECK_OK(diffquant_quantizer_forward(q, NULL, 0, NULL, NULL));
        CHECK_OK(diffquant_quantizer_forward_dynamic(q, NULL, 0, NULL, NULL, NULL, 0));
        CHECK_OK(diffquant_quantizer_backward(q, NULL, NULL, NULL, 0, NULL));
        CHECK_OK(diffquant_quantizer_backward_scale(q, NULL, NULL, 0, NULL, NULL));
        CHECK_OK(diffquant_quantizer_backward_scale_offset(q, NULL, NULL, 0, NULL, NULL, NULL));
        CHECK_OK(diffquant_quantizer_dequantize(q, NULL, 0, NULL));
        CHECK_OK(diffquant_quantizer_init_scale(q, NULL, 0));
        /* There is no scale to read or to change, and that is what can be done to none. */
        CHECK_OK(diffquant_quantizer_scales(q, NULL, 0));
        CHECK_OK(diffquant_quantizer_set_scales(q, NULL, 0));
        CHECK_REFUSED(diffquant_quantizer_set_scale(q, 0, 1.0f), DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE, "group", "0");
        CHECK_STATE(q, &before);
        CHECK_UNTOUCHED(&out);
        CHECK_UNTOUCHED(&scales);
        CHECK_UNTOUCHED(&offsets);
        CHECK_UNTOUCHED(&out_codes);
        diffquant_quantizer_free(q);
    }
    guarded_free(&out);
    guarded_free(&scales);
    guarded_free(&offsets);
    guarded_free(&out_codes);
}
