/* Runs the argument matrix: `matrix combinations`, `matrix combinations 11` for every eleventh, or `matrix lengths`; prints a line for
 * each function and a sum. */

#define _DEFAULT_SOURCE

#include "handles.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_POINTERS = 16, LARGEST_TEXT = 1 << 16, LONGEST = 300 };

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
    matrix_begin_handles();
    check_context("%s, choices%s", function, choices_now);
    return true;
}

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

size_t matrix_text_length(size_t choice, const char *function) {
    return choice < MATRIX_SIZES ? matrix_sizes[choice] : strlen(matrix_text_for(function));
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
            memcpy(memory, matrix_text_for(function_now), elements);
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
    CHECK(!matrix_has_bad_handle() || status != DIFFQUANT_STATUS_OK);
    check_pointers(status, partial);
    matrix_check_handles(status);
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
    matrix_make_handles();
    for (const struct matrix_row *row = matrix_rows; row->function != NULL; row++) {
        run_row(row, of_lengths);
    }
    matrix_free_handles();
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
