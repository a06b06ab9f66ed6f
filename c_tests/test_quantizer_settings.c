/* What can be set on a quantizer beside its scales, and what can be asked. */

#include "support.h"

TEST(the_estimator_can_be_changed_and_asked) {
    static const struct {
        diffquant_ste ste;
        float given, kept;
    } cases[] = {
        {DIFFQUANT_STE_CLIPPED, 0.5f, 0.5f},       {DIFFQUANT_STE_EWGS, 0.0f, 0.0f},
        {DIFFQUANT_STE_EWGS, 0.125f, 0.125f},      {DIFFQUANT_STE_LEARNED_STEP_SIZE, 3.0f, 0.0f},
        {DIFFQUANT_STE_CLIPPED, 1e-30f, 1e-30f},   {DIFFQUANT_STE_STANDARD, NAN, 0.0f},
        {DIFFQUANT_STE_RANGE_CLIPPED, 3.0f, 0.0f}, {DIFFQUANT_STE_LSQ, -1.0f, 0.0f},
        {DIFFQUANT_STE_LSQ_PLUS, NAN, 0.0f},       {DIFFQUANT_STE_EWGS_SIGNED, 0.25f, 0.25f},
        {DIFFQUANT_STE_EWGS_SIGNED, 0.0f, 0.0f},
    };
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    for (size_t i = 0; i < COUNT(cases); i++) {
        diffquant_ste ste = 99;
        float parameter = 99.0f;
        check_context("ste %u, %g", cases[i].ste, (double)cases[i].given);
        CHECK_OK(diffquant_quantizer_set_ste(quantizer, cases[i].ste, cases[i].given));
        CHECK_OK(diffquant_quantizer_ste(quantizer, &ste, &parameter));
        CHECK_UINT(ste, cases[i].ste);
        CHECK_FLOAT(parameter, cases[i].kept);
        ste = 99;
        CHECK_OK(diffquant_quantizer_ste(quantizer, &ste, NULL));
        CHECK_UINT(ste, cases[i].ste);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(an_estimator_that_is_refused_leaves_the_old_one) {
    static const struct {
        uint32_t ste;
        float parameter;
        diffquant_status status;
        const char *words[2];
    } cases[] = {
        {8, 1.0f, DIFFQUANT_STATUS_UNKNOWN_CONSTANT, {"ste", "8"}},
        {259, 1.0f, DIFFQUANT_STATUS_UNKNOWN_CONSTANT, {"ste", "259"}},
        {UINT32_MAX, 1.0f, DIFFQUANT_STATUS_UNKNOWN_CONSTANT, {"ste", "4294967295"}},
        {DIFFQUANT_STE_CLIPPED, 0.0f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"clip_val", "0"}},
        {DIFFQUANT_STE_CLIPPED, -0.5f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"clip_val", "-0.5"}},
        {DIFFQUANT_STE_CLIPPED, NAN, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"clip_val", "NaN"}},
        {DIFFQUANT_STE_CLIPPED, INFINITY, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"clip_val", "inf"}},
        {DIFFQUANT_STE_EWGS, -1.0f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"lambda", "-1"}},
        {DIFFQUANT_STE_EWGS, NAN, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"lambda", "NaN"}},
        {DIFFQUANT_STE_EWGS, INFINITY, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"lambda", "inf"}},
        {DIFFQUANT_STE_EWGS_SIGNED, -1.0f, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"delta", "-1"}},
        {DIFFQUANT_STE_EWGS_SIGNED, NAN, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"delta", "NaN"}},
        {DIFFQUANT_STE_EWGS_SIGNED, INFINITY, DIFFQUANT_STATUS_INVALID_ARGUMENT, {"delta", "inf"}},
    };
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_EWGS, 0.75f));
    const struct quantizer_state before = state_of(quantizer);
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_context("ste %u, %g", cases[i].ste, (double)cases[i].parameter);
        CHECK_REFUSED(diffquant_quantizer_set_ste(quantizer, cases[i].ste, cases[i].parameter), cases[i].status,
                      cases[i].words[0], cases[i].words[1]);
        CHECK_STATE(quantizer, &before);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(the_rounding_can_be_changed_and_asked) {
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    static const diffquant_rounding order[] = {DIFFQUANT_ROUNDING_HALF_EVEN, DIFFQUANT_ROUNDING_HALF_EVEN,
                                               DIFFQUANT_ROUNDING_STOCHASTIC, DIFFQUANT_ROUNDING_HALF_AWAY};
    for (size_t i = 0; i < COUNT(order); i++) {
        diffquant_rounding rounding = 99;
        CHECK_OK(diffquant_quantizer_set_rounding(quantizer, order[i]));
        CHECK_OK(diffquant_quantizer_rounding(quantizer, &rounding));
        CHECK_UINT(rounding, order[i]);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(a_rounding_that_is_refused_leaves_the_old_one) {
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    for (diffquant_rounding kept = DIFFQUANT_ROUNDING_HALF_AWAY; kept <= DIFFQUANT_ROUNDING_STOCHASTIC; kept++) {
        REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, kept));
        const struct quantizer_state before = state_of(quantizer);
        CHECK_REFUSED(diffquant_quantizer_set_rounding(quantizer, 3), DIFFQUANT_STATUS_UNKNOWN_CONSTANT, "rounding",
                      "3");
        CHECK_STATE(quantizer, &before);
        CHECK_REFUSED(diffquant_quantizer_set_rounding(quantizer, 257), DIFFQUANT_STATUS_UNKNOWN_CONSTANT, "rounding",
                      "257");
        CHECK_STATE(quantizer, &before);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(the_seed_can_be_changed_and_asked) {
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    static const uint64_t numbers[][2] = {{0, 0}, {1, 0}, {0, 1}, {UINT64_MAX, UINT64_MAX}, {0, 0}};
    for (size_t i = 0; i < COUNT(numbers); i++) {
        uint64_t seed = 99, first_element = 99;
        /* The first pair is what a new quantizer has. */
        if (i > 0) {
            CHECK_OK(diffquant_quantizer_set_seed(quantizer, numbers[i][0], numbers[i][1]));
        }
        CHECK_OK(diffquant_quantizer_seed(quantizer, &seed, &first_element));
        CHECK_UINT(seed, numbers[i][0]);
        CHECK_UINT(first_element, numbers[i][1]);
        seed = 99;
        CHECK_OK(diffquant_quantizer_seed(quantizer, &seed, NULL));
        CHECK_UINT(seed, numbers[i][0]);
    }
    uint64_t both = 99;
    CHECK_REFUSED(diffquant_quantizer_seed(quantizer, &both, &both), DIFFQUANT_STATUS_OVERLAP, "seed",
                  "first_element");
    CHECK_UINT(both, 99);
    diffquant_quantizer_free(quantizer);
}

TEST(the_policy_can_be_changed_and_asked_and_one_that_is_refused_leaves_the_old_one) {
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    diffquant_non_finite policy = 99;
    CHECK_OK(diffquant_quantizer_non_finite(quantizer, &policy));
    CHECK_UINT(policy, DIFFQUANT_NON_FINITE_ZERO);
    for (diffquant_non_finite kept = DIFFQUANT_NON_FINITE_ZERO; kept <= DIFFQUANT_NON_FINITE_REJECT; kept++) {
        CHECK_OK(diffquant_quantizer_set_non_finite(quantizer, kept));
        CHECK_REFUSED(diffquant_quantizer_set_non_finite(quantizer, 3), DIFFQUANT_STATUS_UNKNOWN_CONSTANT, "policy",
                      "3");
        CHECK_REFUSED(diffquant_quantizer_set_non_finite(quantizer, 256), DIFFQUANT_STATUS_UNKNOWN_CONSTANT, "policy",
                      "256");
        CHECK_OK(diffquant_quantizer_non_finite(quantizer, &policy));
        CHECK_UINT(policy, kept);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(only_a_pi_quantizer_has_a_divisor) {
    diffquant_quantizer *quantizer = uniform_quantizer(4, 0.5f);
    uint32_t k = 99;
    CHECK_REFUSED(diffquant_quantizer_k(quantizer, &k), DIFFQUANT_STATUS_NOT_APPLICABLE, "k", "uniform");
    CHECK_UINT(k, 99);
    diffquant_quantizer_free(quantizer);
    REQUIRE_OK(diffquant_quantizer_new_pi(2, 5, &quantizer));
    CHECK_OK(diffquant_quantizer_k(quantizer, &k));
    CHECK_UINT(k, 5);
    diffquant_quantizer_free(quantizer);
}

TEST(asking_for_bits_and_levels_gives_what_the_quantizer_was_made_with) {
    diffquant_quantizer *quantizer = uniform_quantizer(8, 0.5f);
    uint32_t bits = 99, levels = 99;
    CHECK_OK(diffquant_quantizer_bits(quantizer, &bits));
    CHECK_UINT(bits, 8);
    CHECK_OK(diffquant_quantizer_num_levels(quantizer, &levels));
    CHECK_UINT(levels, 256);
    diffquant_quantizer_free(quantizer);
}
