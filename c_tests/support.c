#include "support.h"

/* ---- Objects ----------------------------------------------------------------------------------------------------- */

diffquant_quantizer *uniform_quantizer(uint32_t bits, float scale) {
    return channel_quantizer(bits, &scale, 1);
}

diffquant_quantizer *channel_quantizer(uint32_t bits, const float *scales, size_t channels) {
    diffquant_quantizer *quantizer = NULL;
    REQUIRE_OK(diffquant_quantizer_new_uniform(bits, DIFFQUANT_STE_STANDARD, 0.0f, &quantizer));
    REQUIRE_OK(diffquant_quantizer_init_per_channel(quantizer, channels));
    REQUIRE_OK(diffquant_quantizer_set_scales(quantizer, scales, channels));
    return quantizer;
}

diffquant_config *default_config(void) {
    diffquant_config *config = NULL;
    REQUIRE_OK(diffquant_config_new(&config));
    return config;
}

diffquant_observer *new_observer(diffquant_observer_kind kind) {
    diffquant_observer *observer = NULL;
    REQUIRE_OK(diffquant_observer_new(kind, 0.25f, &observer));
    return observer;
}

static char nothing;

diffquant_quantizer *no_quantizer(void) {
    return (void *)&nothing;
}

diffquant_config *no_config(void) {
    return (void *)&nothing;
}

diffquant_observer *no_observer(void) {
    return (void *)&nothing;
}

/* ---- The whole state of an object -------------------------------------------------------------------------------- */

struct quantizer_state state_of(const diffquant_quantizer *quantizer) {
    struct quantizer_state state = {0};
    REQUIRE_OK(diffquant_quantizer_bits(quantizer, &state.bits));
    REQUIRE_OK(diffquant_quantizer_num_levels(quantizer, &state.levels));
    REQUIRE_OK(diffquant_quantizer_ste(quantizer, &state.ste, &state.ste_param));
    REQUIRE_OK(diffquant_quantizer_rounding(quantizer, &state.rounding));
    REQUIRE_OK(diffquant_quantizer_seed(quantizer, &state.seed, &state.first_element));
    REQUIRE_OK(diffquant_quantizer_non_finite(quantizer, &state.non_finite));
    REQUIRE_OK(diffquant_quantizer_granularity(quantizer, &state.granularity, &state.block_size));
    REQUIRE_OK(diffquant_quantizer_code_range(quantizer, &state.code_range));
    REQUIRE_OK(diffquant_quantizer_code_bounds(quantizer, &state.smallest, &state.largest));
    REQUIRE_OK(diffquant_quantizer_symmetric(quantizer, &state.symmetric));
    REQUIRE_OK(diffquant_quantizer_incoherence(quantizer, &state.incoherence));
    REQUIRE_OK(diffquant_quantizer_rotation_seed(quantizer, &state.rotation_seed));
    REQUIRE_OK(diffquant_quantizer_scale_count(quantizer, &state.scale_count));
    REQUIRE(state.scale_count <= MOST_SCALES);
    REQUIRE_OK(diffquant_quantizer_scales(quantizer, state.scales, state.scale_count));
    REQUIRE_OK(diffquant_quantizer_zero_points(quantizer, state.zero_points, state.scale_count));
    REQUIRE_OK(diffquant_quantizer_offsets(quantizer, state.offsets, state.scale_count));
    for (size_t group = 0; group < state.scale_count; group++) {
        REQUIRE(diffquant_quantizer_step_size(quantizer, group, &state.steps[group]) == DIFFQUANT_STATUS_OK);
    }
    /* NOT_APPLICABLE leaves the 0. */
    diffquant_quantizer_k(quantizer, &state.k);
    return state;
}

void check_state(const diffquant_quantizer *quantizer, const struct quantizer_state *before, const char *file,
                 int line) {
    const struct quantizer_state now = state_of(quantizer);
    check_uint(now.bits, before->bits, "bits", file, line);
    check_uint(now.levels, before->levels, "num_levels", file, line);
    check_uint(now.k, before->k, "k", file, line);
    check_uint(now.ste, before->ste, "ste", file, line);
    check_float(now.ste_param, before->ste_param, "ste_param", file, line);
    check_uint(now.rounding, before->rounding, "rounding", file, line);
    check_uint(now.seed, before->seed, "seed", file, line);
    check_uint(now.first_element, before->first_element, "first_element", file, line);
    check_uint(now.non_finite, before->non_finite, "non_finite", file, line);
    check_uint(now.granularity, before->granularity, "granularity", file, line);
    check_uint(now.block_size, before->block_size, "block_size", file, line);
    check_uint(now.code_range, before->code_range, "code_range", file, line);
    check_int(now.smallest, before->smallest, "the smallest code", file, line);
    check_int(now.largest, before->largest, "the largest code", file, line);
    check_uint(now.symmetric, before->symmetric, "symmetric", file, line);
    check_uint(now.incoherence, before->incoherence, "incoherence", file, line);
    check_uint(now.rotation_seed, before->rotation_seed, "rotation_seed", file, line);
    check_uint(now.scale_count, before->scale_count, "scale_count", file, line);
    if (now.scale_count == before->scale_count) {
        check_floats(now.scales, before->scales, now.scale_count, "scales", file, line);
        check_floats(now.steps, before->steps, now.scale_count, "steps", file, line);
        check_floats(now.offsets, before->offsets, now.scale_count, "offsets", file, line);
        check_ints(now.zero_points, before->zero_points, now.scale_count, "zero_points", file, line);
    }
}

struct config_text text_of(const diffquant_config *config) {
    struct config_text text = {{0}};
    size_t length = 0;
    REQUIRE_OK(diffquant_config_to_json(config, text.text, sizeof text.text, &length));
    return text;
}

void check_config(const diffquant_config *config, const struct config_text *before, const char *file, int line) {
    const struct config_text now = text_of(config);
    check_text(now.text, before->text, "the configuration", file, line);
}

struct observer_text observer_text_of(const diffquant_observer *observer) {
    struct observer_text text = {{0}};
    size_t length = 0;
    REQUIRE_OK(diffquant_observer_to_json(observer, text.text, sizeof text.text, &length));
    return text;
}

void check_observer(const diffquant_observer *observer, const struct observer_text *before, const char *file, int line) {
    const struct observer_text now = observer_text_of(observer);
    check_text(now.text, before->text, "the observer", file, line);
}

/* ---- Buffers ----------------------------------------------------------------------------------------------------- */

#define GUARD 64

struct guarded guarded_new(size_t bytes) {
    struct guarded buffer = {NULL, malloc(bytes + 2 * GUARD), bytes};
    REQUIRE(buffer.memory != NULL);
    touch_not(buffer.memory, bytes + 2 * GUARD);
    buffer.data = buffer.memory + GUARD;
    return buffer;
}

void guarded_free(struct guarded *buffer) {
    free(buffer->memory);
    buffer->memory = NULL;
}

bool guards_are_intact(const struct guarded *buffer) {
    return still_untouched(buffer->memory, GUARD) && still_untouched(buffer->memory + GUARD + buffer->bytes, GUARD);
}

bool is_untouched(const struct guarded *buffer) {
    return still_untouched(buffer->memory, buffer->bytes + 2 * GUARD);
}

void touch_not(void *memory, size_t bytes) {
    memset(memory, UNTOUCHED, bytes);
}

bool still_untouched(const void *memory, size_t bytes) {
    const unsigned char *at = memory;
    for (size_t i = 0; i < bytes; i++) {
        if (at[i] != UNTOUCHED) {
            return false;
        }
    }
    return true;
}

void *at_offset(const void *address, size_t offset) {
    return (void *)((uintptr_t)address + offset);
}

struct decimal decimal(size_t number) {
    struct decimal result;
    snprintf(result.text, sizeof result.text, "%zu", number);
    return result;
}

/* ---- Weights ----------------------------------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

void fill_weights(float *w, size_t n, uint32_t seed, bool specials) {
    static const float special[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e30f, 1e-40f, 0.25f, -0.25f, 0.75f};
    uint32_t state = seed * 2654435761u + 1u;
    for (size_t i = 0; i < n; i++) {
        const uint32_t random = next_random(&state);
        w[i] = (float)(random >> 8) / 2097152.0f - 4.0f;
        if (specials && random % 5 == 0) {
            w[i] = special[(random >> 8) % COUNT(special)];
        }
    }
}

/* ---- The formulas of the header, in plain C ---------------------------------------------------------------------- */

int8_t code_of(float w, float step, uint32_t bits, bool half_even) {
    const float half = (float)(1u << (bits - 1));
    const float quotient = w / step;
    if (isnan(quotient)) {
        return 0;
    }
    const float rounded = half_even ? rintf(quotient) : roundf(quotient);
    return (int8_t)fminf(fmaxf(rounded, -half), half - 1.0f);
}

float value_of(int8_t code, float step) {
    return (float)code * step;
}

float weight_gradient_of(diffquant_ste ste, float ste_param, float w, float value, float g) {
    switch (ste) {
    case DIFFQUANT_STE_CLIPPED:
        return fabsf(w) <= ste_param ? g : 0.0f;
    case DIFFQUANT_STE_EWGS:
        return g * (1.0f + ste_param * fabsf(w - value));
    default:
        return g;
    }
}
