/* Every granularity through every tensor function, against the formulas element by element: symmetric, narrow, unsigned
 * and asymmetric, with offsets, both roundings, all estimators. Outputs lie between guards. */

#include "granular.h"

#include <float.h>

struct setting {
    const char *name;
    uint32_t bits;
    diffquant_code_range range;
    diffquant_rounding rounding;
    bool asymmetric, offsets;
};

static const struct setting settings[] = {
    {"plain", 4, DIFFQUANT_CODE_RANGE_FULL, DIFFQUANT_ROUNDING_HALF_AWAY, false, false},
    {"narrow, half to even", 3, DIFFQUANT_CODE_RANGE_NARROW, DIFFQUANT_ROUNDING_HALF_EVEN, false, false},
    {"unsigned", 5, DIFFQUANT_CODE_RANGE_UNSIGNED, DIFFQUANT_ROUNDING_HALF_AWAY, false, false},
    {"asymmetric", 4, DIFFQUANT_CODE_RANGE_FULL, DIFFQUANT_ROUNDING_HALF_EVEN, true, false},
    {"offsets", 2, DIFFQUANT_CODE_RANGE_FULL, DIFFQUANT_ROUNDING_HALF_AWAY, false, true},
    {"asymmetric, narrow, offsets", 8, DIFFQUANT_CODE_RANGE_NARROW, DIFFQUANT_ROUNDING_HALF_AWAY, true, true},
};

static diffquant_quantizer *make_quantizer(const struct granular_case *one, const struct setting *setting) {
    int32_t zero_points[MOST_SCALES];
    float offsets[MOST_SCALES];
    diffquant_quantizer *quantizer = granular_quantizer(one, setting->bits);
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, setting->rounding));
    REQUIRE_OK(diffquant_quantizer_set_code_range(quantizer, setting->range));
    const struct quantizer_state state = state_of(quantizer);
    for (size_t i = 0; i < one->scales; i++) {
        const int32_t codes = state.largest - state.smallest + 1;
        zero_points[i] = state.smallest + (int32_t)(i * 7 % (size_t)codes);
        offsets[i] = i % 5 == 0 ? 0.0f : 0.3f * (float)(i % 11) - 1.4f;
    }
    if (setting->asymmetric) {
        REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
        REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, zero_points, one->scales));
    }
    if (setting->offsets) {
        REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, offsets, one->scales));
    }
    return quantizer;
}

/* The tensors of a case: weights and gradients, and what is expected of them. */
struct tensors {
    size_t n;
    float w[MOST_ELEMENTS], g[MOST_ELEMENTS], values[MOST_ELEMENTS];
    int8_t codes[MOST_ELEMENTS];
    size_t scale_of[MOST_ELEMENTS];
    struct grid grids[MOST_SCALES];
};

static void prepare(struct tensors *tensors, const struct granular_case *one, const diffquant_quantizer *quantizer) {
    const struct quantizer_state state = state_of(quantizer);
    tensors->n = granular_elements(one);
    REQUIRE(tensors->n <= MOST_ELEMENTS);
    fill_weights(tensors->w, tensors->n, 901, true);
    fill_weights(tensors->g, tensors->n, 902, false);
    for (size_t scale = 0; scale < state.scale_count; scale++) {
        tensors->grids[scale] = grid_of(&state, scale);
    }
    for (size_t i = 0; i < tensors->n; i++) {
        tensors->scale_of[i] = granular_scale_of(one, i);
        const struct grid *grid = &tensors->grids[tensors->scale_of[i]];
        tensors->codes[i] = grid_code(grid, tensors->w[i]);
        tensors->values[i] = grid_value(grid, tensors->codes[i]);
    }
}

/* Calls `check` for every granularity with every setting. */
static void for_each(void (*check)(diffquant_quantizer *quantizer, const struct tensors *tensors)) {
    static struct tensors tensors;
    for (size_t i = 0; i < granular_case_count * COUNT(settings); i++) {
        const struct granular_case *one = &granular_cases[i / COUNT(settings)];
        const struct setting *setting = &settings[i % COUNT(settings)];
        diffquant_quantizer *quantizer = make_quantizer(one, setting);
        prepare(&tensors, one, quantizer);
        check_context("%s, %s", one->name, setting->name);
        check(quantizer, &tensors);
        diffquant_quantizer_free(quantizer);
    }
}

/* ---- Forward and dequantize -------------------------------------------------------------------------------------- */

static void check_forward(diffquant_quantizer *quantizer, const struct tensors *tensors) {
    const size_t n = tensors->n;
    struct guarded codes = guarded_new(n), values = guarded_new(n * sizeof(float)),
                   alone = guarded_new(n * sizeof(float));
    CHECK_OK(diffquant_quantizer_forward(quantizer, tensors->w, n, codes.data, values.data));
    CHECK_CODES((int8_t *)codes.data, tensors->codes, n);
    CHECK_FLOATS((float *)values.data, tensors->values, n);
    CHECK_OK(diffquant_quantizer_forward(quantizer, tensors->w, n, NULL, alone.data));
    CHECK_FLOATS((float *)alone.data, tensors->values, n);
    touch_not(codes.data, n);
    CHECK_OK(diffquant_quantizer_forward(quantizer, tensors->w, n, codes.data, NULL));
    CHECK_CODES((int8_t *)codes.data, tensors->codes, n);
    memcpy(alone.data, tensors->w, n * sizeof(float));
    CHECK_OK(diffquant_quantizer_forward(quantizer, alone.data, n, NULL, alone.data));
    CHECK_FLOATS((float *)alone.data, tensors->values, n);
    touch_not(values.data, n * sizeof(float));
    CHECK_OK(diffquant_quantizer_dequantize(quantizer, tensors->codes, n, values.data));
    CHECK_FLOATS((float *)values.data, tensors->values, n);
    CHECK_GUARDS(&codes);
    CHECK_GUARDS(&values);
    CHECK_GUARDS(&alone);
    guarded_free(&codes);
    guarded_free(&values);
    guarded_free(&alone);
}

TEST(forward_and_dequantize_follow_the_formula_for_every_granularity) {
    for_each(check_forward);
}

/* ---- Backward ---------------------------------------------------------------------------------------------------- */

static const struct {
    diffquant_ste ste;
    float parameter;
} seed_estimators[] =
    {
        {DIFFQUANT_STE_STANDARD, 0.0f},
        {DIFFQUANT_STE_CLIPPED, 1.5f},
        {DIFFQUANT_STE_LEARNED_STEP_SIZE, 0.0f},
        {DIFFQUANT_STE_EWGS, 0.3f},
    },
  published_estimators[] = {
      {DIFFQUANT_STE_RANGE_CLIPPED, 0.0f},
      {DIFFQUANT_STE_LSQ, 0.0f},
      {DIFFQUANT_STE_LSQ_PLUS, 0.0f},
      {DIFFQUANT_STE_EWGS_SIGNED, 0.4f},
  };

/* Sums of a scale's terms, and of their magnitudes, in double precision. */
struct sums {
    double scale, scale_magnitudes, offset, offset_magnitudes;
    size_t count;
};

/* The gradients of scales, and of offsets where they are given, to a millionth of the sum of magnitudes; or to what
 * floats below the normal ones can tell apart. */
static void check_sums(const struct sums *sums, size_t scales, double levels, const float *grad_scale,
                       const float *grad_offset) {
    for (size_t scale = 0; scale < scales; scale++) {
        const double root = sqrt((double)sums[scale].count * levels);
        CHECK_NEAR((double)grad_scale[scale], sums[scale].scale / root,
                   1e-6 * sums[scale].scale_magnitudes / root + FLT_MIN);
        if (grad_offset != NULL) {
            CHECK_NEAR((double)grad_offset[scale], sums[scale].offset, 1e-6 * sums[scale].offset_magnitudes + FLT_MIN);
        }
    }
}

static void check_seed_backward(diffquant_quantizer *quantizer, const struct tensors *tensors) {
    const size_t n = tensors->n;
    const struct quantizer_state state = state_of(quantizer);
    static struct sums sums[MOST_SCALES];
    memset(sums, 0, sizeof sums);
    for (size_t i = 0; i < n; i++) {
        const double term =
            (double)tensors->g[i] * (tensors->codes[i] - tensors->grids[tensors->scale_of[i]].zero_point);
        sums[tensors->scale_of[i]].scale += term;
        sums[tensors->scale_of[i]].scale_magnitudes += fabs(term);
        sums[tensors->scale_of[i]].count++;
    }
    struct guarded grad_w = guarded_new(n * sizeof(float)), grad_scale = guarded_new(state.scale_count * sizeof(float));
    for (size_t j = 0; j < COUNT(seed_estimators); j++) {
        float expected[MOST_ELEMENTS];
        for (size_t i = 0; i < n; i++) {
            expected[i] = weight_gradient_of(seed_estimators[j].ste, seed_estimators[j].parameter, tensors->w[i],
                                             tensors->values[i], tensors->g[i]);
        }
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, seed_estimators[j].ste, seed_estimators[j].parameter));
        CHECK_OK(diffquant_quantizer_backward(quantizer, tensors->w, NULL, tensors->g, n, grad_w.data));
        CHECK_FLOATS((float *)grad_w.data, expected, n);
        touch_not(grad_w.data, n * sizeof(float));
        CHECK_OK(diffquant_quantizer_backward(quantizer, tensors->w, tensors->values, tensors->g, n, grad_w.data));
        CHECK_FLOATS((float *)grad_w.data, expected, n);
        touch_not(grad_w.data, n * sizeof(float));
        CHECK_OK(
            diffquant_quantizer_backward_scale(quantizer, tensors->w, tensors->g, n, grad_w.data, grad_scale.data));
        CHECK_FLOATS((float *)grad_w.data, expected, n);
        check_sums(sums, state.scale_count, state.levels, grad_scale.data, NULL);
    }
    CHECK_GUARDS(&grad_w);
    CHECK_GUARDS(&grad_scale);
    guarded_free(&grad_w);
    guarded_free(&grad_scale);
}

TEST(the_reference_gradients_follow_their_formulas_for_every_granularity) {
    for_each(check_seed_backward);
}

static void check_published_backward(diffquant_quantizer *quantizer, const struct tensors *tensors) {
    const size_t n = tensors->n;
    const struct quantizer_state state = state_of(quantizer);
    const size_t scales_size = state.scale_count * sizeof(float);
    static struct sums sums[MOST_SCALES];
    struct guarded grad_w = guarded_new(n * sizeof(float)), grad_scale = guarded_new(scales_size),
                   grad_offset = guarded_new(scales_size), again = guarded_new(scales_size);
    for (size_t j = 0; j < COUNT(published_estimators); j++) {
        const diffquant_ste ste = published_estimators[j].ste;
        const float parameter = published_estimators[j].parameter;
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, ste, parameter));
        CHECK_OK(diffquant_quantizer_backward_scale_offset(quantizer, tensors->w, tensors->g, n, grad_w.data,
                                                           grad_scale.data, grad_offset.data));
        memset(sums, 0, sizeof sums);
        size_t far = 0;
        for (size_t i = 0; i < n; i++) {
            const struct gradient_terms terms =
                grid_gradients(&tensors->grids[tensors->scale_of[i]], ste, parameter, tensors->w[i], tensors->g[i]);
            struct sums *sum = &sums[tensors->scale_of[i]];
            sum->scale += terms.scale;
            sum->scale_magnitudes += fabs(terms.scale);
            sum->offset += terms.offset;
            sum->offset_magnitudes += fabs(terms.offset);
            sum->count++;
            const double off = fabs((double)((float *)grad_w.data)[i] - terms.weight);
            far += off <= (ste == DIFFQUANT_STE_EWGS_SIGNED ? 1e-6 * fabs(terms.weight) : 0.0) ? 0 : 1;
        }
        CHECK_UINT(far, 0);
        check_sums(sums, state.scale_count, state.largest, grad_scale.data, grad_offset.data);

        /* The other ways to the same gradients give the same bits. */
        float *expected = malloc(n * sizeof *expected);
        REQUIRE(expected != NULL);
        memcpy(expected, grad_w.data, n * sizeof *expected);
        touch_not(grad_w.data, n * sizeof(float));
        CHECK_OK(diffquant_quantizer_backward(quantizer, tensors->w, NULL, tensors->g, n, grad_w.data));
        CHECK_FLOATS((float *)grad_w.data, expected, n);
        touch_not(grad_w.data, n * sizeof(float));
        CHECK_OK(diffquant_quantizer_backward(quantizer, tensors->w, tensors->values, tensors->g, n, grad_w.data));
        CHECK_FLOATS((float *)grad_w.data, expected, n);
        memcpy(grad_w.data, tensors->g, n * sizeof(float));
        CHECK_OK(diffquant_quantizer_backward_scale(quantizer, tensors->w, grad_w.data, n, grad_w.data, again.data));
        CHECK_FLOATS((float *)grad_w.data, expected, n);
        CHECK_FLOATS((float *)again.data, (float *)grad_scale.data, state.scale_count);
        CHECK_OK(diffquant_quantizer_backward_scale(quantizer, tensors->w, tensors->g, n, NULL, again.data));
        CHECK_FLOATS((float *)again.data, (float *)grad_scale.data, state.scale_count);
        free(expected);
    }
    CHECK_GUARDS(&grad_w);
    CHECK_GUARDS(&grad_scale);
    CHECK_GUARDS(&grad_offset);
    CHECK_GUARDS(&again);
    guarded_free(&grad_w);
    guarded_free(&grad_scale);
    guarded_free(&grad_offset);
    guarded_free(&again);
}

TEST(the_published_gradients_follow_their_formulas_for_every_granularity) {
    for_each(check_published_backward);
}

/* ---- Calibration ------------------------------------------------------------------------------------------------- */

static void check_calibration(diffquant_quantizer *quantizer, const struct tensors *tensors) {
    const size_t n = tensors->n;
    const struct quantizer_state before = state_of(quantizer);
    static float w[MOST_ELEMENTS], largest[MOST_SCALES];
    memset(largest, 0, sizeof largest);
    fill_weights(w, n, 903, false);
    for (size_t i = 0; i < n; i++) {
        const size_t scale = tensors->scale_of[i];
        w[i] *= scale % 7 == 3 ? 0.0f : 1.0f + (float)(scale % 4);
        largest[scale] = fmaxf(largest[scale], fabsf(w[i]));
    }
    CHECK_OK(diffquant_quantizer_init_scale(quantizer, w, n));
    const struct quantizer_state state = state_of(quantizer);
    const int32_t home = state.code_range == DIFFQUANT_CODE_RANGE_UNSIGNED ? state.smallest : 0;
    for (size_t scale = 0; scale < state.scale_count; scale++) {
        const float levels = (float)(state.largest - home) + 0.5f;
        CHECK_FLOAT(state.scales[scale], largest[scale] == 0.0f ? 1.0f : largest[scale] / levels);
        CHECK_INT(state.zero_points[scale], home);
        CHECK_FLOAT(state.offsets[scale], 0.0f);
    }
    CHECK_UINT(state.symmetric, before.symmetric);
    /* One weight that is not finite is named, wherever it is, and nothing changes. */
    for (size_t at = 0; at < n; at += 1 + n / 5) {
        const float kept = w[at];
        w[at] = at % 2 == 0 ? NAN : -INFINITY;
        CHECK_REFUSED(diffquant_quantizer_init_scale(quantizer, w, n), DIFFQUANT_STATUS_NON_FINITE, "w",
                      decimal(at).text);
        CHECK_STATE(quantizer, &state);
        w[at] = kept;
    }
}

TEST(calibration_follows_the_formula_for_every_granularity) {
    for_each(check_calibration);
}

/* ---- Lengths ----------------------------------------------------------------------------------------------------- */

static void check_lengths(diffquant_quantizer *q, const struct tensors *tensors) {
    const size_t n = tensors->n, lengths[] = {1, n - 1, n + 1, 2 * n};
    const struct quantizer_state before = state_of(q);
    static float w[2 * MOST_ELEMENTS], g[2 * MOST_ELEMENTS];
    static int8_t codes[2 * MOST_ELEMENTS];
    struct guarded out = guarded_new(2 * n * sizeof(float)), scales = guarded_new(2 * n * sizeof(float)),
                   offsets = guarded_new(2 * n * sizeof(float)), out_codes = guarded_new(2 * n);
    REQUIRE_OK(diffquant_quantizer_set_ste(q, DIFFQUANT_STE_LSQ, 0.0f));
    for (size_t i = 0; i < COUNT(lengths); i++) {
        const size_t m = lengths[i];
        if (m == n || m == 0) {
            continue;
        }
        const char *const says = decimal(m).text;
        CHECK_REFUSED(diffquant_quantizer_forward(q, w, m, out_codes.data, out.data), DIFFQUANT_STATUS_LENGTH_MISMATCH,
                      "n", says);
        CHECK_REFUSED(diffquant_quantizer_backward(q, w, w, g, m, out.data), DIFFQUANT_STATUS_LENGTH_MISMATCH, "n",
                      says);
        CHECK_REFUSED(diffquant_quantizer_backward_scale(q, w, g, m, out.data, scales.data),
                      DIFFQUANT_STATUS_LENGTH_MISMATCH, "n", says);
        CHECK_REFUSED(diffquant_quantizer_backward_scale_offset(q, w, g, m, out.data, scales.data, offsets.data),
                      DIFFQUANT_STATUS_LENGTH_MISMATCH, "n", says);
        CHECK_REFUSED(diffquant_quantizer_dequantize(q, codes, m, out.data), DIFFQUANT_STATUS_LENGTH_MISMATCH, "n",
                      says);
        CHECK_REFUSED(diffquant_quantizer_init_scale(q, w, m), DIFFQUANT_STATUS_LENGTH_MISMATCH, "n", says);
        CHECK_REFUSED(diffquant_quantizer_init_scale_with(q, DIFFQUANT_SCALE_INIT_MSE, 0.0f, w, m),
                      DIFFQUANT_STATUS_LENGTH_MISMATCH, "n", says);
    }
    REQUIRE_OK(diffquant_quantizer_set_ste(q, before.ste, before.ste_param));
    CHECK_STATE(q, &before);
    CHECK_UNTOUCHED(&out);
    CHECK_UNTOUCHED(&scales);
    CHECK_UNTOUCHED(&offsets);
    CHECK_UNTOUCHED(&out_codes);
    guarded_free(&out);
    guarded_free(&scales);
    guarded_free(&offsets);
    guarded_free(&out_codes);
}

TEST(a_length_that_is_not_that_of_the_shape_is_refused_for_every_granularity) {
    for_each(check_lengths);
}
