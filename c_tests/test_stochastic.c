/* Stochastic rounding: the draws and the formula of the header in plain C, how often a code comes up, and gradients that
 * see the codes of forward. */

#include "granular.h"

/* ---- The formula of the header ------------------------------------------------------------------------------------ */

/* One of the four numbers of Philox4x32-10 for a counter. */
static uint32_t philox_of(uint64_t seed, uint64_t counter, size_t which) {
    uint32_t number[4] = {(uint32_t)(counter >> 32), (uint32_t)counter, 0, 0};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)number[0] * 0xD2511F53u, c = (uint64_t)number[2] * 0xCD9E8D57u;
        const uint32_t next[4] = {(uint32_t)(c >> 32) ^ number[1] ^ key[0], (uint32_t)c,
                                  (uint32_t)(a >> 32) ^ number[3] ^ key[1], (uint32_t)a};
        memcpy(number, next, sizeof number);
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
    return number[which];
}

static float draw_of(uint64_t seed, uint64_t i, uint32_t bits) {
    static const size_t words[4] = {1, 0, 3, 2};
    const uint32_t plain = philox_of(seed, i / 64 * 8 + i % 16 / 2, words[i % 32 / 16 * 2 + i % 2]);
    const uint32_t number = i % 64 < 32 ? plain : plain << 16 | plain >> 16;
    const int32_t is_signed = number < 0x80000000u ? (int32_t)number : -(int32_t)(UINT32_MAX - number) - 1;
    return (float)is_signed * (float)(ldexp(1.0, -32) - ldexp(1.0, (int)bits - 55));
}

/* The level that v rounds to, before it is clamped. */
static float rounded(float v, float draw) {
    return rintf(v + draw);
}

static int8_t stochastic_code(const struct grid *grid, float w, float draw) {
    const float v = (w - grid->offset) / grid->step;
    const float smallest = (float)(grid->smallest - grid->zero_point), largest = (float)(grid->largest - grid->zero_point);
    const float level = isnan(v) ? 0.0f : fminf(fmaxf(rounded(v, draw), smallest), largest);
    return (int8_t)((int32_t)level + grid->zero_point);
}

TEST(the_generator_of_this_file_is_the_published_one) {
    /* The vector of those that come with Random123 that seed and index reach. */
    static const uint32_t zeros[4] = {0x6627E8D5u, 0xE169C58Du, 0xBC57AC4Cu, 0x9B00DBD8u};
    for (size_t i = 0; i < 4; i++) {
        CHECK_UINT(philox_of(0, 0, i), zeros[i]);
    }
}

static const uint64_t seeds[] = {0, 1, 0x123456789ABCDEFu, UINT64_MAX};

TEST(codes_are_those_of_the_formula_in_every_granularity_range_and_place) {
    static float w[MOST_ELEMENTS], values[MOST_ELEMENTS], expected_values[MOST_ELEMENTS];
    static int8_t codes[MOST_ELEMENTS], expected[MOST_ELEMENTS];
    for (size_t i = 0; i < granular_case_count * COUNT(seeds); i++) {
        const struct granular_case *one = &granular_cases[i / COUNT(seeds)];
        const uint64_t seed = seeds[i % COUNT(seeds)], first = i % 3 == 0 ? 0 : i * 0x1000003u;
        const size_t n = granular_elements(one);
        diffquant_quantizer *quantizer = granular_quantizer(one, 2 + (uint32_t)(i % 7));
        REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_STOCHASTIC));
        REQUIRE_OK(diffquant_quantizer_set_seed(quantizer, seed, first));
        if (i % 2 == 1) {
            int32_t zero_points[MOST_SCALES];
            float offsets[MOST_SCALES];
            for (size_t scale = 0; scale < one->scales; scale++) {
                zero_points[scale] = (int32_t)(scale % 3) - 1;
                offsets[scale] = (float)scale * 0.01f - 0.3f;
            }
            REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
            REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, zero_points, one->scales));
            REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, offsets, one->scales));
        }
        fill_weights(w, n, (uint32_t)i, true);
        const struct quantizer_state state = state_of(quantizer);
        for (size_t at = 0; at < n; at++) {
            const struct grid grid = grid_of(&state, granular_scale_of(one, at));
            expected[at] = stochastic_code(&grid, w[at], draw_of(seed, first + at, state.bits));
            expected_values[at] = grid_value(&grid, expected[at]);
        }
        check_context("%s, seed %zu, first element %zu", one->name, (size_t)seed, (size_t)first);
        CHECK_OK(diffquant_quantizer_forward(quantizer, w, n, codes, values));
        CHECK_CODES(codes, expected, n);
        CHECK_FLOATS(values, expected_values, n);
        diffquant_quantizer_free(quantizer);
    }
}

/* ---- Chance -------------------------------------------------------------------------------------------------------- */

enum { DRAWS = 1 << 20 };
static float many[DRAWS], many_values[DRAWS];

TEST(the_mean_over_draws_is_the_weight) {
    static const float fractions[] = {0.0f, 0x1p-10f, 0.1f, 0.25f, 0.5f, 0.7f, 0.999f};
    for (size_t i = 0; i < COUNT(fractions) * 2; i++) {
        const float fraction = fractions[i / 2], weight = (i % 2 == 0 ? 5.0f : -77.0f) + fraction;
        const uint64_t seed = seeds[i % COUNT(seeds)];
        diffquant_quantizer *quantizer = uniform_quantizer(8, 1.0f);
        REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_STOCHASTIC));
        REQUIRE_OK(diffquant_quantizer_set_seed(quantizer, seed, 0));
        for (size_t at = 0; at < DRAWS; at++) {
            many[at] = weight;
        }
        REQUIRE_OK(diffquant_quantizer_forward(quantizer, many, DRAWS, NULL, many_values));
        double sum = 0.0, outside = 0.0;
        for (size_t at = 0; at < DRAWS; at++) {
            const double error = (double)many_values[at] - (double)weight;
            sum += error;
            outside += fabs(error) < 1.0 ? 0.0 : 1.0;
        }
        const double p = (double)weight - floor((double)weight), standard_error = sqrt(p * (1.0 - p) / DRAWS);
        check_context("weight %g, seed %zu: mean error %g, standard error %g", (double)weight, (size_t)seed,
                      sum / DRAWS, standard_error);
        CHECK(fabs(sum / DRAWS) <= 5.0 * standard_error);
        CHECK(outside == 0.0);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(what_is_on_the_grid_or_beyond_it_does_not_depend_on_chance) {
    enum { N = 1 << 16 };
    static const float weights[] = {0.0f, -0.0f, 1.0f, -3.0f, 126.0f, 127.0f, 127.75f, 1e30f, INFINITY, -128.0f, -INFINITY, -1e9f, NAN};
    static const float expected[] = {0.0f, 0.0f, 1.0f, -3.0f, 126.0f, 127.0f, 127.0f, 127.0f, 127.0f, -128.0f, -128.0f, -128.0f, 0.0f};
    diffquant_quantizer *quantizer = uniform_quantizer(8, 1.0f);
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_STOCHASTIC));
    for (size_t i = 0; i < COUNT(weights); i++) {
        check_context("%g", (double)weights[i]);
        for (size_t at = 0; at < N; at++) {
            many[at] = weights[i];
        }
        CHECK_OK(diffquant_quantizer_forward(quantizer, many, N, NULL, many_values));
        size_t wrong = 0;
        for (size_t at = 0; at < N; at++) {
            wrong += many_values[at] != expected[i] || signbit(many_values[at]) != signbit(expected[i]);
        }
        CHECK_UINT(wrong, 0);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(seeds_and_elements_draw_independently) {
    /* Of two sequences of coins, half should agree. */
    enum { N = 1 << 16 };
    static int8_t first[N], second[N];
    for (size_t at = 0; at < N; at++) {
        many[at] = 0.5f;
    }
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_STOCHASTIC));
    CHECK_OK(diffquant_quantizer_forward(quantizer, many, N, first, NULL));
    static const uint64_t others[][2] = {{1, 0}, {2, 0}, {1ull << 32, 0}, {UINT64_MAX, 0}, {0, 1}, {0, 4}, {0, 32}, {0, 64}, {0, 1u << 20}};
    for (size_t i = 0; i < COUNT(others); i++) {
        REQUIRE_OK(diffquant_quantizer_set_seed(quantizer, others[i][0], others[i][1]));
        CHECK_OK(diffquant_quantizer_forward(quantizer, many, N, second, NULL));
        size_t agree = 0, ones = 0;
        for (size_t at = 0; at < N; at++) {
            agree += first[at] == second[at];
            ones += second[at] == 1;
        }
        check_context("pair %zu: %zu agree, %zu ones", i, agree, ones);
        CHECK_NEAR((double)agree, N / 2.0, 5.0 * 128.0); /* the standard deviation is sqrt(N) / 2 */
        CHECK_NEAR((double)ones, N / 2.0, 5.0 * 128.0);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(a_tensor_split_over_calls_has_the_codes_of_one_call) {
    enum { N = 1000 };
    static const uint64_t begins[] = {0, 5, (1ull << 35) - 500};
    static float w[N];
    int8_t whole[N], split[N];
    fill_weights(w, N, 3, true);
    diffquant_quantizer *quantizer = uniform_quantizer(6, 0.1f);
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_STOCHASTIC));
    for (size_t i = 0; i < COUNT(begins); i++) {
        REQUIRE_OK(diffquant_quantizer_set_seed(quantizer, 9, begins[i]));
        CHECK_OK(diffquant_quantizer_forward(quantizer, w, N, whole, NULL));
        for (size_t part = 1; part < N; part = part * 2 + 1) {
            touch_not(split, sizeof split);
            for (size_t at = 0; at < N; at += part) {
                diffquant_quantizer *shard = NULL;
                REQUIRE_OK(diffquant_quantizer_clone(quantizer, &shard));
                REQUIRE_OK(diffquant_quantizer_set_seed(shard, 9, begins[i] + at));
                CHECK_OK(diffquant_quantizer_forward(shard, w + at, N - at < part ? N - at : part, split + at, NULL));
                diffquant_quantizer_free(shard);
            }
            check_context("parts of %zu from %zu", part, (size_t)begins[i]);
            CHECK_CODES(split, whole, N);
        }
    }
    diffquant_quantizer_free(quantizer);
}

TEST(neither_threads_nor_the_instruction_set_change_a_code) {
    enum { N = (5 << 20) + 7 };
    float *w = malloc(N * sizeof *w);
    int8_t *expected = malloc(N), *codes = malloc(N);
    REQUIRE(w != NULL && expected != NULL && codes != NULL);
    fill_weights(w, N, 8, true);
    diffquant_quantizer *quantizer = uniform_quantizer(5, 0.3f);
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_STOCHASTIC));
    REQUIRE_OK(diffquant_quantizer_set_seed(quantizer, 77, 3));
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, N, expected, NULL));
    for (size_t threads = 1; threads <= 3; threads++) {
        REQUIRE_OK(diffquant_quantizer_set_threads(quantizer, threads));
        for (diffquant_isa isa = DIFFQUANT_ISA_BASELINE; isa <= DIFFQUANT_ISA_NEON; isa++) {
            if (diffquant_set_isa(isa) != DIFFQUANT_STATUS_OK) {
                continue; /* not of this machine */
            }
            CHECK_OK(diffquant_quantizer_forward(quantizer, w, N, codes, NULL));
            check_context("%zu threads, %s", threads, diffquant_isa_name());
            CHECK(memcmp(codes, expected, N) == 0);
        }
    }
    REQUIRE_OK(diffquant_set_isa(DIFFQUANT_ISA_FASTEST));
    diffquant_quantizer_free(quantizer);
    free(w);
    free(expected);
    free(codes);
}

TEST(a_dynamic_forward_draws_like_a_calibrated_one) {
    enum { N = 100 };
    float w[N], values[N], expected[N], scale;
    fill_weights(w, N, 4, false);
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_STOCHASTIC));
    REQUIRE_OK(diffquant_quantizer_set_seed(quantizer, 6, 2));
    CHECK_OK(diffquant_quantizer_forward_dynamic(quantizer, w, N, NULL, values, &scale, 1));
    REQUIRE_OK(diffquant_quantizer_set_scale(quantizer, 0, scale));
    CHECK_OK(diffquant_quantizer_forward(quantizer, w, N, NULL, expected));
    CHECK_FLOATS(values, expected, N);
    diffquant_quantizer_free(quantizer);
}

TEST(calibration_takes_it_for_half_even) {
    enum { N = 500 };
    float w[N];
    fill_weights(w, N, 12, false);
    for (diffquant_scale_init method = DIFFQUANT_SCALE_INIT_MAX_ABS; method <= DIFFQUANT_SCALE_INIT_MSE; method++) {
        diffquant_quantizer *even = uniform_quantizer(3, 1.0f), *stochastic = uniform_quantizer(3, 1.0f);
        REQUIRE_OK(diffquant_quantizer_set_rounding(even, DIFFQUANT_ROUNDING_HALF_EVEN));
        REQUIRE_OK(diffquant_quantizer_set_rounding(stochastic, DIFFQUANT_ROUNDING_STOCHASTIC));
        CHECK_OK(diffquant_quantizer_init_scale_with(even, method, 99.0f, w, N));
        CHECK_OK(diffquant_quantizer_init_scale_with(stochastic, method, 99.0f, w, N));
        check_context("method %u", method);
        CHECK_FLOAT(state_of(stochastic).scales[0], state_of(even).scales[0]);
        diffquant_quantizer_free(even);
        diffquant_quantizer_free(stochastic);
    }
}

/* ---- Gradients ----------------------------------------------------------------------------------------------------- */

enum { WEIGHTS = 300, CHANNELS = 3 };
static const float channel_scales[CHANNELS] = {0.5f, 0.3f, 1.7f};

TEST(the_reference_s_gradients_are_those_of_the_codes_that_forward_gave) {
    static const struct {
        diffquant_ste ste;
        float parameter;
    } estimators[] = {{DIFFQUANT_STE_STANDARD, 0.0f},
                      {DIFFQUANT_STE_CLIPPED, 1.5f},
                      {DIFFQUANT_STE_LEARNED_STEP_SIZE, 0.0f},
                      {DIFFQUANT_STE_EWGS, 0.5f}};
    float w[WEIGHTS], g[WEIGHTS], values[WEIGHTS], grad_w[WEIGHTS], again[WEIGHTS], grad_scale[CHANNELS];
    int8_t codes[WEIGHTS];
    fill_weights(w, WEIGHTS, 1, false);
    fill_weights(g, WEIGHTS, 2, false);
    diffquant_quantizer *quantizer = channel_quantizer(3, channel_scales, CHANNELS);
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_STOCHASTIC));
    for (size_t i = 0; i < COUNT(estimators) * COUNT(seeds); i++) {
        const diffquant_ste ste = estimators[i % COUNT(estimators)].ste;
        const float parameter = estimators[i % COUNT(estimators)].parameter;
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, ste, parameter));
        REQUIRE_OK(diffquant_quantizer_set_seed(quantizer, seeds[i / COUNT(estimators)], i));
        CHECK_OK(diffquant_quantizer_forward(quantizer, w, WEIGHTS, codes, values));
        float expected[WEIGHTS];
        double sums[CHANNELS] = {0.0}, magnitudes[CHANNELS] = {0.0};
        for (size_t at = 0; at < WEIGHTS; at++) {
            expected[at] = weight_gradient_of(ste, parameter, w[at], values[at], g[at]);
            sums[at / 100] += (double)g[at] * codes[at];
            magnitudes[at / 100] += fabs((double)g[at] * codes[at]);
        }
        check_context("ste %u, pair %zu", ste, i);
        CHECK_OK(diffquant_quantizer_backward(quantizer, w, values, g, WEIGHTS, grad_w));
        CHECK_FLOATS(grad_w, expected, WEIGHTS);
        CHECK_OK(diffquant_quantizer_backward(quantizer, w, NULL, g, WEIGHTS, again));
        CHECK_FLOATS(again, expected, WEIGHTS);
        CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, WEIGHTS, again, grad_scale));
        CHECK_FLOATS(again, expected, WEIGHTS);
        for (size_t c = 0; c < CHANNELS; c++) {
            const double factor = 1.0 / sqrt(100.0 * 8.0);
            CHECK_NEAR((double)grad_scale[c], sums[c] * factor, 1e-6 * magnitudes[c] * factor);
        }
    }
    diffquant_quantizer_free(quantizer);
}

TEST(the_published_gradients_see_what_the_draws_made_of_each_weight) {
    static const diffquant_ste estimators[] = {DIFFQUANT_STE_RANGE_CLIPPED, DIFFQUANT_STE_LSQ, DIFFQUANT_STE_LSQ_PLUS,
                                               DIFFQUANT_STE_EWGS_SIGNED};
    const float delta = 0.4f;
    float w[WEIGHTS], g[WEIGHTS], grad_w[WEIGHTS], alone[WEIGHTS], grad_scale[CHANNELS], grad_offset[CHANNELS], scale_only[CHANNELS];
    fill_weights(w, WEIGHTS, 1, true);
    fill_weights(g, WEIGHTS, 2, false);
    diffquant_quantizer *quantizer = channel_quantizer(3, channel_scales, CHANNELS);
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_STOCHASTIC));
    for (size_t i = 0; i < COUNT(estimators) * COUNT(seeds); i++) {
        const diffquant_ste ste = estimators[i % COUNT(estimators)];
        const uint64_t seed = seeds[i / COUNT(estimators)];
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, ste, ste == DIFFQUANT_STE_EWGS_SIGNED ? delta : 0.0f));
        REQUIRE_OK(diffquant_quantizer_set_seed(quantizer, seed, i));
        CHECK_OK(diffquant_quantizer_backward_scale_offset(quantizer, w, g, WEIGHTS, grad_w, grad_scale, grad_offset));
        CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, WEIGHTS, NULL, scale_only));
        CHECK_OK(diffquant_quantizer_backward(quantizer, w, NULL, g, WEIGHTS, alone));
        check_context("ste %u, pair %zu", ste, i);
        CHECK_FLOATS(alone, grad_w, WEIGHTS);
        CHECK_FLOATS(scale_only, grad_scale, CHANNELS);
        double scales[CHANNELS] = {0.0}, offsets[CHANNELS] = {0.0}, magnitudes[CHANNELS] = {0.0};
        for (size_t at = 0; at < WEIGHTS; at++) {
            const float v = w[at] / channel_scales[at / 100], r = rounded(v, draw_of(seed, i + at, 3));
            const bool inside = ste == DIFFQUANT_STE_RANGE_CLIPPED ? r >= -4.0f && r <= 3.0f : v > -4.0f && v < 3.0f;
            const double residual = inside ? (double)v - (double)r : 0.0, gradient = (double)g[at];
            const double sign = gradient < 0.0 ? -1.0 : 1.0;
            const double passed = ste == DIFFQUANT_STE_EWGS_SIGNED ? gradient * (1.0 + (double)delta * sign * residual) : gradient;
            const double slope = isnan(v) ? 0.0 : inside ? -residual : v < 0.0f ? -4.0 : 3.0;
            CHECK_NEAR((double)grad_w[at], inside ? passed : 0.0, 1e-6 * fabs(gradient));
            scales[at / 100] += gradient * slope;
            offsets[at / 100] += inside ? 0.0 : gradient;
            magnitudes[at / 100] += 4.0 * fabs(gradient);
        }
        for (size_t c = 0; c < CHANNELS; c++) {
            const double factor = 1.0 / sqrt(100.0 * 3.0);
            CHECK_NEAR((double)grad_scale[c], scales[c] * factor, 1e-6 * magnitudes[c]);
            CHECK_NEAR((double)grad_offset[c], offsets[c], 1e-6 * magnitudes[c]);
        }
    }
    diffquant_quantizer_free(quantizer);
}
