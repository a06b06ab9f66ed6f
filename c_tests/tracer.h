/* Notes which function gave which status, and prints it when the program ends.
 *
 * tests/c_harness.rs writes a file that first defines `names`, the functions of the header, then includes this one,
 * then has a wrapper for each function; the linker's --wrap puts them between the harness and the library. */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { FUNCTIONS = sizeof names / sizeof *names, STATUSES = 128 };

static atomic_bool seen[FUNCTIONS][STATUSES];
static atomic_flag begun = ATOMIC_FLAG_INIT;

/* The one behind the wrapper. */
const char *__real_diffquant_status_name(diffquant_status status);

static void print_seen(void) {
    for (size_t i = 0; i < FUNCTIONS; i++) {
        for (diffquant_status status = 0; status < STATUSES; status++) {
            if (seen[i][status]) {
                printf("seen %s %s\n", names[i], __real_diffquant_status_name(status));
            }
        }
    }
}

static void note(size_t function, diffquant_status status) {
    if (!atomic_flag_test_and_set(&begun)) {
        atexit(print_seen);
    }
    seen[function][status % STATUSES] = 1;
}
