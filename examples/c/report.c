#define _POSIX_C_SOURCE 200809L /* isatty, fileno */

#include "report.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Back to the first column, and erase to the end of the line (ECMA-48). */
static const char REWRITE_LINE[] = "\r\033[K";

const char *program_name = "train_digits";

static bool line_is_open = false;

void report_progress(const progress *now) {
    bool terminal = isatty(fileno(stderr)) != 0;
    if (now->runs == 0) {
        return;
    }
    if (!terminal && now->epoch != now->epochs) {
        return;
    }
    /* At most 79 columns: a line that wraps cannot be rewritten. */
    fprintf(stderr, "%s[%*zu/%zu] %-34s %2zu/%zu  loss %.4f  test %5.2f %%%s", terminal ? REWRITE_LINE : "",
            now->runs >= 100 ? 3 : 2, now->run, now->runs, now->name, now->epoch, now->epochs, (double)now->loss,
            100.0 * (double)now->accuracy, terminal ? "" : "\n");
    fflush(stderr);
    line_is_open = terminal;
}

void report_progress_end(void) {
    if (line_is_open) {
        fputs(REWRITE_LINE, stderr);
        line_is_open = false;
    }
}

void die(const char *format, ...) {
    va_list arguments;
    report_progress_end();
    fprintf(stderr, "%s: ", program_name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

void *allocate(size_t count, size_t element_size) {
    void *memory = element_size != 0 && count > SIZE_MAX / element_size ? NULL : malloc(count * element_size);
    if (memory == NULL) {
        die("out of memory: %zu elements of %zu bytes", count, element_size);
    }
    return memory;
}
