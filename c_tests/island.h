/* Memory between two pages that nobody may touch: one byte too far, even of a vector load, is a segmentation fault.
 * POSIX only. */

#ifndef ISLAND_H
#define ISLAND_H

#include "support.h"

struct island {
    char *first;
    size_t bytes, page;
};

/* At least `bytes` of memory, in whole pages. */
struct island island_new(size_t bytes);
void island_free(struct island *island);

/* `bytes` at the end of the island, or at its beginning. */
void *island_place(const struct island *island, size_t bytes, bool at_end);

/* The same, with a copy of what is at `from`. */
void *island_copy(const struct island *island, const void *from, size_t bytes, bool at_end);

#endif
