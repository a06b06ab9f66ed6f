/* Runs the argument matrix: `matrix combinations`, `matrix combinations 11` for every eleventh, or `matrix lengths`; prints a line for
 * each function and a sum. */

#define _DEFAULT_SOURCE

#include "matrix.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_POINTERS = 16, MOST_HANDLES = 4, LARGEST_TEXT = 1 << 16, LONGEST = 300 };

bool matrix_at_end = true;
bool matrix_specials = false;

const size_t matrix_sizes[MATRIX_SIZES] = {0, 1, 31, 32, 33, SIZE_MAX / 4 + 1, SIZE_MAX};
const float matrix_floats[MATRIX_FLOATS] = {0.5f, 0.0f, -1.0f, 1e-45f, FLT_MAX, INFINITY, NAN};
const uint32_t matrix_numbers[MATRIX_NUMBERS] = {4, 0, 1, 2, 9, 33, UINT32_MAX};
const uint64_t matrix_long_numbers[MATRIX_LONG_NUMBERS] = {1, 0, UINT64_MAX};

/* ---- The call that is under way ----------------------------------------------------------------------------------- */

static const char *function_now;
static char choices_now[128];

static uint64_t calls, accepted;

/* What the call was given, in the order in which it was asked for. */
static struct {
    struct island island;
    void *data;
    size_t bytes;
    unsigned char before[LARGEST_TEXT];
    void (*release)(void *);
    bool written;
} pointers[MOST_POINTERS];
static size_t pointer_count;

static struct {
    diffquant_config *config;
    diffquant_quantizer *quantizer;
    diffquant_observer *observer;
    size_t choice;
} handles[MOST_HANDLES];
static size_t handle_count;

/* Whether a handle of the call is no good, which must be refused. */
static bool has_bad_handle;

/* A crash says which call it was. */
static void crashed(int number) {
    char text[256];
    const int length = snprintf(text, sizeof text, "signal %d in %s, choices%s\n", number, function_now, choices_now);
    if (write(STDOUT_FILENO, text, (size_t)length) == length) {
        _exit(EXIT_FAILURE);
    }
    abort();
}

/* One combination of so many is tried. */
static unsigned long stride = 1;

bool matrix_begin(const char *function, const size_t *choices, size_t count) {
    static unsigned long combination;
    if (combination++ % stride != 0) {
        return false;
    }
    function_now = function;
    size_t at = 0;
    choices_now[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        at += (size_t)snprintf(choices_now + at, sizeof choices_now - at, " %zu", choices[i]);
    }
    pointer_count = 0;
    handle_count = 0;
    has_bad_handle = false;
    check_context("%s, choices%s", function, choices_now);
    return true;
}

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

static struct config_text config_text;
static struct observer_text observer_text;
static char quantizer_text[1024];

static const char *text_for(const char *function) {
    if (strcmp(function, "diffquant_quantizer_from_json") == 0) {
        return quantizer_text;
    }
    if (strcmp(function, "diffquant_observer_from_json") == 0) {
        return observer_text.text;
    }
    REQUIRE(strcmp(function, "diffquant_config_from_json") == 0);
    return config_text.text;
}

size_t matrix_text_length(size_t choice, const char *function) {
    return choice < MATRIX_SIZES ? matrix_sizes[choice] : strlen(text_for(function));
}

size_t matrix_capacity(size_t choice) {
    if (choice == MATRIX_SIZES) {
        return LARGEST_TEXT;
    }
    /* So many floats cannot be, but bytes could: twice as many cannot. */
    return matrix_sizes[choice] == SIZE_MAX / 4 + 1 ? SIZE_MAX / 2 + 1 : matrix_sizes[choice];
}

/* ---- Pointers ---------------------------------------------------------------------------------------------------- */

static void fill(enum matrix_fill what, void *memory, size_t elements, size_t bytes) {
    switch (what) {
    case FILL_FLOATS:
        fill_weights(memory, elements, (uint32_t)elements, matrix_specials);
        if (matrix_specials && elements > 0) {
            ((float *)memory)[elements - 1] = 1e-41f;
        }
        break;
    case FILL_HALVES:
        for (size_t i = 0; i < elements; i++) {
            const uint16_t any = (uint16_t)(i * 40503u + 77u);
            /* Without one bit of the exponent it is finite, as f16 and as bf16. */
            ((uint16_t *)memory)[i] = matrix_specials ? any : (uint16_t)(any & 0xBBFFu);
        }
        break;
    case FILL_CODES:
        for (size_t i = 0; i < elements; i++) {
            ((int8_t *)memory)[i] = (int8_t)(i * 37u);
        }
        break;
    case FILL_ZERO_POINTS:
        for (size_t i = 0; i < elements; i++) {
            ((int32_t *)memory)[i] = matrix_specials ? INT32_MIN : 1;
        }
        break;
    case FILL_SHAPE:
        for (size_t i = 0; i < elements; i++) {
            ((size_t *)memory)[i] = matrix_specials ? SIZE_MAX : 2;
        }
        break;
    case FILL_JSON:
        memset(memory, '[', elements * bytes);
        if (elements == matrix_text_length(MATRIX_SIZES, function_now)) {
            memcpy(memory, text_for(function_now), elements);
        }
        break;
    }
}

/* A pointer of the call; the memory is good for `elements`, unless nobody could have that much. */
static void *pointer(size_t elements, size_t bytes, size_t choice) {
    if (choice == MATRIX_NULL) {
        return NULL;
    }
    REQUIRE(pointer_count < MOST_POINTERS);
    const size_t index = pointer_count++;
    if (pointers[index].island.bytes == 0) {
        pointers[index].island = island_new(LARGEST_TEXT);
    }
    const size_t size = elements > LARGEST_TEXT ? 0 : elements * bytes;
    pointers[index].data = island_place(&pointers[index].island, size, matrix_at_end);
    pointers[index].bytes = size;
    pointers[index].release = NULL;
    pointers[index].written = false;
    return pointers[index].data;
}

/* The pointer, or one beside it that is aligned for nothing. */
static void *as_chosen(void *data, size_t bytes, size_t choice) {
    return choice == MATRIX_MISALIGNED && bytes > 1 ? at_offset(data, 1) : data;
}

const void *matrix_input(enum matrix_fill what, size_t elements, size_t bytes, size_t choice) {
    void *data = pointer(elements, bytes, choice);
    if (data == NULL) {
        return NULL;
    }
    const size_t size = pointers[pointer_count - 1].bytes;
    fill(what, data, size / bytes, bytes);
    memcpy(pointers[pointer_count - 1].before, data, size);
    return as_chosen(data, bytes, choice);
}

void *matrix_output(size_t elements, size_t bytes, size_t choice) {
    void *data = pointer(elements, bytes, choice);
    if (data == NULL) {
        return NULL;
    }
    const size_t size = pointers[pointer_count - 1].bytes;
    touch_not(data, size);
    memcpy(pointers[pointer_count - 1].before, data, size);
    pointers[pointer_count - 1].written = true;
    return as_chosen(data, bytes, choice);
}

void *matrix_out_handle(void (*release)(void *), size_t choice) {
    void *data = matrix_output(1, sizeof(void *), choice);
    if (data != NULL && choice == MATRIX_PLACED) {
        pointers[pointer_count - 1].release = release;
    }
    return data;
}

static void check_pointers(diffquant_status status, diffquant_status partial) {
    for (size_t i = 0; i < pointer_count; i++) {
        if (!pointers[i].written) {
            CHECK(memcmp(pointers[i].data, pointers[i].before, pointers[i].bytes) == 0);
        } else if (status == DIFFQUANT_STATUS_OK) {
            if (pointers[i].release != NULL) {
                void *made;
                memcpy(&made, pointers[i].data, sizeof made);
                pointers[i].release(made);
            }
        } else if (status != partial) {
            CHECK(still_untouched(pointers[i].data, pointers[i].bytes));
        }
    }
}

/* ---- Handles ----------------------------------------------------------------------------------------------------- */

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

static void make_handles(void) {
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

static void check_handles(diffquant_status status) {
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

void matrix_pool(void *context, size_t count, void (*run)(void *task, size_t index), void *task) {
    (void)context;
    for (size_t index = 0; index < count; index++) {
        run(task, index);
    }
}

/* ---- Around the calls --------------------------------------------------------------------------------------------- */

void matrix_end(diffquant_status status, diffquant_status partial) {
    calls++;
    accepted += status == DIFFQUANT_STATUS_OK;
    CHECK(strncmp(diffquant_status_name(status), "DIFFQUANT_STATUS_", 17) == 0);
    CHECK(status != DIFFQUANT_STATUS_INTERNAL);
    if (status != DIFFQUANT_STATUS_OK) {
        CHECK(diffquant_last_error_message()[0] != '\0');
    }
    CHECK(!has_bad_handle || status != DIFFQUANT_STATUS_OK);
    check_pointers(status, partial);
    check_handles(status);
}

static void run_combinations(const struct matrix_row *row) {
    calls = accepted = 0;
    for (int specials = 0; specials <= 1; specials++) {
        matrix_specials = specials != 0;
        row->combinations();
    }
    printf("%s: %" PRIu64 " calls, %" PRIu64 " accepted\n", row->function, calls, accepted);
}

static void run_lengths(const struct matrix_row *row) {
    if (row->lengths == NULL) {
        return;
    }
    calls = accepted = 0;
    uint32_t sets = 0;
    for (diffquant_isa isa = DIFFQUANT_ISA_BASELINE; isa <= DIFFQUANT_ISA_NEON; isa++) {
        if (diffquant_set_isa(isa) != DIFFQUANT_STATUS_OK) {
            continue; /* not of this machine */
        }
        sets++;
        for (int at_end = 0; at_end <= 1; at_end++) {
            matrix_at_end = at_end != 0;
            for (size_t n = 0; n <= LONGEST; n++) {
                row->lengths(n);
            }
        }
    }
    check_context("%s", row->function);
    CHECK(sets > 0);
    CHECK_UINT(accepted, calls);
    printf("%s: %" PRIu64 " calls, %" PRIu64 " accepted\n", row->function, calls, accepted);
}

static void run_row(const struct matrix_row *row, bool lengths) {
    if (lengths) {
        run_lengths(row);
    } else {
        run_combinations(row);
    }
}

static bool of_lengths;

TEST(matrix) {
    make_handles();
    for (const struct matrix_row *row = matrix_rows; row->function != NULL; row++) {
        run_row(row, of_lengths);
    }
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

const struct check_case check_cases[] = {{"matrix.c", "matrix", test_matrix}, {NULL, NULL, NULL}};

int main(int argc, char **argv) {
    REQUIRE(argc == 2 || argc == 3);
    of_lengths = strcmp(argv[1], "lengths") == 0;
    stride = argc == 3 ? strtoul(argv[2], NULL, 10) : 1;
    REQUIRE(stride > 0);
    REQUIRE(of_lengths || strcmp(argv[1], "combinations") == 0);
    signal(SIGSEGV, crashed);
    signal(SIGBUS, crashed);
    return check_run(NULL);
}
