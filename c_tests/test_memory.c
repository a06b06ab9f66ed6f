/* Memory: what allocates nothing, and what happens when there is none left.
 *
 * Needs alloc_probe.c to be preloaded, as tests/c_harness.rs does; without it these tests are skipped. Linux only. */

#include "alloc_probe.h"
#include "support.h"

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
    fill_weights(w, N, 1, true);
    fill_weights(g, N, 2, false);
    diffquant_quantizer *q = channel_quantizer(4, scales, CHANNELS);
    for (size_t i = 0; i < COUNT(estimators); i++) {
        check_context("ste %u", estimators[i]);
        REQUIRE_OK(diffquant_quantizer_set_ste(q, estimators[i], 0.5f));
        probe->start(0);
        diffquant_status status = diffquant_quantizer_forward(q, w, N, codes, values);
        status |= diffquant_quantizer_backward(q, w, values, g, N, grad_w);
        status |= diffquant_quantizer_backward(q, w, NULL, g, N, grad_w);
        status |= diffquant_quantizer_backward_scale(q, w, g, N, grad_w, grad_scale);
        status |= diffquant_quantizer_dequantize(q, codes, N, values);
        const long asked = probe->stop();
        CHECK_UINT(status, DIFFQUANT_STATUS_OK);
        CHECK_INT(asked, 0);
    }
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

/* Lets the first allocation fail, then the second, and so on until the call succeeds. */
static void check_every_failure(const struct alloc_probe *probe, const char *name, diffquant_status (*call)(void)) {
    static const float scales[] = {0.5f, 0.3f, 1.7f};
    config = default_config();
    quantizer = channel_quantizer(4, scales, 3);
    text = text_of(config);
    const struct quantizer_state before = state_of(quantizer);
    diffquant_status status = DIFFQUANT_STATUS_OUT_OF_MEMORY;
    long allowed = 0;
    for (; status != DIFFQUANT_STATUS_OK && allowed < 20; allowed++) {
        made_config = no_config();
        made_quantizer = no_quantizer();
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
        CHECK_INT(asked, allowed + 1);
        CHECK_INT(probe->outstanding(), 0);
        CHECK(made_config == no_config());
        CHECK(made_quantizer == no_quantizer());
        CHECK_STATE(quantizer, &before);
        CHECK_CONFIG(config, &text);
    }
    CHECK_UINT(status, DIFFQUANT_STATUS_OK);
    CHECK(allowed > 0);
    if (made_config != no_config()) {
        diffquant_config_free(made_config);
    }
    if (made_quantizer != no_quantizer()) {
        diffquant_quantizer_free(made_quantizer);
    }
    diffquant_quantizer_free(quantizer);
    diffquant_config_free(config);
    /* Whatever was made since the probe was started, is freed. */
    CHECK_INT(probe->outstanding(), 0);
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
    };
    const struct alloc_probe *probe = alloc_probe_find();
    for (size_t i = 0; probe != NULL && i < COUNT(calls); i++) {
        check_every_failure(probe, calls[i].name, calls[i].call);
    }
}
