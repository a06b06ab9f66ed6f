/* For MAP_ANONYMOUS beside -std=c11. */
#define _DEFAULT_SOURCE

#include "island.h"

#include <sys/mman.h>
#include <unistd.h>

struct island island_new(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t whole = (bytes + page - 1) / page * page;
    char *memory = mmap(NULL, whole + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    REQUIRE(mprotect(memory + page, whole, PROT_READ | PROT_WRITE) == 0);
    return (struct island){memory + page, whole, page};
}

void island_free(struct island *island) {
    REQUIRE(munmap(island->first - island->page, island->bytes + 2 * island->page) == 0);
}

void *island_place(const struct island *island, size_t bytes, bool at_end) {
    REQUIRE(bytes <= island->bytes);
    return at_end ? island->first + island->bytes - bytes : island->first;
}

void *island_copy(const struct island *island, const void *from, size_t bytes, bool at_end) {
    void *copy = island_place(island, bytes, at_end);
    memcpy(copy, from, bytes);
    return copy;
}
