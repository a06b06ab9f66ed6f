/* What allocates nothing. What happens when there is no memory left: test_out_of_memory.c.
 *
 * Needs alloc_probe.c to be preloaded, as tests/c_harness.rs does; without it these tests are skipped. Linux only. */

#include "alloc_probe.h"
#include "granular.h"

#include <limits.h>

/* ---- Without a single allocation --------------------------------------------------------------------------------- */

TEST(forward_backward_and_dequantize_allocate_nothing) {
    const struct alloc_probe *probe = alloc_probe_find();
    if (probe == NULL) {
        return;
    }
    enum { N = 300, CHANNELS = 3 };
    static const float scales[] = {0.5f, 0.3f, 1.7f};
    static const diffquant_ste estimators[] = {DIFFQUANT_STE_STANDARD, DIFFQUANT_STE_CLIPPED,
                                               DIFFQUANT_STE_LEARNED_STEP_SIZE, DIFFQUANT_STE_EWGS};
    static float w[N], g[N], values[N], grad_w[N], grad_scale[CHANNELS];
    static int8_t codes[N];
    static diffquant_statistics statistics[CHANNELS];
    fill_weights(w, N, 1, true);
    fill_weights(g, N, 2, false);
    diffquant_quantizer *q = channel_quantizer(4, scales, CHANNELS);
    for (size_t i = 0; i < 3 * COUNT(estimators); i++) {
        const diffquant_ste ste = estimators[i % COUNT(estimators)];
        const diffquant_rounding rounding = (diffquant_rounding)(i / COUNT(estimators));
        check_context("ste %u, rounding %u", ste, rounding);
        REQUIRE_OK(diffquant_quantizer_set_ste(q, ste, 0.5f));
        REQUIRE_OK(diffquant_quantizer_set_rounding(q, rounding));
        probe->start(0);
        diffquant_status status = diffquant_quantizer_forward(q, w, N, codes, values);
        status |= diffquant_quantizer_backward(q, w, values, g, N, grad_w);
        status |= diffquant_quantizer_backward(q, w, NULL, g, N, grad_w);
        status |= diffquant_quantizer_backward_scale(q, w, g, N, grad_w, grad_scale);
        status |= diffquant_quantizer_forward_statistics(q, w, N, codes, values, statistics, CHANNELS);
        status |= diffquant_quantizer_dequantize(q, codes, N, values);
        const long asked = probe->stop();
        CHECK_UINT(status, DIFFQUANT_STATUS_OK);
        CHECK_INT(asked, 0);
    }
    diffquant_quantizer_free(q);
}

TEST(no_granularity_needs_an_allocation_in_forward_backward_and_dequantize) {
    const struct alloc_probe *probe = alloc_probe_find();
    if (probe == NULL) {
        return;
    }
    static const diffquant_ste estimators[] = {DIFFQUANT_STE_EWGS, DIFFQUANT_STE_RANGE_CLIPPED, DIFFQUANT_STE_LSQ,
                                               DIFFQUANT_STE_LSQ_PLUS, DIFFQUANT_STE_EWGS_SIGNED};
    static float w[MOST_ELEMENTS], g[MOST_ELEMENTS], values[MOST_ELEMENTS], grad_w[MOST_ELEMENTS];
    static float grad_scale[MOST_SCALES], grad_offset[MOST_SCALES];
    static int8_t codes[MOST_ELEMENTS];
    fill_weights(w, MOST_ELEMENTS, 1, true);
    fill_weights(g, MOST_ELEMENTS, 2, false);
    for (size_t i = 0; i < granular_case_count * COUNT(estimators); i++) {
        const struct granular_case *one = &granular_cases[i / COUNT(estimators)];
        const diffquant_ste ste = estimators[i % COUNT(estimators)];
        const size_t n = granular_elements(one);
        diffquant_quantizer *q = granular_quantizer(one, 4);
        check_context("%s, ste %u", one->name, ste);
        REQUIRE_OK(diffquant_quantizer_set_ste(q, ste, 0.5f));
        probe->start(0);
        diffquant_status status = diffquant_quantizer_forward(q, w, n, codes, values);
        status |= diffquant_quantizer_backward(q, w, values, g, n, grad_w);
        status |= diffquant_quantizer_backward(q, w, NULL, g, n, grad_w);
        status |= diffquant_quantizer_backward_scale(q, w, g, n, grad_w, grad_scale);
        if (ste != DIFFQUANT_STE_EWGS) {
            status |= diffquant_quantizer_backward_scale_offset(q, w, g, n, grad_w, grad_scale, grad_offset);
        }
        status |= diffquant_quantizer_dequantize(q, codes, n, values);
        const long asked = probe->stop();
        CHECK_UINT(status, DIFFQUANT_STATUS_OK);
        CHECK_INT(asked, 0);
        diffquant_quantizer_free(q);
    }
}

TEST(zero_points_offsets_ranges_and_scale_steps_allocate_nothing) {
    const struct alloc_probe *probe = alloc_probe_find();
    if (probe == NULL) {
        return;
    }
    static const float numbers[] = {0.5f, 0.3f, 1.7f};
    static const int32_t zero_points[] = {1, 2, 3};
    diffquant_quantizer *q = channel_quantizer(4, numbers, 3);
    float floats[3];
    int32_t ints[3];
    size_t number;
    probe->start(0);
    diffquant_status status = diffquant_quantizer_set_symmetric(q, 0);
    status |= diffquant_quantizer_set_zero_points(q, zero_points, 3);
    status |= diffquant_quantizer_zero_points(q, ints, 3);
    status |= diffquant_quantizer_set_offsets(q, numbers, 3);
    status |= diffquant_quantizer_offsets(q, floats, 3);
    status |= diffquant_quantizer_apply_scale_step(q, numbers, 3, 0.1f, 0.1f, &number);
    status |= diffquant_quantizer_group_of(q, 4, 6, &number);
    status |= diffquant_quantizer_set_code_range(q, DIFFQUANT_CODE_RANGE_NARROW);
    const long asked = probe->stop();
    CHECK_UINT(status, DIFFQUANT_STATUS_OK);
    CHECK_INT(asked, 0);
    diffquant_quantizer_free(q);
}

TEST(a_rotation_and_writing_a_state_or_a_configuration_allocate_nothing) {
    const struct alloc_probe *probe = alloc_probe_find();
    if (probe == NULL) {
        return;
    }
    static const float scales[] = {0.5f, 0.3f, 1.7f};
    static float x[300];
    char json[1024];
    size_t length = 0;
    diffquant_quantizer *q = channel_quantizer(4, scales, 3);
    diffquant_config *config = default_config();
    diffquant_rotation *rotation = NULL;
    REQUIRE_OK(diffquant_rotation_new(100, 1, &rotation));
    probe->start(0);
    diffquant_status status = diffquant_rotation_apply(rotation, x, 300);
    status |= diffquant_rotation_apply_transpose(rotation, x, 300);
    status |= diffquant_quantizer_to_json(q, json, sizeof json, &length);
    status |= diffquant_config_to_json(config, json, sizeof json, &length);
    const long asked = probe->stop();
    CHECK_UINT(status, DIFFQUANT_STATUS_OK);
    CHECK_INT(asked, 0);
    diffquant_rotation_free(rotation);
    diffquant_config_free(config);
    diffquant_quantizer_free(q);
}

TEST(reporting_a_failure_allocates_nothing) {
    const struct alloc_probe *probe = alloc_probe_find();
    if (probe == NULL) {
        return;
    }
    diffquant_quantizer *q = uniform_quantizer(4, 0.5f), *none = NULL;
    static const float bad[] = {1.0f, NAN};
    probe->start(0);
    const diffquant_status statuses[] = {
        diffquant_quantizer_new_uniform(9, DIFFQUANT_STE_STANDARD, 0.0f, NULL),
        diffquant_quantizer_set_ste(q, DIFFQUANT_STE_CLIPPED, -1.0f),
        diffquant_quantizer_set_scale(q, 1, 1.0f),
        diffquant_quantizer_forward(q, NULL, 4, NULL, NULL),
        diffquant_quantizer_set_scales(q, bad, 2),
        diffquant_quantizer_clone(q, &none),
    };
    const bool has_message = diffquant_last_error_message()[0] != '\0';
    const long asked = probe->stop();
    CHECK_INT(asked, 1); /* by the clone, in vain */
    static const diffquant_status expected[] = {
        DIFFQUANT_STATUS_NULL_POINTER, DIFFQUANT_STATUS_INVALID_ARGUMENT, DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE,
        DIFFQUANT_STATUS_NULL_POINTER, DIFFQUANT_STATUS_LENGTH_MISMATCH,  DIFFQUANT_STATUS_OUT_OF_MEMORY,
    };
    for (size_t i = 0; i < COUNT(expected); i++) {
        check_context("call %zu", i);
        CHECK_UINT(statuses[i], expected[i]);
    }
    CHECK(has_message);
    CHECK(none == NULL);
    diffquant_quantizer_free(q);
}

TEST(of_handles_that_were_freed_the_last_256_are_kept_and_no_more) {
    const struct alloc_probe *probe = alloc_probe_find();
    if (probe == NULL) {
        return;
    }
    probe->start(LONG_MAX);
    for (int freed = 0; freed < 600; freed++) {
        diffquant_config_free(default_config());
    }
    probe->stop();
    CHECK_INT(probe->outstanding(), 256);
}
