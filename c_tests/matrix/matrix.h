/* What the generated part of the argument matrix (tests/argument_matrix.rs) calls: arguments of every kind, good and bad,
 * and the checks around each call.
 *
 * Every pointer goes to memory of its own between two pages that nobody may touch. */

#ifndef MATRIX_H
#define MATRIX_H

#include "island.h"

#include <float.h>
#include <math.h>

/* ---- The calls of a function ------------------------------------------------------------------------------------- */

/* Begins a call, unless this run leaves it out; `choices` are the indices of its arguments' values, for messages. */
bool matrix_begin(const char *function, const size_t *choices, size_t count);

/* Ends a call. A function without a status ends with OK. After `partial` an output may have been written. */
void matrix_end(diffquant_status status, diffquant_status partial);

/* Whether calls that have begun give pointers to what ends where memory ends, or begins where it begins. */
extern bool matrix_at_end;

/* Whether weights have a NaN, infinities and a subnormal among them. */
extern bool matrix_specials;

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

/* Counts of elements; the last two are more than memory holds. */
enum { MATRIX_SIZES = 7 };
extern const size_t matrix_sizes[MATRIX_SIZES];

/* Lengths of a text: counts, and the length of the JSON that belongs to the function. */
enum { MATRIX_TEXTS = MATRIX_SIZES + 1 };
size_t matrix_text_length(size_t choice, const char *function);

/* Sizes of a buffer for text: counts, and one that is large enough. */
enum { MATRIX_CAPACITIES = MATRIX_SIZES + 1 };
size_t matrix_capacity(size_t choice);

enum { MATRIX_FLOATS = 7 };
extern const float matrix_floats[MATRIX_FLOATS];

enum { MATRIX_NUMBERS = 7 };
extern const uint32_t matrix_numbers[MATRIX_NUMBERS];

enum { MATRIX_LONG_NUMBERS = 3 };
extern const uint64_t matrix_long_numbers[MATRIX_LONG_NUMBERS];

/* ---- Pointers ---------------------------------------------------------------------------------------------------- */

enum { MATRIX_PLACED, MATRIX_NULL, MATRIX_MISALIGNED, MATRIX_POINTERS };

/* What lies in memory that is read. */
enum matrix_fill { FILL_FLOATS, FILL_HALVES, FILL_CODES, FILL_ZERO_POINTS, FILL_SHAPE, FILL_JSON };

const void *matrix_input(enum matrix_fill fill, size_t elements, size_t bytes, size_t choice);

/* Memory that is written only if the call succeeds. */
void *matrix_output(size_t elements, size_t bytes, size_t choice);

/* Memory for a handle, freed after the call; `release` is the function for it. */
void *matrix_out_handle(void (*release)(void *), size_t choice);

/* ---- Handles: what there is of each type, then NULL, then a misaligned one ---------------------------------------- */

/* The call gets a copy, which must be as it was when the call is refused; a rotation never changes. */
enum {
    MATRIX_BAD_HANDLES = 4, /* NULL, misaligned, freed, of another type */
    MATRIX_CONFIG_HANDLES = 2 + MATRIX_BAD_HANDLES,
    MATRIX_QUANTIZER_HANDLES = 4 + MATRIX_BAD_HANDLES,
    MATRIX_OBSERVER_HANDLES = 3 + MATRIX_BAD_HANDLES,
    MATRIX_ROTATION_HANDLES = 2 + MATRIX_BAD_HANDLES
};
diffquant_config *matrix_config(size_t choice);
diffquant_quantizer *matrix_quantizer(size_t choice);
diffquant_observer *matrix_observer(size_t choice);
const diffquant_rotation *matrix_rotation(size_t choice);

/* Its scales: what arrays of one number per group have room for. 1 for handles that are no good. */
size_t matrix_groups(size_t choice);

/* For functions that free: a handle or NULL. */
enum { MATRIX_FREED = 1 + MATRIX_BAD_HANDLES };
diffquant_config *matrix_freed_config(size_t choice);
diffquant_quantizer *matrix_freed_quantizer(size_t choice);
diffquant_observer *matrix_freed_observer(size_t choice);
diffquant_rotation *matrix_freed_rotation(size_t choice);

void matrix_release_config(void *handle);
void matrix_release_quantizer(void *handle);
void matrix_release_observer(void *handle);
void matrix_release_rotation(void *handle);

/* A host's pool that does everything on this thread. */
void matrix_pool(void *context, size_t count, void (*run)(void *task, size_t index), void *task);

/* ---- The generated part ------------------------------------------------------------------------------------------ */

struct matrix_row {
    const char *function;
    /* Calls with every combination of its arguments' values. */
    void (*combinations)(void);
    /* Calls with good arguments and n elements; NULL for a function that takes no n. */
    void (*lengths)(size_t n);
};

extern const struct matrix_row matrix_rows[];

#endif
