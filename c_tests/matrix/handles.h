/* What the argument matrix asks of its handles around a call. */

#ifndef MATRIX_HANDLES_H
#define MATRIX_HANDLES_H

#include "matrix.h"

/* Makes the objects that calls get copies of, and frees them. */
void matrix_make_handles(void);
void matrix_free_handles(void);

/* The JSON that a function reads, of an object of its kind. */
const char *matrix_text_for(const char *function);

/* Begins a call, which has been given no handle yet. */
void matrix_begin_handles(void);

/* Whether a handle of the call is no good, which must be refused. */
bool matrix_has_bad_handle(void);

/* Checks that a call that ended in `status` changed no handle unless it succeeded, and frees them. */
void matrix_check_handles(diffquant_status status);

#endif
