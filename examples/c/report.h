/* What the program says on stderr while it works: its progress, and why it stops. */
#ifndef REPORT_H
#define REPORT_H

#include <stddef.h>

/* Where a training run stands. `run` of `runs` counts from 1, `epoch` of `epochs` too; with 0 runs nothing is said. */
typedef struct {
    char name[48];
    size_t run, runs;
    size_t epoch, epochs;
    float loss;     /* mean training loss of this epoch */
    float accuracy; /* on the test images, after this epoch, 0..1 */
} progress;

/* On a terminal: rewrites one line at every epoch. Elsewhere (a file, a pipe, a CI log): one plain line per run. */
void report_progress(const progress *now);

/* Clears the rewritten line, so that what follows starts on a clean one. */
void report_progress_end(void);

/* What die says that it is. */
extern const char *program_name;

/* An example that cannot go on says why and exits with EXIT_FAILURE; a training runtime would hand a status upward. */
_Noreturn void die(const char *format, ...);

/* malloc for `count` elements, or die. */
void *allocate(size_t count, size_t element_size);

#endif
