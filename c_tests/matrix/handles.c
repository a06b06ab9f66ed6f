/* Handles of every kind, good and bad, for calls that they must leave as they are unless they succeed. */

#include "handles.h"

#include <string.h>

enum { MOST_HANDLES = 4 };

enum {
    GOOD_CONFIGS = MATRIX_CONFIG_HANDLES - MATRIX_BAD_HANDLES,
    GOOD_QUANTIZERS = MATRIX_QUANTIZER_HANDLES - MATRIX_BAD_HANDLES,
    GOOD_OBSERVERS = MATRIX_OBSERVER_HANDLES - MATRIX_BAD_HANDLES,
    GOOD_ROTATIONS = MATRIX_ROTATION_HANDLES - MATRIX_BAD_HANDLES
};

static diffquant_config *configs[GOOD_CONFIGS];
static struct config_text config_states[GOOD_CONFIGS];
static diffquant_quantizer *quantizers[GOOD_QUANTIZERS];
static struct quantizer_state quantizer_states[GOOD_QUANTIZERS];
static diffquant_observer *observers[GOOD_OBSERVERS];
static struct observer_text observer_states[GOOD_OBSERVERS];
static diffquant_rotation *rotations[GOOD_ROTATIONS];

/* JSON of some of them. */
static struct config_text config_text;
static struct observer_text observer_text;
static char quantizer_text[1024];

/* Those that the call under way was given. */
static struct {
    diffquant_config *config;
    diffquant_quantizer *quantizer;
    diffquant_observer *observer;
    size_t choice;
} handles[MOST_HANDLES];
static size_t handle_count;

/* Whether a handle of the call is no good, which must be refused. */
static bool has_bad_handle;

void matrix_make_handles(void) {
    REQUIRE_OK(diffquant_config_new(&configs[0]));
    config_text = text_of(configs[0]);
    REQUIRE_OK(diffquant_config_new_preset(DIFFQUANT_PRESET_PIQ2, &configs[1]));

    /* An estimator with every gradient and a free zero point; pi, rotated; channels; one that lacks a shape. */
    REQUIRE_OK(diffquant_quantizer_new_uniform(4, DIFFQUANT_STE_LSQ_PLUS, 0.0f, &quantizers[0]));
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizers[0], 0));
    REQUIRE_OK(diffquant_quantizer_new_pi(3, 4, &quantizers[1]));
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizers[1], DIFFQUANT_ROUNDING_HALF_EVEN));
    REQUIRE_OK(diffquant_quantizer_set_incoherence(quantizers[1], 1));
    REQUIRE_OK(diffquant_quantizer_new_uniform(8, DIFFQUANT_STE_EWGS, 0.1f, &quantizers[2]));
    REQUIRE_OK(diffquant_quantizer_init_per_channel(quantizers[2], 31));
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizers[2], DIFFQUANT_ROUNDING_STOCHASTIC));
    REQUIRE_OK(diffquant_quantizer_set_non_finite(quantizers[2], DIFFQUANT_NON_FINITE_REJECT));
    REQUIRE_OK(diffquant_quantizer_new_uniform(2, DIFFQUANT_STE_CLIPPED, 0.7f, &quantizers[3]));
    REQUIRE_OK(diffquant_quantizer_set_granularity(quantizers[3], DIFFQUANT_GRANULARITY_PER_TOKEN, 0));

    /* Of tensors, with data; of channels, without. */
    static const float seen[] = {0.5f, -3.0f, NAN};
    static const size_t shape[] = {1, 31};
    observers[0] = new_observer(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
    REQUIRE_OK(diffquant_observer_observe(observers[0], seen, COUNT(seen)));
    observer_text = observer_text_of(observers[0]);
    observers[1] = new_observer(DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE);
    observers[2] = new_observer(DIFFQUANT_OBSERVER_KIND_MIN_MAX);
    REQUIRE_OK(diffquant_observer_set_shape(observers[2], shape, 2, 1));

    for (size_t i = 0; i < GOOD_OBSERVERS; i++) {
        observer_states[i] = observer_text_of(observers[i]);
    }
    size_t length = 0;
    REQUIRE_OK(diffquant_quantizer_to_json(quantizers[1], quantizer_text, sizeof quantizer_text, &length));
    REQUIRE_OK(diffquant_rotation_new(1, 7, &rotations[0]));
    REQUIRE_OK(diffquant_rotation_new(33, 7, &rotations[1]));

    for (size_t i = 0; i < GOOD_CONFIGS; i++) {
        config_states[i] = text_of(configs[i]);
    }
    for (size_t i = 0; i < GOOD_QUANTIZERS; i++) {
        quantizer_states[i] = state_of(quantizers[i]);
    }
}

void matrix_free_handles(void) {
    for (size_t i = 0; i < GOOD_CONFIGS; i++) {
        diffquant_config_free(configs[i]);
    }
    for (size_t i = 0; i < GOOD_QUANTIZERS; i++) {
        diffquant_quantizer_free(quantizers[i]);
    }
    for (size_t i = 0; i < GOOD_OBSERVERS; i++) {
        diffquant_observer_free(observers[i]);
    }
    for (size_t i = 0; i < GOOD_ROTATIONS; i++) {
        diffquant_rotation_free(rotations[i]);
    }
}

const char *matrix_text_for(const char *function) {
    if (strcmp(function, "diffquant_quantizer_from_json") == 0) {
        return quantizer_text;
    }
    if (strcmp(function, "diffquant_observer_from_json") == 0) {
        return observer_text.text;
    }
    REQUIRE(strcmp(function, "diffquant_config_from_json") == 0);
    return config_text.text;
}

void matrix_begin_handles(void) {
    handle_count = 0;
    has_bad_handle = false;
}

bool matrix_has_bad_handle(void) {
    return has_bad_handle;
}

/* A handle that is none of an object: `choice` of those there are; `good` is a handle of the type, and so is `freed`. */
static void *bad_handle(size_t choice, void *good, void *freed, void *other) {
    void *const bad[MATRIX_BAD_HANDLES] = {NULL, at_offset(good, 1), freed, other};
    return bad[choice];
}

static diffquant_config *new_config(size_t choice) {
    diffquant_config *copy = NULL;
    REQUIRE(diffquant_config_clone(configs[choice], &copy) == DIFFQUANT_STATUS_OK);
    return copy;
}

static diffquant_quantizer *new_quantizer(size_t choice) {
    diffquant_quantizer *copy = NULL;
    REQUIRE(diffquant_quantizer_clone(quantizers[choice], &copy) == DIFFQUANT_STATUS_OK);
    return copy;
}

static diffquant_observer *copy_of_observer(size_t choice) {
    diffquant_observer *copy = NULL;
    REQUIRE(diffquant_observer_clone(observers[choice], &copy) == DIFFQUANT_STATUS_OK);
    return copy;
}

/* Freed just now: so it is recognised. */
static diffquant_config *freed_config(void) {
    diffquant_config *handle = new_config(0);
    diffquant_config_free(handle);
    return handle;
}

static diffquant_quantizer *freed_quantizer(void) {
    diffquant_quantizer *handle = new_quantizer(0);
    diffquant_quantizer_free(handle);
    return handle;
}

static diffquant_observer *freed_observer(void) {
    diffquant_observer *handle = copy_of_observer(0);
    diffquant_observer_free(handle);
    return handle;
}

static diffquant_rotation *freed_rotation(void) {
    diffquant_rotation *handle = NULL;
    REQUIRE_OK(diffquant_rotation_new(3, 0, &handle));
    diffquant_rotation_free(handle);
    return handle;
}

diffquant_observer *matrix_observer(size_t choice) {
    if (choice >= GOOD_OBSERVERS) {
        has_bad_handle = true;
        return bad_handle(choice - GOOD_OBSERVERS, observers[0], freed_observer(), configs[0]);
    }
    REQUIRE(handle_count < MOST_HANDLES);
    handles[handle_count].config = NULL;
    handles[handle_count].quantizer = NULL;
    handles[handle_count].choice = choice;
    return handles[handle_count++].observer = copy_of_observer(choice);
}

diffquant_config *matrix_config(size_t choice) {
    if (choice >= GOOD_CONFIGS) {
        has_bad_handle = true;
        return bad_handle(choice - GOOD_CONFIGS, configs[0], freed_config(), rotations[0]);
    }
    REQUIRE(handle_count < MOST_HANDLES);
    handles[handle_count].quantizer = NULL;
    handles[handle_count].choice = choice;
    return handles[handle_count++].config = new_config(choice);
}

diffquant_quantizer *matrix_quantizer(size_t choice) {
    if (choice >= GOOD_QUANTIZERS) {
        has_bad_handle = true;
        return bad_handle(choice - GOOD_QUANTIZERS, quantizers[0], freed_quantizer(), configs[0]);
    }
    REQUIRE(handle_count < MOST_HANDLES);
    handles[handle_count].config = NULL;
    handles[handle_count].choice = choice;
    return handles[handle_count++].quantizer = new_quantizer(choice);
}

const diffquant_rotation *matrix_rotation(size_t choice) {
    if (choice >= GOOD_ROTATIONS) {
        has_bad_handle = true;
        return bad_handle(choice - GOOD_ROTATIONS, rotations[0], freed_rotation(), configs[0]);
    }
    return rotations[choice];
}

size_t matrix_groups(size_t choice) {
    return choice < GOOD_QUANTIZERS ? quantizer_states[choice].scale_count : 1;
}

diffquant_config *matrix_freed_config(size_t choice) {
    return choice == 0 ? new_config(0) : bad_handle(choice - 1, configs[0], freed_config(), rotations[0]);
}

diffquant_quantizer *matrix_freed_quantizer(size_t choice) {
    return choice == 0 ? new_quantizer(0) : bad_handle(choice - 1, quantizers[0], freed_quantizer(), configs[0]);
}

diffquant_observer *matrix_freed_observer(size_t choice) {
    return choice == 0 ? copy_of_observer(0) : bad_handle(choice - 1, observers[0], freed_observer(), configs[0]);
}

diffquant_rotation *matrix_freed_rotation(size_t choice) {
    if (choice > 0) {
        return bad_handle(choice - 1, rotations[0], freed_rotation(), configs[0]);
    }
    diffquant_rotation *made = NULL;
    REQUIRE_OK(diffquant_rotation_new(3, 0, &made));
    return made;
}

void matrix_release_config(void *handle) {
    diffquant_config_free(handle);
}

void matrix_release_quantizer(void *handle) {
    diffquant_quantizer_free(handle);
}

void matrix_release_observer(void *handle) {
    diffquant_observer_free(handle);
}

void matrix_release_rotation(void *handle) {
    diffquant_rotation_free(handle);
}

void matrix_check_handles(diffquant_status status) {
    for (size_t i = 0; i < handle_count; i++) {
        if (handles[i].config != NULL) {
            if (status != DIFFQUANT_STATUS_OK) {
                CHECK_CONFIG(handles[i].config, &config_states[handles[i].choice]);
            }
            diffquant_config_free(handles[i].config);
        } else if (handles[i].quantizer == NULL) {
            if (status != DIFFQUANT_STATUS_OK) {
                CHECK_OBSERVER(handles[i].observer, &observer_states[handles[i].choice]);
            }
            diffquant_observer_free(handles[i].observer);
        } else {
            if (status != DIFFQUANT_STATUS_OK) {
                CHECK_STATE(handles[i].quantizer, &quantizer_states[handles[i].choice]);
            }
            diffquant_quantizer_free(handles[i].quantizer);
        }
    }
}
