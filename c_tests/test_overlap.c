/* Buffers that share memory: every pair of a call, both ways round. Exact in-place use works where the header allows
 * it; everything else is refused and touches nothing. */

#include "support.h"

enum {
    N = 40,       /* elements of each tensor: a whole block of the kernels and a part of one */
    CHANNELS = 4, /* so that grad_scale has a length of its own */
    ARENA = 4 * N /* floats of memory that all buffers are cut from */
};

/* Buffers cut from one piece of memory, so that their overlap is exactly what a test says. */
static _Alignas(64) float arena[ARENA];
static float pristine[ARENA];

static void prepare_arena(void) {
    fill_weights(pristine, ARENA, 77, false);
    memcpy(arena, pristine, sizeof arena);
}

static bool arena_is_untouched(void) {
    return memcmp(arena, pristine, sizeof arena) == 0;
}

/* An address some bytes from the arena's middle. */
static void *moved(ptrdiff_t bytes) {
    return (void *)((uintptr_t)(arena + ARENA / 2) + (uintptr_t)bytes);
}

static diffquant_quantizer *make_quantizer(void) {
    static const float scales[CHANNELS] = {0.5f, 0.25f, 1.0f, 0.7f};
    diffquant_quantizer *quantizer = channel_quantizer(4, scales, CHANNELS);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_EWGS_SIGNED, 0.5f));
    prepare_arena();
    return quantizer;
}

/* Two arguments of a function that may not overlap: a call that gives them these addresses, everything else apart. */
struct pair {
    const char *first, *second;
    size_t first_bytes, second_bytes, alignment;
    bool may_be_the_same;
    diffquant_status (*call)(const diffquant_quantizer *, void *first, void *second);
};

static const float apart_in[N] = {1.0f};
static float apart_out[N];
static int8_t apart_codes[N];
static float apart_scale[CHANNELS], apart_offset[CHANNELS];
static diffquant_statistics apart_statistics[CHANNELS];

static diffquant_status forward_codes_w(const diffquant_quantizer *q, void *codes, void *w) {
    return diffquant_quantizer_forward(q, w, N, codes, NULL);
}
static diffquant_status forward_codes_w_with_values(const diffquant_quantizer *q, void *codes, void *w) {
    return diffquant_quantizer_forward(q, w, N, codes, apart_out);
}
static diffquant_status forward_codes_values(const diffquant_quantizer *q, void *codes, void *values) {
    return diffquant_quantizer_forward(q, apart_in, N, codes, values);
}
static diffquant_status forward_values_w(const diffquant_quantizer *q, void *values, void *w) {
    return diffquant_quantizer_forward(q, w, N, apart_codes, values);
}
static diffquant_status backward_grad_w_w(const diffquant_quantizer *q, void *grad_w, void *w) {
    return diffquant_quantizer_backward(q, w, NULL, apart_in, N, grad_w);
}
static diffquant_status backward_grad_w_values(const diffquant_quantizer *q, void *grad_w, void *values) {
    return diffquant_quantizer_backward(q, apart_in, values, apart_in, N, grad_w);
}
static diffquant_status backward_grad_w_grad_out(const diffquant_quantizer *q, void *grad_w, void *grad_out) {
    return diffquant_quantizer_backward(q, apart_in, apart_in, grad_out, N, grad_w);
}
static diffquant_status scale_grad_w_w(const diffquant_quantizer *q, void *grad_w, void *w) {
    return diffquant_quantizer_backward_scale(q, w, apart_in, N, grad_w, apart_scale);
}
static diffquant_status scale_grad_w_grad_out(const diffquant_quantizer *q, void *grad_w, void *grad_out) {
    return diffquant_quantizer_backward_scale(q, apart_in, grad_out, N, grad_w, apart_scale);
}
static diffquant_status scale_grad_scale_w(const diffquant_quantizer *q, void *grad_scale, void *w) {
    return diffquant_quantizer_backward_scale(q, w, apart_in, N, apart_out, grad_scale);
}
static diffquant_status scale_grad_scale_grad_out(const diffquant_quantizer *q, void *grad_scale, void *grad_out) {
    return diffquant_quantizer_backward_scale(q, apart_in, grad_out, N, apart_out, grad_scale);
}
static diffquant_status scale_grad_scale_grad_w(const diffquant_quantizer *q, void *grad_scale, void *grad_w) {
    return diffquant_quantizer_backward_scale(q, apart_in, apart_in, N, grad_w, grad_scale);
}
static diffquant_status offset_grad_w_w(const diffquant_quantizer *q, void *grad_w, void *w) {
    return diffquant_quantizer_backward_scale_offset(q, w, apart_in, N, grad_w, apart_scale, apart_offset);
}
static diffquant_status offset_grad_w_grad_out(const diffquant_quantizer *q, void *grad_w, void *grad_out) {
    return diffquant_quantizer_backward_scale_offset(q, apart_in, grad_out, N, grad_w, apart_scale, apart_offset);
}
static diffquant_status offset_grad_scale_w(const diffquant_quantizer *q, void *grad_scale, void *w) {
    return diffquant_quantizer_backward_scale_offset(q, w, apart_in, N, apart_out, grad_scale, apart_offset);
}
static diffquant_status offset_grad_scale_grad_out(const diffquant_quantizer *q, void *grad_scale, void *grad_out) {
    return diffquant_quantizer_backward_scale_offset(q, apart_in, grad_out, N, apart_out, grad_scale, apart_offset);
}
static diffquant_status offset_grad_scale_grad_w(const diffquant_quantizer *q, void *grad_scale, void *grad_w) {
    return diffquant_quantizer_backward_scale_offset(q, apart_in, apart_in, N, grad_w, grad_scale, apart_offset);
}
static diffquant_status offset_grad_offset_w(const diffquant_quantizer *q, void *grad_offset, void *w) {
    return diffquant_quantizer_backward_scale_offset(q, w, apart_in, N, apart_out, apart_scale, grad_offset);
}
static diffquant_status offset_grad_offset_grad_out(const diffquant_quantizer *q, void *grad_offset, void *grad_out) {
    return diffquant_quantizer_backward_scale_offset(q, apart_in, grad_out, N, apart_out, apart_scale, grad_offset);
}
static diffquant_status offset_grad_offset_grad_w(const diffquant_quantizer *q, void *grad_offset, void *grad_w) {
    return diffquant_quantizer_backward_scale_offset(q, apart_in, apart_in, N, grad_w, apart_scale, grad_offset);
}
static diffquant_status offset_grad_offset_grad_scale(const diffquant_quantizer *q, void *grad_offset,
                                                      void *grad_scale) {
    return diffquant_quantizer_backward_scale_offset(q, apart_in, apart_in, N, apart_out, grad_scale, grad_offset);
}
static diffquant_status dynamic_codes_w(const diffquant_quantizer *q, void *codes, void *w) {
    return diffquant_quantizer_forward_dynamic(q, w, N, codes, NULL, apart_scale, CHANNELS);
}
static diffquant_status dynamic_codes_values(const diffquant_quantizer *q, void *codes, void *values) {
    return diffquant_quantizer_forward_dynamic(q, apart_in, N, codes, values, apart_scale, CHANNELS);
}
static diffquant_status dynamic_values_w(const diffquant_quantizer *q, void *values, void *w) {
    return diffquant_quantizer_forward_dynamic(q, w, N, apart_codes, values, apart_scale, CHANNELS);
}
static diffquant_status dynamic_scales_w(const diffquant_quantizer *q, void *scales, void *w) {
    return diffquant_quantizer_forward_dynamic(q, w, N, apart_codes, apart_out, scales, CHANNELS);
}
static diffquant_status dynamic_scales_codes(const diffquant_quantizer *q, void *scales, void *codes) {
    return diffquant_quantizer_forward_dynamic(q, apart_in, N, codes, apart_out, scales, CHANNELS);
}
static diffquant_status dynamic_scales_values(const diffquant_quantizer *q, void *scales, void *values) {
    return diffquant_quantizer_forward_dynamic(q, apart_in, N, apart_codes, values, scales, CHANNELS);
}
static diffquant_status statistics_codes_w(const diffquant_quantizer *q, void *codes, void *w) {
    return diffquant_quantizer_forward_statistics(q, w, N, codes, NULL, apart_statistics, CHANNELS);
}
static diffquant_status statistics_codes_values(const diffquant_quantizer *q, void *codes, void *values) {
    return diffquant_quantizer_forward_statistics(q, apart_in, N, codes, values, apart_statistics, CHANNELS);
}
static diffquant_status statistics_values_w(const diffquant_quantizer *q, void *values, void *w) {
    return diffquant_quantizer_forward_statistics(q, w, N, apart_codes, values, apart_statistics, CHANNELS);
}
static diffquant_status statistics_statistics_w(const diffquant_quantizer *q, void *statistics, void *w) {
    return diffquant_quantizer_forward_statistics(q, w, N, apart_codes, apart_out, statistics, CHANNELS);
}
static diffquant_status statistics_statistics_codes(const diffquant_quantizer *q, void *statistics, void *codes) {
    return diffquant_quantizer_forward_statistics(q, apart_in, N, codes, apart_out, statistics, CHANNELS);
}
static diffquant_status statistics_statistics_values(const diffquant_quantizer *q, void *statistics, void *values) {
    return diffquant_quantizer_forward_statistics(q, apart_in, N, apart_codes, values, statistics, CHANNELS);
}
static diffquant_status dequantize_values_codes(const diffquant_quantizer *q, void *values, void *codes) {
    return diffquant_quantizer_dequantize(q, codes, N, values);
}

#define FLOATS (N * sizeof(float))
#define SCALES (CHANNELS * sizeof(float))
#define STATISTICS (CHANNELS * sizeof(diffquant_statistics))

static const struct pair pairs[] = {
    {"codes", "w", N, FLOATS, 1, false, forward_codes_w},
    {"codes", "w", N, FLOATS, 1, false, forward_codes_w_with_values},
    {"codes", "values", N, FLOATS, 1, false, forward_codes_values},
    {"values", "w", FLOATS, FLOATS, 4, true, forward_values_w},
    {"grad_w", "w", FLOATS, FLOATS, 4, false, backward_grad_w_w},
    {"grad_w", "values", FLOATS, FLOATS, 4, false, backward_grad_w_values},
    {"grad_w", "grad_out", FLOATS, FLOATS, 4, true, backward_grad_w_grad_out},
    {"grad_w", "w", FLOATS, FLOATS, 4, false, scale_grad_w_w},
    {"grad_w", "grad_out", FLOATS, FLOATS, 4, true, scale_grad_w_grad_out},
    {"grad_scale", "w", SCALES, FLOATS, 4, false, scale_grad_scale_w},
    {"grad_scale", "grad_out", SCALES, FLOATS, 4, false, scale_grad_scale_grad_out},
    {"grad_scale", "grad_w", SCALES, FLOATS, 4, false, scale_grad_scale_grad_w},
    {"grad_w", "w", FLOATS, FLOATS, 4, false, offset_grad_w_w},
    {"grad_w", "grad_out", FLOATS, FLOATS, 4, true, offset_grad_w_grad_out},
    {"grad_scale", "w", SCALES, FLOATS, 4, false, offset_grad_scale_w},
    {"grad_scale", "grad_out", SCALES, FLOATS, 4, false, offset_grad_scale_grad_out},
    {"grad_scale", "grad_w", SCALES, FLOATS, 4, false, offset_grad_scale_grad_w},
    {"grad_offset", "w", SCALES, FLOATS, 4, false, offset_grad_offset_w},
    {"grad_offset", "grad_out", SCALES, FLOATS, 4, false, offset_grad_offset_grad_out},
    {"grad_offset", "grad_w", SCALES, FLOATS, 4, false, offset_grad_offset_grad_w},
    {"grad_offset", "grad_scale", SCALES, SCALES, 4, false, offset_grad_offset_grad_scale},
    {"codes", "w", N, FLOATS, 1, false, dynamic_codes_w},
    {"codes", "values", N, FLOATS, 1, false, dynamic_codes_values},
    {"values", "w", FLOATS, FLOATS, 4, true, dynamic_values_w},
    {"scales", "w", SCALES, FLOATS, 4, false, dynamic_scales_w},
    {"scales", "codes", SCALES, N, 4, false, dynamic_scales_codes},
    {"scales", "values", SCALES, FLOATS, 4, false, dynamic_scales_values},
    {"codes", "w", N, FLOATS, 1, false, statistics_codes_w},
    {"codes", "values", N, FLOATS, 1, false, statistics_codes_values},
    {"values", "w", FLOATS, FLOATS, 4, true, statistics_values_w},
    {"statistics", "w", STATISTICS, FLOATS, 8, false, statistics_statistics_w},
    {"statistics", "codes", STATISTICS, N, 8, false, statistics_statistics_codes},
    {"statistics", "values", STATISTICS, FLOATS, 8, false, statistics_statistics_values},
    {"values", "codes", FLOATS, N, 4, false, dequantize_values_codes},
};

/* ---- Pairs of tensors -------------------------------------------------------------------------------------------- */

TEST(two_buffers_that_share_a_byte_are_refused_and_touch_nothing) {
    diffquant_quantizer *quantizer = make_quantizer();
    touch_not(apart_out, sizeof apart_out);
    touch_not(apart_codes, sizeof apart_codes);
    touch_not(apart_scale, sizeof apart_scale);
    touch_not(apart_offset, sizeof apart_offset);
    touch_not(apart_statistics, sizeof apart_statistics);
    for (size_t i = 0; i < COUNT(pairs); i++) {
        const struct pair *pair = &pairs[i];
        const ptrdiff_t step = (ptrdiff_t)pair->alignment;
        /* The second buffer stays in the middle; the first one slides over it, from sharing its own last element with
         * the other's first bytes to the opposite. */
        const ptrdiff_t from = step - (ptrdiff_t)pair->first_bytes, to = (ptrdiff_t)pair->second_bytes - step;
        for (ptrdiff_t at = from; at <= to; at += step) {
            if (at == 0 && pair->may_be_the_same) {
                continue;
            }
            check_context("pair %zu, %s and %s, %td bytes apart", i, pair->first, pair->second, at);
            CHECK_REFUSED(pair->call(quantizer, moved(at), moved(0)), DIFFQUANT_STATUS_OVERLAP, pair->first,
                          pair->second);
        }
        CHECK(arena_is_untouched());
        CHECK(still_untouched(apart_out, sizeof apart_out));
        CHECK(still_untouched(apart_codes, sizeof apart_codes));
        CHECK(still_untouched(apart_scale, sizeof apart_scale));
        CHECK(still_untouched(apart_offset, sizeof apart_offset));
        CHECK(still_untouched(apart_statistics, sizeof apart_statistics));
    }
    diffquant_quantizer_free(quantizer);
}

TEST(two_buffers_that_touch_without_sharing_a_byte_are_accepted) {
    diffquant_quantizer *quantizer = make_quantizer();
    for (size_t i = 0; i < COUNT(pairs); i++) {
        const struct pair *pair = &pairs[i];
        check_context("pair %zu, %s and %s", i, pair->first, pair->second);
        prepare_arena(); /* codes may have left a NaN */
        CHECK_OK(pair->call(quantizer, moved(-(ptrdiff_t)pair->first_bytes), moved(0)));
        prepare_arena();
        CHECK_OK(pair->call(quantizer, moved((ptrdiff_t)pair->second_bytes), moved(0)));
    }
    diffquant_quantizer_free(quantizer);
}

TEST(inputs_may_share_memory_with_each_other) {
    /* Nobody writes them. As a loss of sum(values^2) / 2 has it: the gradient by the values is the values. */
    float w[N], values[N], copy[N], expected[N], grad_w[N], expected_scale[CHANNELS], grad_scale[CHANNELS];
    fill_weights(w, N, 5, false);
    diffquant_quantizer *quantizer = make_quantizer();
    REQUIRE_OK(diffquant_quantizer_forward(quantizer, w, N, NULL, values));
    memcpy(copy, values, sizeof copy);
    REQUIRE_OK(diffquant_quantizer_backward(quantizer, w, values, copy, N, expected));
    CHECK_OK(diffquant_quantizer_backward(quantizer, w, values, values, N, grad_w));
    CHECK_FLOATS(grad_w, expected, N);
    memcpy(copy, w, sizeof copy);
    REQUIRE_OK(diffquant_quantizer_backward_scale(quantizer, w, copy, N, NULL, expected_scale));
    CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, w, N, NULL, grad_scale));
    CHECK_FLOATS(grad_scale, expected_scale, CHANNELS);
    diffquant_quantizer_free(quantizer);
}

/* ---- Exact in-place use ------------------------------------------------------------------------------------------ */

TEST(in_place_gives_the_same_bits_as_out_of_place) {
    enum { LONGEST = 100 };
    static const struct {
        diffquant_ste ste;
        float parameter;
    } estimators[] = {{DIFFQUANT_STE_STANDARD, 0.0f},          {DIFFQUANT_STE_CLIPPED, 1.5f},
                      {DIFFQUANT_STE_LEARNED_STEP_SIZE, 0.0f}, {DIFFQUANT_STE_EWGS, 0.5f},
                      {DIFFQUANT_STE_RANGE_CLIPPED, 0.0f},     {DIFFQUANT_STE_LSQ, 0.0f},
                      {DIFFQUANT_STE_LSQ_PLUS, 0.0f},          {DIFFQUANT_STE_EWGS_SIGNED, 0.5f}};
    float w[LONGEST], g[LONGEST], values[LONGEST], grad_w[LONGEST], in_place[LONGEST], grad_scale, in_place_scale;
    int8_t codes[LONGEST], in_place_codes[LONGEST];
    fill_weights(w, LONGEST, 31, true);
    fill_weights(g, LONGEST, 32, true);
    diffquant_quantizer *quantizer = uniform_quantizer(3, 0.3f);
    for (size_t n = 1; n <= LONGEST; n++) {
        check_context("n = %zu", n);
        REQUIRE_OK(diffquant_quantizer_forward(quantizer, w, n, codes, values));
        memcpy(in_place, w, sizeof w);
        CHECK_OK(diffquant_quantizer_forward(quantizer, in_place, n, in_place_codes, in_place));
        CHECK_FLOATS(in_place, values, n);
        CHECK_CODES(in_place_codes, codes, n);
        CHECK(memcmp(in_place + n, w + n, (LONGEST - n) * sizeof(float)) == 0);
        memcpy(in_place, w, sizeof w);
        CHECK_OK(diffquant_quantizer_forward(quantizer, in_place, n, NULL, in_place));
        CHECK_FLOATS(in_place, values, n);

        for (size_t i = 0; i < COUNT(estimators); i++) {
            check_context("n = %zu, ste %u", n, estimators[i].ste);
            REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, estimators[i].ste, estimators[i].parameter));
            REQUIRE_OK(diffquant_quantizer_backward_scale(quantizer, w, g, n, grad_w, &grad_scale));
            memcpy(in_place, g, sizeof g);
            CHECK_OK(diffquant_quantizer_backward(quantizer, w, NULL, in_place, n, in_place));
            CHECK_FLOATS(in_place, grad_w, n);
            memcpy(in_place, g, sizeof g);
            CHECK_OK(diffquant_quantizer_backward(quantizer, w, values, in_place, n, in_place));
            CHECK_FLOATS(in_place, grad_w, n);
            memcpy(in_place, g, sizeof g);
            CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, in_place, n, in_place, &in_place_scale));
            CHECK_FLOATS(in_place, grad_w, n);
            CHECK_FLOAT(in_place_scale, grad_scale);
            CHECK(memcmp(in_place + n, g + n, (LONGEST - n) * sizeof(float)) == 0);
        }
    }
    diffquant_quantizer_free(quantizer);
}

/* ---- Pairs of single outputs ------------------------------------------------------------------------------------- */

TEST(two_single_outputs_that_share_a_byte_are_refused_and_touch_nothing) {
    diffquant_config *config = default_config();
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    struct guarded out = guarded_new(32);
    void *first = out.data, *half_on = at_offset(out.data, sizeof(size_t) / 2);
    CHECK_REFUSED(diffquant_config_code_range(config, first, first), DIFFQUANT_STATUS_OVERLAP, "min", "max");
    CHECK_REFUSED(diffquant_config_ste(config, first, first), DIFFQUANT_STATUS_OVERLAP, "ste", "ste_param");
    CHECK_REFUSED(diffquant_quantizer_ste(quantizer, first, first), DIFFQUANT_STATUS_OVERLAP, "ste", "ste_param");
    CHECK_REFUSED(diffquant_config_granularity(config, first, first), DIFFQUANT_STATUS_OVERLAP, "granularity",
                  "block_size");
    CHECK_REFUSED(diffquant_quantizer_granularity(quantizer, first, first), DIFFQUANT_STATUS_OVERLAP, "granularity",
                  "block_size");
    CHECK_REFUSED(diffquant_quantizer_code_bounds(quantizer, first, first), DIFFQUANT_STATUS_OVERLAP, "smallest",
                  "largest");
    if (sizeof(size_t) > sizeof(uint32_t)) {
        CHECK_REFUSED(diffquant_quantizer_granularity(quantizer, half_on, first), DIFFQUANT_STATUS_OVERLAP,
                      "granularity", "block_size");
        CHECK_REFUSED(diffquant_config_granularity(config, half_on, first), DIFFQUANT_STATUS_OVERLAP, "granularity",
                      "block_size");
    }
    CHECK_UNTOUCHED(&out);
    guarded_free(&out);
    diffquant_quantizer_free(quantizer);
    diffquant_config_free(config);
}

TEST(two_single_outputs_may_lie_side_by_side) {
    diffquant_config *config = default_config();
    int32_t bounds[2];
    for (int first = 0; first < 2; first++) {
        check_context("the first at %d", first);
        CHECK_OK(diffquant_config_code_range(config, &bounds[first], &bounds[1 - first]));
        CHECK_INT(bounds[first], -8);
        CHECK_INT(bounds[1 - first], 7);
    }
    diffquant_config_free(config);
}

TEST(a_text_buffer_that_holds_its_own_length_is_refused) {
    union {
        char text[1024];
        size_t lengths[1024 / sizeof(size_t)];
    } memory;
    diffquant_config *config = default_config();
    const size_t places[] = {0, 1, COUNT(memory.lengths) - 1};
    touch_not(&memory, sizeof memory);
    for (size_t i = 0; i < COUNT(places); i++) {
        check_context("len at %zu", places[i]);
        CHECK_REFUSED(diffquant_config_to_json(config, memory.text, sizeof memory.text, &memory.lengths[places[i]]),
                      DIFFQUANT_STATUS_OVERLAP, "buf", "len");
        CHECK(still_untouched(&memory, sizeof memory));
    }
    /* Side by side they are fine. */
    CHECK_OK(diffquant_config_to_json(config, memory.text + sizeof(size_t), sizeof memory - sizeof(size_t),
                                      &memory.lengths[0]));
    CHECK_UINT(memory.lengths[0], strlen(memory.text + sizeof(size_t)));
    diffquant_config_free(config);
}
