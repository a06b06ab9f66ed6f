/* When memory runs out: the first allocation of a call fails, then the second, and so on until none does.
 *
 * Needs alloc_probe.c to be preloaded, as tests/c_harness.rs does; without it these tests are skipped. Linux only. */

#include "alloc_probe.h"
#include "granular.h"

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

/* Of groups whose assignments are too many to be tried one by one: that takes memory of its own. */
static diffquant_status call_init_mse_of_many(void) {
    static float many[60];
    for (size_t i = 0; i < 60; i++) {
        many[i] = 1.0f + (float)i / 7.0f;
    }
    return diffquant_quantizer_init_scale_with(quantizer, DIFFQUANT_SCALE_INIT_MSE, 0.0f, many, 60);
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
/* Of whole tensors. */
static diffquant_observer *whole_observer;
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
static diffquant_status call_observer_observe_whole(void) {
    return diffquant_observer_observe(whole_observer, calibration_weights, 6);
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
    whole_observer = new_observer(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
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

/* A text that is read, and as what. */
static const char *json;
static diffquant_status call_json_config(void) {
    return diffquant_config_from_json(json, strlen(json), &made_config);
}
static diffquant_status call_json_quantizer(void) {
    return diffquant_quantizer_from_json(json, strlen(json), &made_quantizer);
}
static diffquant_status call_json_observer(void) {
    return diffquant_observer_from_json(json, strlen(json), &made_observer);
}

/* Lets the first allocation fail, then the second, and so on until memory is enough and the call ends as it would. Says
 * how many allocations that took. */
static long check_every_failure(const struct alloc_probe *probe, const char *name, diffquant_status (*call)(void),
                                uint32_t incoherence, diffquant_status expected) {
    static const float scales[] = {0.5f, 0.3f, 1.7f};
    config = default_config();
    quantizer = channel_quantizer(4, scales, 3);
    text = text_of(config);
    make_observers();
    const struct observer_text observed = observer_text_of(observer), nothing = observer_text_of(whole_observer);
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
    for (; allowed < 100; allowed++) {
        made_config = no_config();
        made_quantizer = no_quantizer();
        made_observer = no_observer();
        check_context("%s %s, %ld allocations", name, json == NULL ? "" : json, allowed);
        check_before_call();
        probe->start(allowed);
        status = call();
        const long asked = probe->stop();
        /* Observers' text is read and written to its end whatever there is no room for, and one that is wrong is looked
         * at twice; nobody else asks again. */
        const bool goes_on = strstr(name, "observer") != NULL && strstr(name, "json") != NULL;
        if (status == expected) {
            CHECK(goes_on ? asked >= allowed : asked == allowed);
        } else {
            CHECK_UINT(status, DIFFQUANT_STATUS_OUT_OF_MEMORY);
            CHECK(strstr(diffquant_last_error_message(), "memory") != NULL);
            CHECK(goes_on ? asked > allowed : asked == allowed + 1);
        }
        if (status == DIFFQUANT_STATUS_OK) {
            break;
        }
        CHECK_INT(probe->outstanding(), 0);
        CHECK(made_config == no_config());
        CHECK(made_quantizer == no_quantizer());
        CHECK(made_observer == no_observer());
        CHECK_OBSERVER(observer, &observed);
        CHECK_OBSERVER(whole_observer, &nothing);
        CHECK(made_rotation == NULL);
        CHECK_STATE(quantizer, &before);
        CHECK_CONFIG(config, &text);
        CHECK(still_untouched(dynamic_values, sizeof dynamic_values));
        CHECK(still_untouched(dynamic_scales, sizeof dynamic_scales));
        CHECK(still_untouched(dynamic_codes, sizeof dynamic_codes));
        if (status == expected) {
            break;
        }
    }
    CHECK_UINT(status, expected);
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
    diffquant_observer_free(whole_observer);
    diffquant_rotation_free(made_rotation);
    diffquant_quantizer_free(quantizer);
    diffquant_config_free(config);
    /* Whatever else was made since the probe was started, is freed. */
    CHECK_INT(probe->outstanding(), kept);
    return allowed;
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
        {"quantizer_init_scale_with MSE of many", call_init_mse_of_many},
        {"quantizer_init_scale_with_typed MSE", call_init_mse_typed},
        {"quantizer_forward_dynamic_typed", call_forward_dynamic_typed},
        {"quantizer_forward_dynamic", call_forward_dynamic},
        {"observer_new", call_observer_new},
        {"observer_clone", call_observer_clone},
        {"observer_from_json", call_observer_from_json},
        {"observer_to_json", call_observer_to_json},
        {"observer_set_shape", call_observer_set_shape},
        {"observer_observe_typed", call_observer_observe_typed},
        {"observer_observe", call_observer_observe},
        {"observer_observe whole tensors", call_observer_observe_whole},
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
        CHECK(check_every_failure(probe, calls[i].name, calls[i].call, 0, DIFFQUANT_STATUS_OK) > 0);
    }
    for (size_t i = 0; probe != NULL && i < COUNT(rotated_calls); i++) {
        CHECK(check_every_failure(probe, rotated_calls[i].name, rotated_calls[i].call, 1, DIFFQUANT_STATUS_OK) > 0);
    }
}

/* ---- Texts: right ones and wrong ones ---------------------------------------------------------------------------- */

#define CONFIG(bits, ste_variant, rest)                                                                                \
    "{\"bits\":" bits ",\"ste_variant\":" ste_variant ",\"granularity\":\"PerChannel\",\"loss_weights\":"              \
    "{\"lambda_task\":1.0,\"lambda_kd\":0.5,\"lambda_reasoning\":0.2,\"kd_temperature\":3.0},\"epochs\":3,"            \
    "\"learning_rate\":0.0001,\"use_incoherence\":false,\"symmetric\":true,\"warmup_epochs\":1,"                       \
    "\"weight_decay\":0.01,\"use_distillation\":true,\"freeze_teacher\":true" rest

#define QUANTIZER(version, granularity, rest)                                                                          \
    "{\"format\":\"diffquant.quantizer\",\"version\":" version ",\"bits\":4,\"code_range\":\"Full\","                  \
    "\"symmetric\":false,\"rounding\":\"HalfAway\",\"ste_variant\":\"Standard\",\"granularity\":" granularity rest

#define OBSERVER(version, kind, groups)                                                                                \
    "{\"format\":\"diffquant.observer\",\"version\":" version ",\"kind\":" kind                                        \
    ",\"channels\":1,\"inner\":1,\"groups\":[" groups "]}"
#define GROUP(min, max, bins) "{\"finite\":6,\"non_finite\":2,\"min\":" min ",\"max\":" max ",\"bins\":" bins "}"

/* A value that nobody asks for, deep enough that the brackets take several allocations. */
#define ODD ",\"\\u006fdd\":[[[[[[[[[[[[[[[[[{\"a\":[\"\\n\",-1.5e3,true,null]}]]]]]]]]]]]]]]]]],\"other\":{}"

#define AS_CONFIG call_json_config, "config json"
#define AS_QUANTIZER call_json_quantizer, "state json"
#define AS_OBSERVER call_json_observer, "observer json"

enum { OK = DIFFQUANT_STATUS_OK, BAD = DIFFQUANT_STATUS_INVALID_JSON };

TEST(when_memory_is_short_no_text_ends_the_process) {
    static const struct {
        const char *json;
        diffquant_status (*call)(void);
        const char *name;
        diffquant_status expected;
        long fewest; /* allocations */
    } texts[] = {
        {CONFIG("4", "\"Standard\"", "}"), AS_CONFIG, OK, 1},
        {CONFIG("4", "{\"\\u0043lipped\":{\"clip_\\u0076al\":1}}", ODD "}"), AS_CONFIG, OK, 4},
        {"", AS_CONFIG, BAD, 1},
        {"{", AS_CONFIG, BAD, 1},
        {"nul", AS_CONFIG, BAD, 1},
        {"{\"bits\":4}", AS_CONFIG, BAD, 1},
        {CONFIG("4,\"bits\":4", "\"Standard\"", "}"), AS_CONFIG, BAD, 1},
        {CONFIG("400", "\"Standard\"", "}"), AS_CONFIG, BAD, 1},
        {CONFIG("-1", "\"Standard\"", "}"), AS_CONFIG, BAD, 1},
        {CONFIG("4.5", "\"Standard\"", "}"), AS_CONFIG, BAD, 1},
        {CONFIG("1e999", "\"Standard\"", "}"), AS_CONFIG, BAD, 1},
        {CONFIG("4", "\"\\u0053tandards\"", "}"), AS_CONFIG, BAD, 3},
        {CONFIG("4", "\"Clipped\"", "}"), AS_CONFIG, BAD, 1},
        {CONFIG("4", "{}", "}"), AS_CONFIG, BAD, 1},
        {CONFIG("4", "{\"Standard\":1}", "}"), AS_CONFIG, BAD, 1},
        {CONFIG("4", "[]", "}"), AS_CONFIG, BAD, 1},
        {CONFIG("4", "\"\\ud800\"", "}"), AS_CONFIG, BAD, 1},
        {CONFIG("4", "\"\\x\"", "}"), AS_CONFIG, BAD, 1},
        {CONFIG("4", "\"\n\"", "}"), AS_CONFIG, BAD, 1},
        {CONFIG("4", "\"Standard\"", ",\"odd\":[[[[[[[[[[[[[[[[[[}"), AS_CONFIG, BAD, 3},
        {CONFIG("4", "\"Standard\"", "}}"), AS_CONFIG, BAD, 1},

        {QUANTIZER("\"1.1\"", "\"PerTensor\"", ",\"scales\":[0.5]}"), AS_QUANTIZER, OK, 3},
        {QUANTIZER("\"1.\\u0031\"", "\"PerChannel\"",
                   ",\"shape\":[2,3],\"axis\":1,\"scales\":[1,2,3],\"zero_points\":[1,-8,7],\"offsets\":[0,-0.0,1]"
                   ODD "}"),
         AS_QUANTIZER, OK, 9},
        {"[", AS_QUANTIZER, BAD, 1},
        {"{\"format\":1}", AS_QUANTIZER, BAD, 1},
        {"{\"format\":\"\\u0031\",\"version\":\"1.0\"}", AS_QUANTIZER, BAD, 2},
        {QUANTIZER("\"1.\"", "\"PerTensor\"", ",\"scales\":[0.5]}"), AS_QUANTIZER, BAD, 1},
        {QUANTIZER("\"2.0\"", "0", ",\"scales\":[0.5]}"), AS_QUANTIZER,
         DIFFQUANT_STATUS_UNSUPPORTED, 0},
        {QUANTIZER("\"1.1\"", "\"PerTensor\"", ",\"scales\":0.5}"), AS_QUANTIZER, BAD, 1},
        {QUANTIZER("\"1.1\"", "\"PerTensor\"", ",\"scales\":[null]}"), AS_QUANTIZER, BAD, 2},
        {QUANTIZER("\"1.1\"", "\"PerTensor\"", ",\"scales\":[1,]}"), AS_QUANTIZER, BAD, 1},
        {QUANTIZER("\"1.1\"", "\"PerTensor\"", ",\"channels\":2,\"scales\":[1]}"), AS_QUANTIZER, BAD, 1},
        {QUANTIZER("\"1.1\"", "\"PerTensor\"", ",\"scales\":[1,2]}"), AS_QUANTIZER,
         DIFFQUANT_STATUS_LENGTH_MISMATCH, 1},
        {QUANTIZER("\"1.1\"", "\"PerTensor\"", ",\"scales\":[-1]}"), AS_QUANTIZER,
         DIFFQUANT_STATUS_INVALID_ARGUMENT, 1},
        {QUANTIZER("\"1.1\"", "\"PerTensor\"", ",\"scales\":[1],\"zero_points\":[8]}"), AS_QUANTIZER,
         DIFFQUANT_STATUS_INVALID_ARGUMENT, 1},
        {QUANTIZER("\"1.1\"", "\"PerTensor\"", ",\"scales\":[1],\"offsets\":[0.5.5]}"), AS_QUANTIZER,
         BAD, 1},

        {OBSERVER("\"1.0\"", "\"Histogram\"", GROUP("-2.5", "1.0", "[[0,2],[2032,3],[6148,1]]") ODD),
         AS_OBSERVER, BAD, 1},
        {OBSERVER("\"1.\\u0030\"", "\"Histogram\"", GROUP("-2.5", "1.0", "[[0,2],[2032,3],[6148,1]]")),
         AS_OBSERVER, OK, 5},
        {"{\"format\":\"diffquant.observer\"", AS_OBSERVER, BAD, 1},
        {"{\"format\":\"diffquant.quantizer\",\"version\":\"1.0\"}", AS_OBSERVER, BAD, 1},
        {OBSERVER("\"2.0\"", "\"Quantile\"", ""), AS_OBSERVER, BAD, 1},
        {OBSERVER("\"1\"", "\"MinMax\"", ""), AS_OBSERVER, BAD, 1},
        {OBSERVER("\"1.0\"", "\"MinMax\"", ""), AS_OBSERVER, BAD, 1},
        {OBSERVER("\"1.0\"", "{\"MovingAverage\":{\"averaging_constant\":2}}", ""), AS_OBSERVER, BAD, 1},
        {OBSERVER("\"1.0\"", "\"Histogram\"", GROUP("2", "1.0", "[[0,6]]")), AS_OBSERVER, BAD, 1},
        {OBSERVER("\"1.0\"", "\"MinMax\"", GROUP("0", "1.0", "[[0,6]]")), AS_OBSERVER, BAD, 1},
        {OBSERVER("\"1.0\"", "\"Histogram\"", GROUP("0", "1.0", "[[0,5]]")), AS_OBSERVER, BAD, 1},
        {OBSERVER("\"1.0\"", "\"Histogram\"", GROUP("0", "1.0", "[[0,6,6]]")), AS_OBSERVER, BAD, 1},
        {OBSERVER("\"1.0\"", "\"Histogram\"", GROUP("0", "1.0", "[[9999,6]]")), AS_OBSERVER, BAD, 1},
        {OBSERVER("\"1.0\"", "\"Histogram\"", GROUP("0", "null", "[]")), AS_OBSERVER, BAD, 1},
    };
    const struct alloc_probe *probe = alloc_probe_find();
    for (size_t i = 0; probe != NULL && i < COUNT(texts); i++) {
        json = texts[i].json;
        const long needed = check_every_failure(probe, texts[i].name, texts[i].call, 0, texts[i].expected);
        check_context("%s", json);
        CHECK(needed >= texts[i].fewest);
    }
}
