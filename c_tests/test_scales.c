/* The scales of a quantizer: how many, their values, their steps. */

#include "support.h"

#include <float.h>

static const float three[] = {0.5f, 0.25f, 2.0f};

/* ---- How many ---------------------------------------------------------------------------------------------------- */

TEST(channels_start_with_scale_1_and_replace_what_was_there) {
    static const size_t counts[] = {1, 2, 3, 300, 1};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.375f);
    for (size_t i = 0; i < COUNT(counts); i++) {
        check_context("%zu channels", counts[i]);
        CHECK_OK(diffquant_quantizer_init_per_channel(quantizer, counts[i]));
        const struct quantizer_state state = state_of(quantizer);
        CHECK_UINT(state.scale_count, counts[i]);
        for (size_t group = 0; group < counts[i]; group++) {
            CHECK_FLOAT(state.scales[group], 1.0f);
            CHECK_FLOAT(state.steps[group], 1.0f);
        }
        REQUIRE_OK(diffquant_quantizer_set_scale(quantizer, counts[i] - 1, 0.375f));
    }
    diffquant_quantizer_free(quantizer);
}

TEST(a_channel_count_that_cannot_be_leaves_the_scales_as_they_were) {
    diffquant_quantizer *quantizer = channel_quantizer(4, three, 3);
    const struct quantizer_state before = state_of(quantizer);
    CHECK_REFUSED(diffquant_quantizer_init_per_channel(quantizer, 0), DIFFQUANT_STATUS_INVALID_ARGUMENT, "channels",
                  "0");
    CHECK_STATE(quantizer, &before);
    /* No memory for so many, by arithmetic or by asking. */
    static const size_t many[] = {SIZE_MAX, SIZE_MAX / 4 + 1, SIZE_MAX / 8, SIZE_MAX / 16};
    for (size_t i = 0; i < COUNT(many); i++) {
        check_context("%zu channels", many[i]);
        CHECK_REFUSED(diffquant_quantizer_init_per_channel(quantizer, many[i]), DIFFQUANT_STATUS_OUT_OF_MEMORY,
                      "memory");
        CHECK_STATE(quantizer, &before);
    }
    diffquant_quantizer_free(quantizer);
}

/* ---- All at once ------------------------------------------------------------------------------------------------- */

TEST(scales_are_given_back_in_channel_order_and_nothing_beside_them) {
    diffquant_quantizer *quantizer = channel_quantizer(4, three, 3);
    struct guarded out = guarded_new(3 * sizeof(float));
    size_t count = 99;
    CHECK_OK(diffquant_quantizer_scale_count(quantizer, &count));
    CHECK_UINT(count, 3);
    CHECK_OK(diffquant_quantizer_scales(quantizer, out.data, 3));
    CHECK_FLOATS((float *)out.data, three, 3);
    CHECK_GUARDS(&out);
    guarded_free(&out);
    diffquant_quantizer_free(quantizer);
}

TEST(another_number_of_scales_is_refused_both_ways) {
    static const size_t counts[] = {0, 1, 2, 4, 300};
    static const float many[300] = {1.0f};
    diffquant_quantizer *quantizer = channel_quantizer(4, three, 3);
    const struct quantizer_state before = state_of(quantizer);
    struct guarded out = guarded_new(300 * sizeof(float));
    for (size_t i = 0; i < COUNT(counts); i++) {
        check_context("%zu scales", counts[i]);
        CHECK_REFUSED(diffquant_quantizer_scales(quantizer, out.data, counts[i]), DIFFQUANT_STATUS_LENGTH_MISMATCH,
                      "out", decimal(counts[i]).text, "3");
        CHECK_UNTOUCHED(&out);
        CHECK_REFUSED(diffquant_quantizer_set_scales(quantizer, many, counts[i]), DIFFQUANT_STATUS_LENGTH_MISMATCH,
                      "scales", decimal(counts[i]).text, "3");
        CHECK_STATE(quantizer, &before);
    }
    guarded_free(&out);
    diffquant_quantizer_free(quantizer);
}

/* What no scale may be. */
static const struct {
    float scale;
    const char *text;
} bad_scales[] = {{0.0f, "0"},        {-0.0f, "-0"},
                  {-1.0f, "-1"},      {-FLT_TRUE_MIN, "-0.000000000000000000000000000000000000000000001"},
                  {NAN, "NaN"},       {INFINITY, "inf"},
                  {-INFINITY, "-inf"}};

TEST(one_bad_scale_among_good_ones_changes_none_wherever_it_is) {
    diffquant_quantizer *quantizer = channel_quantizer(4, three, 3);
    const struct quantizer_state before = state_of(quantizer);
    for (size_t i = 0; i < COUNT(bad_scales); i++) {
        for (size_t at = 0; at < 3; at++) {
            float scales[] = {5.0f, 6.0f, 7.0f};
            scales[at] = bad_scales[i].scale;
            check_context("%s at %zu", bad_scales[i].text, at);
            CHECK_REFUSED(diffquant_quantizer_set_scales(quantizer, scales, 3), DIFFQUANT_STATUS_INVALID_ARGUMENT,
                          "scales", bad_scales[i].text);
            CHECK_STATE(quantizer, &before);
        }
    }
    diffquant_quantizer_free(quantizer);
}

TEST(every_positive_finite_float_is_a_scale_and_a_uniform_step) {
    static const float scales[] = {FLT_TRUE_MIN, FLT_MIN, 1e-20f, 1.0f, 0x1.fffffep-1f, FLT_MAX};
    diffquant_quantizer *quantizer = uniform_quantizer(2, 1.0f);
    REQUIRE_OK(diffquant_quantizer_init_per_channel(quantizer, COUNT(scales)));
    CHECK_OK(diffquant_quantizer_set_scales(quantizer, scales, COUNT(scales)));
    const struct quantizer_state state = state_of(quantizer);
    CHECK_FLOATS(state.scales, scales, COUNT(scales));
    CHECK_FLOATS(state.steps, scales, COUNT(scales));
    diffquant_quantizer_free(quantizer);
}

/* ---- One at a time ----------------------------------------------------------------------------------------------- */

TEST(a_single_scale_changes_its_group_and_no_other) {
    for (size_t group = 0; group < 3; group++) {
        diffquant_quantizer *quantizer = channel_quantizer(4, three, 3);
        struct quantizer_state expected = state_of(quantizer);
        check_context("group %zu", group);
        CHECK_OK(diffquant_quantizer_set_scale(quantizer, group, 0.75f));
        expected.scales[group] = expected.steps[group] = 0.75f;
        CHECK_STATE(quantizer, &expected);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(a_bad_scale_or_group_changes_nothing) {
    static const size_t bad_groups[] = {3, 4, 0x100000000u, SIZE_MAX};
    diffquant_quantizer *quantizer = channel_quantizer(4, three, 3);
    const struct quantizer_state before = state_of(quantizer);
    for (size_t i = 0; i < COUNT(bad_scales); i++) {
        check_context("scale %s", bad_scales[i].text);
        CHECK_REFUSED(diffquant_quantizer_set_scale(quantizer, 1, bad_scales[i].scale),
                      DIFFQUANT_STATUS_INVALID_ARGUMENT, "scale", bad_scales[i].text);
        CHECK_STATE(quantizer, &before);
    }
    for (size_t i = 0; i < COUNT(bad_groups); i++) {
        float step = 99.0f;
        check_context("group %zu", bad_groups[i]);
        CHECK_REFUSED(diffquant_quantizer_set_scale(quantizer, bad_groups[i], 1.0f),
                      DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE, "group", decimal(bad_groups[i]).text, "3");
        CHECK_STATE(quantizer, &before);
        CHECK_REFUSED(diffquant_quantizer_step_size(quantizer, bad_groups[i], &step),
                      DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE, "group", decimal(bad_groups[i]).text, "3");
        CHECK_FLOAT(step, 99.0f);
    }
    diffquant_quantizer_free(quantizer);
}

/* ---- Pi: the scale is alpha -------------------------------------------------------------------------------------- */

TEST(the_step_of_a_pi_quantizer_is_alpha_times_pi_divided_by_k) {
    static const struct {
        uint32_t k;
        float alpha, step;
    } cases[] = {
        {2, 1.5f, 0x1.2d97c8p+1f}, {3, 1.5f, 0x1.921fb6p+0f},    {4, 1.5f, 0x1.2d97c8p+0f},
        {5, 1.5f, 0x1.e28c74p-1f}, {3, 0.3125f, 0x1.4f1a6ep-2f}, {5, 0.4375f, 0x1.197c9ap-2f},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        diffquant_quantizer *quantizer = NULL;
        float step = 99.0f, alpha = 99.0f;
        check_context("k %u, alpha %g", cases[i].k, (double)cases[i].alpha);
        REQUIRE_OK(diffquant_quantizer_new_pi(3, cases[i].k, &quantizer));
        CHECK_OK(diffquant_quantizer_set_scale(quantizer, 0, cases[i].alpha));
        CHECK_OK(diffquant_quantizer_step_size(quantizer, 0, &step));
        CHECK_FLOAT(step, cases[i].step);
        CHECK_OK(diffquant_quantizer_scales(quantizer, &alpha, 1));
        CHECK_FLOAT(alpha, cases[i].alpha);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(an_alpha_whose_step_overflows_is_refused) {
    diffquant_quantizer *quantizer = NULL;
    REQUIRE_OK(diffquant_quantizer_new_pi(3, 5, &quantizer));
    REQUIRE_OK(diffquant_quantizer_init_per_channel(quantizer, 2));
    const struct quantizer_state before = state_of(quantizer);
    static const float alphas[] = {1.0f, FLT_MAX};
    CHECK_REFUSED(diffquant_quantizer_set_scale(quantizer, 1, FLT_MAX), DIFFQUANT_STATUS_INVALID_ARGUMENT, "scale",
                  "step");
    CHECK_STATE(quantizer, &before);
    CHECK_REFUSED(diffquant_quantizer_set_scales(quantizer, alphas, 2), DIFFQUANT_STATUS_INVALID_ARGUMENT, "scales",
                  "step");
    CHECK_STATE(quantizer, &before);
    /* The smallest of all is a scale; its step is rounded, not lost. */
    CHECK_OK(diffquant_quantizer_set_scale(quantizer, 0, FLT_TRUE_MIN));
    CHECK_FLOAT(state_of(quantizer).steps[0], FLT_TRUE_MIN);
    diffquant_quantizer_free(quantizer);
}

/* ---- An alpha for a range ---------------------------------------------------------------------------------------- */

TEST(the_codes_of_a_pi_quantizer_span_the_range_that_its_alpha_was_made_for) {
    static const struct {
        float range;
        uint32_t bits, k;
        float alpha;
    } cases[] = {
        /* ((range / (2^bits - 1)) * k) / PI, each operation rounded. */
        {3.0f, 2, 4, 0x1.45f306p+0f},  {7.0f, 3, 2, 0x1.45f306p-1f},  {1.0f, 3, 4, 0x1.748376p-3f},
        {15.0f, 4, 3, 0x1.e8ec8ap-1f}, {62.0f, 5, 5, 0x1.976fc8p+1f},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        float alpha = 99.0f;
        check_context("range %g, %u bits, k %u", (double)cases[i].range, cases[i].bits, cases[i].k);
        CHECK_OK(diffquant_pi_scale_from_range(cases[i].range, cases[i].bits, cases[i].k, &alpha));
        CHECK_FLOAT(alpha, cases[i].alpha);
    }
}

TEST(no_alpha_is_made_for_a_bad_range_width_or_divisor) {
    static const struct {
        float range;
        uint32_t bits, k;
        const char *words[2];
    } cases[] = {
        {0.0f, 3, 4, {"range", "0"}},
        {-1.0f, 3, 4, {"range", "-1"}},
        {NAN, 3, 4, {"range", "NaN"}},
        {INFINITY, 3, 4, {"range", "inf"}},
        {-INFINITY, 3, 4, {"range", "-inf"}},
        {FLT_MAX, 2, 5, {"range", "alpha"}},
        {FLT_TRUE_MIN, 5, 2, {"range", "alpha"}},
        {1.0f, 0, 4, {"bits", "0"}},
        {1.0f, 1, 4, {"bits", "1"}},
        {1.0f, 6, 4, {"bits", "6"}},
        {1.0f, 8, 4, {"bits", "8"}},
        {1.0f, 300, 4, {"bits", "300"}},
        {1.0f, 3, 0, {"k", "0"}},
        {1.0f, 3, 1, {"k", "1"}},
        {1.0f, 3, 6, {"k", "6"}},
        {1.0f, 3, 300, {"k", "300"}},
        {1.0f, UINT32_MAX, 4, {"bits", "4294967295"}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        float alpha = 99.0f;
        check_context("range %g, %u bits, k %u", (double)cases[i].range, cases[i].bits, cases[i].k);
        CHECK_REFUSED(diffquant_pi_scale_from_range(cases[i].range, cases[i].bits, cases[i].k, &alpha),
                      DIFFQUANT_STATUS_INVALID_ARGUMENT, cases[i].words[0], cases[i].words[1]);
        CHECK_FLOAT(alpha, 99.0f);
    }
}
