/* What forward does with NaNs and infinities under each policy. */

#include "support.h"

enum { N = 70 };

static const struct {
    float bad;
    const char *text;
} bad[] = {{NAN, "NaN"}, {INFINITY, "inf"}, {-INFINITY, "-inf"}};

/* A quantizer with another zero point than 0, so that the code of a NaN can be told from 0. */
static diffquant_quantizer *asymmetric_quantizer(diffquant_non_finite policy) {
    static const int32_t zero_point = 2;
    static const float offset = 0.25f;
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, &zero_point, 1));
    REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, &offset, 1));
    REQUIRE_OK(diffquant_quantizer_set_non_finite(quantizer, policy));
    return quantizer;
}

TEST(a_nan_gets_the_zero_point_and_propagates_only_when_asked) {
    /* qmin -8, qmax 7: values (code - 2) / 2 + 0.25. */
    static const float w[] = {NAN, INFINITY, -INFINITY, 1.25f};
    static const int8_t expected_codes[] = {2, 7, -8, 4};
    static const float zero[] = {0.25f, 2.75f, -4.75f, 1.25f}, propagated[] = {NAN, 2.75f, -4.75f, 1.25f};
    for (diffquant_rounding rounding = 0; rounding <= DIFFQUANT_ROUNDING_STOCHASTIC; rounding++) {
        for (diffquant_non_finite policy = 0; policy <= DIFFQUANT_NON_FINITE_PROPAGATE; policy++) {
            const float *expected = policy == DIFFQUANT_NON_FINITE_ZERO ? zero : propagated;
            int8_t codes[4];
            float values[4], in_place[4];
            diffquant_statistics statistics;
            diffquant_quantizer *quantizer = asymmetric_quantizer(policy);
            REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, rounding));
            check_context("rounding %u, policy %u", rounding, policy);
            CHECK_OK(diffquant_quantizer_forward(quantizer, w, 4, codes, values));
            CHECK_CODES(codes, expected_codes, 4);
            CHECK_FLOATS(values, expected, 4);
            memcpy(in_place, w, sizeof w);
            CHECK_OK(diffquant_quantizer_forward(quantizer, in_place, 4, NULL, in_place));
            CHECK_FLOATS(in_place, expected, 4);
            memcpy(in_place, w, sizeof w);
            touch_not(codes, sizeof codes);
            CHECK_OK(diffquant_quantizer_forward_statistics(quantizer, in_place, 4, codes, in_place, &statistics, 1));
            CHECK_CODES(codes, expected_codes, 4);
            CHECK_FLOATS(in_place, expected, 4);
            diffquant_quantizer_free(quantizer);
        }
    }
}

TEST(a_nan_propagates_in_every_place_and_nothing_else_changes) {
    float w[N], values[N], expected[N];
    int8_t codes[N], expected_codes[N];
    diffquant_quantizer *quantizer = asymmetric_quantizer(DIFFQUANT_NON_FINITE_PROPAGATE);
    for (size_t at = 0; at < N; at++) {
        fill_weights(w, N, 3, false);
        w[at] = NAN;
        REQUIRE_OK(diffquant_quantizer_set_non_finite(quantizer, DIFFQUANT_NON_FINITE_ZERO));
        CHECK_OK(diffquant_quantizer_forward(quantizer, w, N, expected_codes, expected));
        expected[at] = NAN;
        REQUIRE_OK(diffquant_quantizer_set_non_finite(quantizer, DIFFQUANT_NON_FINITE_PROPAGATE));
        CHECK_OK(diffquant_quantizer_forward(quantizer, w, N, codes, values));
        check_context("NaN at %zu", at);
        CHECK_CODES(codes, expected_codes, N);
        CHECK_FLOATS(values, expected, N);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(rejected_weights_are_named_and_nothing_is_written) {
    float w[N];
    struct guarded codes = guarded_new(N), values = guarded_new(N * sizeof(float)),
                   statistics = guarded_new(sizeof(diffquant_statistics));
    diffquant_quantizer *quantizer = asymmetric_quantizer(DIFFQUANT_NON_FINITE_REJECT);
    const struct quantizer_state before = state_of(quantizer);
    for (size_t i = 0; i < COUNT(bad) * N; i++) {
        const size_t at = i % N;
        fill_weights(w, N, 3, false);
        /* The first one is named. */
        w[at] = bad[i / N].bad;
        w[N - 1] = at == N - 1 ? w[N - 1] : NAN;
        check_context("%s at %zu", bad[i / N].text, at);
        CHECK_REFUSED(diffquant_quantizer_forward(quantizer, w, N, codes.data, values.data),
                      DIFFQUANT_STATUS_NON_FINITE, "w", decimal(at).text, bad[i / N].text);
        CHECK_REFUSED(diffquant_quantizer_forward_statistics(quantizer, w, N, codes.data, values.data,
                                                             statistics.data, 1),
                      DIFFQUANT_STATUS_NON_FINITE, "w", decimal(at).text, bad[i / N].text);
        float in_place[N];
        memcpy(in_place, w, sizeof w);
        CHECK_REFUSED(diffquant_quantizer_forward(quantizer, in_place, N, NULL, in_place),
                      DIFFQUANT_STATUS_NON_FINITE, "w", decimal(at).text);
        CHECK(memcmp(in_place, w, sizeof w) == 0);
    }
    CHECK_UNTOUCHED(&codes);
    CHECK_UNTOUCHED(&values);
    CHECK_UNTOUCHED(&statistics);
    CHECK_STATE(quantizer, &before);
    guarded_free(&codes);
    guarded_free(&values);
    guarded_free(&statistics);
    diffquant_quantizer_free(quantizer);
}

TEST(finite_weights_are_quantized_alike_under_every_policy) {
    float w[N], values[3][N];
    int8_t codes[3][N];
    fill_weights(w, N, 4, false);
    w[3] = 3e38f;
    w[4] = -1e-45f;
    for (diffquant_non_finite policy = 0; policy <= DIFFQUANT_NON_FINITE_REJECT; policy++) {
        diffquant_quantizer *quantizer = asymmetric_quantizer(policy);
        CHECK_OK(diffquant_quantizer_forward(quantizer, w, N, codes[policy], values[policy]));
        check_context("policy %u", policy);
        CHECK_CODES(codes[policy], codes[0], N);
        CHECK_FLOATS(values[policy], values[0], N);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(gradients_are_the_same_under_every_policy) {
    float w[N], g[N], grad_w[3][N], grad_scale[3];
    fill_weights(w, N, 5, true);
    fill_weights(g, N, 6, false);
    for (diffquant_non_finite policy = 0; policy <= DIFFQUANT_NON_FINITE_REJECT; policy++) {
        diffquant_quantizer *quantizer = asymmetric_quantizer(policy);
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_LSQ, 0.0f));
        CHECK_OK(diffquant_quantizer_backward_scale(quantizer, w, g, N, grad_w[policy], &grad_scale[policy]));
        check_context("policy %u", policy);
        CHECK_FLOATS(grad_w[policy], grad_w[0], N);
        CHECK_FLOAT(grad_scale[policy], grad_scale[0]);
        diffquant_quantizer_free(quantizer);
    }
}
