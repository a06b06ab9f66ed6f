/* Memory: what allocates nothing, and what happens when there is none left.
 *
 * Needs alloc_probe.c to be preloaded, as tests/c_harness.rs does; without it these tests are skipped. Linux only. */

#include "alloc_probe.h"
#include "granular.h"

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

TEST(a_rotation_and_writing_a_state_allocate_nothing) {
    const struct alloc_probe *probe = alloc_probe_find();
    if (probe == NULL) {
        return;
    }
    static const float scales[] = {0.5f, 0.3f, 1.7f};
    static float x[300];
    char json[1024];
    size_t length = 0;
    diffquant_quantizer *q = channel_quantizer(4, scales, 3);
    diffquant_rotation *rotation = NULL;
    REQUIRE_OK(diffquant_rotation_new(100, 1, &rotation));
    probe->start(0);
    diffquant_status status = diffquant_rotation_apply(rotation, x, 300);
    status |= diffquant_rotation_apply_transpose(rotation, x, 300);
    status |= diffquant_quantizer_to_json(q, json, sizeof json, &length);
    const long asked = probe->stop();
    CHECK_UINT(status, DIFFQUANT_STATUS_OK);
    CHECK_INT(asked, 0);
    diffquant_rotation_free(rotation);
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

/* ---- Out of memory ----------------------------------------------------------------------------------------------- */

/* What the calls below work on, and make. */
static diffquant_config *config;
static diffquant_quantizer *quantizer;
static struct config_text text;
static diffquant_config *made_config;
static diffquant_quantizer *made_quantizer;
static diffquant_rotation *made_rotation;
static char state_text[1024];

static diffquant_status call_config_new(void) {
    return diffquant_config_new(&made_config);
}
static diffquant_status call_config_new_preset(void) {
    return diffquant_config_new_preset(DIFFQUANT_PRESET_PIQ2, &made_config);
}
static diffquant_status call_config_from_json(void) {
    return diffquant_config_from_json(text.text, strlen(text.text), &made_config);
}
static diffquant_status call_config_clone(void) {
    return diffquant_config_clone(config, &made_config);
}
static diffquant_status call_quantizer_new(void) {
    return diffquant_quantizer_new(config, &made_quantizer);
}
static diffquant_status call_quantizer_new_uniform(void) {
    return diffquant_quantizer_new_uniform(4, DIFFQUANT_STE_STANDARD, 0.0f, &made_quantizer);
}
static diffquant_status call_quantizer_new_pi(void) {
    return diffquant_quantizer_new_pi(3, 4, &made_quantizer);
}
static diffquant_status call_quantizer_clone(void) {
    return diffquant_quantizer_clone(quantizer, &made_quantizer);
}
static diffquant_status call_init_per_channel(void) {
    return diffquant_quantizer_init_per_channel(quantizer, 7);
}
static diffquant_status call_init_scale(void) {
    static const float w[] = {1.0f, 2.0f, 3.0f};
    return diffquant_quantizer_init_scale(quantizer, w, 3);
}

static diffquant_status call_set_granularity(void) {
    return diffquant_quantizer_set_granularity(quantizer, DIFFQUANT_GRANULARITY_PER_CHANNEL, 0);
}
static diffquant_status call_set_shape(void) {
    static const size_t shape[] = {2, 3, 5};
    return diffquant_quantizer_set_shape(quantizer, shape, 3, 1);
}

/* Weights of the three channels that the calls find. */
static const float calibration_weights[] = {1.0f, -2.0f, 3.0f, 0.5f, 0.0f, 4.0f};

static diffquant_status call_init_with(diffquant_scale_init method) {
    return diffquant_quantizer_init_scale_with(quantizer, method, 99.0f, calibration_weights, 6);
}
static diffquant_status call_init_min_max(void) {
    return call_init_with(DIFFQUANT_SCALE_INIT_MIN_MAX);
}
static diffquant_status call_init_lsq(void) {
    return call_init_with(DIFFQUANT_SCALE_INIT_LSQ);
}
static diffquant_status call_init_percentile(void) {
    return call_init_with(DIFFQUANT_SCALE_INIT_PERCENTILE);
}
static diffquant_status call_init_mse(void) {
    return call_init_with(DIFFQUANT_SCALE_INIT_MSE);
}

/* Written only by the call that succeeds. */
static float dynamic_values[6], dynamic_scales[3];
static int8_t dynamic_codes[6];

/* Of F16. */
static const uint16_t calibration_halves[] = {0x3c00, 0xc000, 0x4200, 0x3800, 0x0000, 0x4400};

static diffquant_status call_init_mse_typed(void) {
    return diffquant_quantizer_init_scale_with_typed(quantizer, DIFFQUANT_DTYPE_F16, DIFFQUANT_SCALE_INIT_MSE, 0.0f,
                                                     calibration_halves, 6);
}
static diffquant_status call_forward_dynamic_typed(void) {
    float scales[3];
    return diffquant_quantizer_forward_dynamic_typed(quantizer, DIFFQUANT_DTYPE_F16, calibration_halves, 6, NULL, NULL,
                                                     scales, 3);
}

static diffquant_status call_forward_dynamic(void) {
    return diffquant_quantizer_forward_dynamic(quantizer, calibration_weights, 6, dynamic_codes, dynamic_values,
                                               dynamic_scales, 3);
}

/* Observers that the calls work on, made anew for each: what is to be changed, what is read, and what is made. */
static diffquant_observer *observer, *other_observer, *made_observer;
static char observer_json[4096];

static diffquant_status call_observer_new(void) {
    return diffquant_observer_new(DIFFQUANT_OBSERVER_KIND_HISTOGRAM, 0.0f, &made_observer);
}
static diffquant_status call_observer_clone(void) {
    return diffquant_observer_clone(other_observer, &made_observer);
}
static diffquant_status call_observer_from_json(void) {
    return diffquant_observer_from_json(observer_json, strlen(observer_json), &made_observer);
}
static diffquant_status call_observer_to_json(void) {
    static char json[4096];
    size_t length = 0;
    return diffquant_observer_to_json(other_observer, json, sizeof json, &length);
}
static diffquant_status call_observer_set_shape(void) {
    static const size_t shape[] = {2, 3, 5};
    return diffquant_observer_set_shape(observer, shape, 3, 1);
}
static diffquant_status call_observer_observe(void) {
    return diffquant_observer_observe(observer, calibration_weights, 6);
}
static diffquant_status call_observer_observe_typed(void) {
    return diffquant_observer_observe_typed(observer, DIFFQUANT_DTYPE_F16, calibration_halves, 6);
}
static diffquant_status call_observer_merge(void) {
    return diffquant_observer_merge(observer, other_observer);
}
static diffquant_status call_init_from_observer(void) {
    return diffquant_quantizer_init_scale_from_observer(quantizer, other_observer, DIFFQUANT_SCALE_INIT_MSE, 0.0f);
}

/* Three channels; one of the observers has seen something else. */
static void make_observers(void) {
    static const size_t shape[] = {3, 1};
    static const float few[] = {4.0f, 4.5f, 5.0f};
    /* In the first channel, which alone has to grow: what grew before a failure would stay larger. */
    static const float of_many_sizes[] = {1e-9f, 1, 1, 1e-6f, 1, 1, 1e-3f, 1, 1, 1e3f, 1, 1, 1e6f, 1, 1};
    observer = new_observer(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
    other_observer = new_observer(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
    REQUIRE_OK(diffquant_observer_set_shape(observer, shape, 2, 0));
    REQUIRE_OK(diffquant_observer_set_shape(other_observer, shape, 2, 0));
    REQUIRE_OK(diffquant_observer_observe(observer, few, 3));
    REQUIRE_OK(diffquant_observer_observe(other_observer, calibration_weights, 6));
    REQUIRE_OK(diffquant_observer_observe(other_observer, of_many_sizes, COUNT(of_many_sizes)));
    size_t length = 0;
    REQUIRE_OK(diffquant_observer_to_json(other_observer, observer_json, sizeof observer_json, &length));
}

static diffquant_status call_quantizer_from_json(void) {
    return diffquant_quantizer_from_json(state_text, strlen(state_text), &made_quantizer);
}
static diffquant_status call_rotation_new(void) {
    return diffquant_rotation_new(100, 1, &made_rotation);
}

/* The rest on a quantizer that rotates, which is why these allocate. */

static float rotated_grad[6], rotated_scales[3];

static diffquant_status call_rotated_forward(void) {
    return diffquant_quantizer_forward(quantizer, calibration_weights, 6, NULL, dynamic_values);
}
static diffquant_status call_rotated_forward_codes(void) {
    return diffquant_quantizer_forward(quantizer, calibration_weights, 6, dynamic_codes, NULL);
}
static diffquant_status call_rotated_statistics(void) {
    static diffquant_statistics statistics[3];
    return diffquant_quantizer_forward_statistics(quantizer, calibration_weights, 6, dynamic_codes, dynamic_values,
                                                  statistics, 3);
}
static diffquant_status call_rotated_statistics_alone(void) {
    static diffquant_statistics statistics[3];
    return diffquant_quantizer_forward_statistics(quantizer, calibration_weights, 6, NULL, NULL, statistics, 3);
}
static diffquant_status call_rotated_backward(void) {
    return diffquant_quantizer_backward(quantizer, calibration_weights, NULL, calibration_weights, 6, dynamic_values);
}
static diffquant_status call_rotated_backward_scale(void) {
    return diffquant_quantizer_backward_scale(quantizer, calibration_weights, calibration_weights, 6, dynamic_values,
                                              dynamic_scales);
}
static diffquant_status call_rotated_backward_scale_alone(void) {
    return diffquant_quantizer_backward_scale(quantizer, calibration_weights, calibration_weights, 6, NULL,
                                              dynamic_scales);
}
static diffquant_status call_rotated_backward_scale_offset(void) {
    return diffquant_quantizer_backward_scale_offset(quantizer, calibration_weights, rotated_grad, 6, dynamic_values,
                                                     dynamic_scales, rotated_scales);
}
static diffquant_status call_rotated_dequantize(void) {
    static const int8_t codes[6] = {1, 2, 3, 4, 5, 6};
    return diffquant_quantizer_dequantize(quantizer, codes, 6, dynamic_values);
}

/* Lets the first allocation fail, then the second, and so on until the call succeeds. */
static void check_every_failure(const struct alloc_probe *probe, const char *name, diffquant_status (*call)(void),
                                uint32_t incoherence) {
    static const float scales[] = {0.5f, 0.3f, 1.7f};
    config = default_config();
    quantizer = channel_quantizer(4, scales, 3);
    text = text_of(config);
    make_observers();
    const struct observer_text observed = observer_text_of(observer);
    size_t length = 0;
    REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_LSQ_PLUS, 0.0f));
    REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, scales, 3));
    REQUIRE_OK(diffquant_quantizer_set_incoherence(quantizer, incoherence));
    REQUIRE_OK(diffquant_quantizer_to_json(quantizer, state_text, sizeof state_text, &length));
    made_rotation = NULL;
    touch_not(dynamic_values, sizeof dynamic_values);
    touch_not(dynamic_scales, sizeof dynamic_scales);
    touch_not(dynamic_codes, sizeof dynamic_codes);
    const struct quantizer_state before = state_of(quantizer);
    diffquant_status status = DIFFQUANT_STATUS_OUT_OF_MEMORY;
    long allowed = 0;
    for (; status != DIFFQUANT_STATUS_OK && allowed < 100; allowed++) {
        made_config = no_config();
        made_quantizer = no_quantizer();
        made_observer = no_observer();
        check_context("%s, %ld allocations", name, allowed);
        check_before_call();
        probe->start(allowed);
        status = call();
        const long asked = probe->stop();
        if (status == DIFFQUANT_STATUS_OK) {
            CHECK_INT(asked, allowed);
            break;
        }
        CHECK_UINT(status, DIFFQUANT_STATUS_OUT_OF_MEMORY);
        CHECK(strstr(diffquant_last_error_message(), "memory") != NULL);
        /* Text is read and written to its end whatever there is no room for; nobody else asks twice. */
        CHECK(strstr(name, "observer_") != NULL && strstr(name, "_json") != NULL ? asked > allowed : asked == allowed + 1);
        CHECK_INT(probe->outstanding(), 0);
        CHECK(made_config == no_config());
        CHECK(made_quantizer == no_quantizer());
        CHECK(made_observer == no_observer());
        CHECK_OBSERVER(observer, &observed);
        CHECK(made_rotation == NULL);
        CHECK_STATE(quantizer, &before);
        CHECK_CONFIG(config, &text);
        CHECK(still_untouched(dynamic_values, sizeof dynamic_values));
        CHECK(still_untouched(dynamic_scales, sizeof dynamic_scales));
        CHECK(still_untouched(dynamic_codes, sizeof dynamic_codes));
    }
    CHECK_UINT(status, DIFFQUANT_STATUS_OK);
    CHECK(allowed > 0);
    if (made_config != no_config()) {
        diffquant_config_free(made_config);
    }
    if (made_quantizer != no_quantizer()) {
        diffquant_quantizer_free(made_quantizer);
    }
    if (made_observer != no_observer()) {
        diffquant_observer_free(made_observer);
    }
    /* By its bare block a freed handle is recognised. */
    const long kept = (made_config != no_config()) + (made_quantizer != no_quantizer()) +
                      (made_observer != no_observer()) + (made_rotation != NULL);
    diffquant_observer_free(observer);
    diffquant_observer_free(other_observer);
    diffquant_rotation_free(made_rotation);
    diffquant_quantizer_free(quantizer);
    diffquant_config_free(config);
    /* Whatever else was made since the probe was started, is freed. */
    CHECK_INT(probe->outstanding(), kept);
}

TEST(when_memory_is_short_a_call_is_refused_changes_nothing_and_keeps_nothing) {
    static const struct {
        const char *name;
        diffquant_status (*call)(void);
    } calls[] = {
        {"config_new", call_config_new},
        {"config_new_preset", call_config_new_preset},
        {"config_from_json", call_config_from_json},
        {"config_clone", call_config_clone},
        {"quantizer_new", call_quantizer_new},
        {"quantizer_new_uniform", call_quantizer_new_uniform},
        {"quantizer_new_pi", call_quantizer_new_pi},
        {"quantizer_clone", call_quantizer_clone},
        {"quantizer_init_per_channel", call_init_per_channel},
        {"quantizer_init_scale", call_init_scale},
        {"quantizer_set_granularity", call_set_granularity},
        {"quantizer_set_shape", call_set_shape},
        {"quantizer_init_scale_with MIN_MAX", call_init_min_max},
        {"quantizer_init_scale_with LSQ", call_init_lsq},
        {"quantizer_init_scale_with PERCENTILE", call_init_percentile},
        {"quantizer_init_scale_with MSE", call_init_mse},
        {"quantizer_forward_dynamic", call_forward_dynamic},
        {"quantizer_init_scale_with_typed MSE", call_init_mse_typed},
        {"quantizer_forward_dynamic_typed", call_forward_dynamic_typed},
        {"observer_new", call_observer_new},
        {"observer_clone", call_observer_clone},
        {"observer_from_json", call_observer_from_json},
        {"observer_to_json", call_observer_to_json},
        {"observer_set_shape", call_observer_set_shape},
        {"observer_observe", call_observer_observe},
        {"observer_observe_typed", call_observer_observe_typed},
        {"observer_merge", call_observer_merge},
        {"quantizer_init_scale_from_observer", call_init_from_observer},
        {"quantizer_from_json", call_quantizer_from_json},
        {"rotation_new", call_rotation_new},
    };
    static const struct {
        const char *name;
        diffquant_status (*call)(void);
    } rotated_calls[] = {
        {"rotated forward", call_rotated_forward},
        {"rotated forward, codes", call_rotated_forward_codes},
        {"rotated statistics", call_rotated_statistics},
        {"rotated statistics, alone", call_rotated_statistics_alone},
        {"rotated backward", call_rotated_backward},
        {"rotated backward_scale", call_rotated_backward_scale},
        {"rotated backward_scale, weights left out", call_rotated_backward_scale_alone},
        {"rotated backward_scale_offset", call_rotated_backward_scale_offset},
        {"rotated dequantize", call_rotated_dequantize},
        {"rotated init_scale", call_init_scale},
        {"rotated forward_dynamic", call_forward_dynamic},
    };
    const struct alloc_probe *probe = alloc_probe_find();
    for (size_t i = 0; probe != NULL && i < COUNT(calls); i++) {
        check_every_failure(probe, calls[i].name, calls[i].call, 0);
    }
    for (size_t i = 0; probe != NULL && i < COUNT(rotated_calls); i++) {
        check_every_failure(probe, rotated_calls[i].name, rotated_calls[i].call, 1);
    }
}
