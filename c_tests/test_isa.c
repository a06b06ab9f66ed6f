/* Instruction sets: one can be chosen, and the bits do not depend on which. */

#include "support.h"

static const struct {
    diffquant_isa isa;
    const char *name;
} sets[] = {
    {DIFFQUANT_ISA_BASELINE, "baseline"},
    {DIFFQUANT_ISA_AVX2, "avx2"},
    {DIFFQUANT_ISA_AVX512, "avx512"},
    {DIFFQUANT_ISA_NEON, "neon"},
};

/* The one in use now: what a test that changes it puts back, for the tests after it. */
static diffquant_isa current(void) {
    for (size_t i = 0; i < COUNT(sets); i++) {
        if (strcmp(diffquant_isa_name(), sets[i].name) == 0) {
            return sets[i].isa;
        }
    }
    CHECK_TEXT(diffquant_isa_name(), "a known name");
    return DIFFQUANT_ISA_FASTEST;
}

TEST(the_environment_chooses_the_instruction_set_if_this_machine_has_it) {
    const diffquant_isa before = current();
    const char *asked = getenv("DIFFQUANT_ISA");
    const char *chosen = diffquant_isa_name();
    const char *expected = NULL;
    for (size_t i = 0; asked != NULL && i < COUNT(sets); i++) {
        if (strcmp(asked, sets[i].name) == 0 && diffquant_set_isa(sets[i].isa) == DIFFQUANT_STATUS_OK) {
            expected = diffquant_isa_name();
        }
    }
    if (expected == NULL) {
        CHECK_OK(diffquant_set_isa(DIFFQUANT_ISA_FASTEST));
        expected = diffquant_isa_name();
    }
    CHECK_TEXT(chosen, expected);
    REQUIRE_OK(diffquant_set_isa(before));
}

TEST(an_instruction_set_is_used_if_this_machine_has_it_and_refused_if_not) {
    const diffquant_isa before = current();
    size_t available = 0;
    for (size_t i = 0; i < COUNT(sets); i++) {
        REQUIRE_OK(diffquant_set_isa(DIFFQUANT_ISA_FASTEST));
        const char *fastest = diffquant_isa_name();
        check_context("%s", sets[i].name);
        check_before_call();
        const diffquant_status status = diffquant_set_isa(sets[i].isa);
        if (status == DIFFQUANT_STATUS_OK) {
            CHECK_TEXT(diffquant_isa_name(), sets[i].name);
            available++;
        } else {
            CHECK_REFUSED(diffquant_set_isa(sets[i].isa), DIFFQUANT_STATUS_UNSUPPORTED, "isa", "this machine");
            CHECK_TEXT(diffquant_isa_name(), fastest);
        }
    }
    /* The baseline is always there, and no machine has the sets of two architectures. */
    CHECK(available >= 1 && available < COUNT(sets));
    CHECK_OK(diffquant_set_isa(DIFFQUANT_ISA_BASELINE));
    REQUIRE_OK(diffquant_set_isa(before));
}

TEST(an_unknown_instruction_set_is_refused_and_leaves_the_old_one) {
    static const uint32_t unknown[] = {5, 300, 257, UINT32_MAX};
    const char *before = diffquant_isa_name();
    for (size_t i = 0; i < COUNT(unknown); i++) {
        CHECK_REFUSED(diffquant_set_isa(unknown[i]), DIFFQUANT_STATUS_UNKNOWN_CONSTANT, "isa",
                      decimal(unknown[i]).text);
        CHECK_TEXT(diffquant_isa_name(), before);
    }
}

TEST(every_instruction_set_gives_the_same_bits) {
    enum { LONGEST = 1100 }; /* more than a tile of the sums */
    static float w[LONGEST], g[LONGEST], values[2][LONGEST], grad_w[2][LONGEST], grad_scale[2];
    static int8_t codes[2][LONGEST];
    const diffquant_isa before = current();
    fill_weights(w, LONGEST, 71, true);
    fill_weights(g, LONGEST, 72, false);
    diffquant_quantizer *quantizer = uniform_quantizer(5, 0.3f);
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_EWGS, 0.3f));
    for (size_t i = 1; i < COUNT(sets); i++) {
        if (diffquant_set_isa(sets[i].isa) != DIFFQUANT_STATUS_OK) {
            continue;
        }
        for (size_t n = 1; n <= LONGEST; n += n < 100 ? 1 : 77) {
            check_context("%s, n = %zu", sets[i].name, n);
            for (size_t side = 0; side < 2; side++) {
                REQUIRE_OK(diffquant_set_isa(side == 0 ? DIFFQUANT_ISA_BASELINE : sets[i].isa));
                REQUIRE_OK(diffquant_quantizer_forward(quantizer, w, n, codes[side], values[side]));
                REQUIRE_OK(diffquant_quantizer_backward_scale(quantizer, w, g, n, grad_w[side], &grad_scale[side]));
            }
            CHECK_CODES(codes[1], codes[0], n);
            CHECK_FLOATS(values[1], values[0], n);
            CHECK_FLOATS(grad_w[1], grad_w[0], n);
            CHECK_FLOAT(grad_scale[1], grad_scale[0]);
        }
    }
    CHECK_TEXT(sets[0].name, "baseline");
    diffquant_quantizer_free(quantizer);
    REQUIRE_OK(diffquant_set_isa(before));
}
