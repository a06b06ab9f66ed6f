/* What alloc_probe.c, a library to be preloaded, offers to the harness. Tests that need it are skipped without. */

#ifndef ALLOC_PROBE_H
#define ALLOC_PROBE_H

/* Found with dlsym, as a datum: ISO C knows no way from its void pointer to a function. */
struct alloc_probe {
    /* From now on counts the allocations of this thread, and lets fail all but the first `allowed` of them. */
    void (*start)(long allowed);
    /* Ends that; tells how many allocations were asked for. */
    long (*stop)(void);
    /* Blocks allocated between start and stop and not freed yet. */
    long (*outstanding)(void);
    /* From now on no thread can be made, or again. Tells how many were asked for in vain. */
    long (*refuse_threads)(int refuse);
};

#define ALLOC_PROBE_SYMBOL "diffquant_alloc_probe"

/* The probe, or NULL after check_skipped when it is not preloaded. */
const struct alloc_probe *alloc_probe_find(void);

#endif
