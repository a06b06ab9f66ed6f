/* The fields of a configuration whose setter takes one number and whose getter gives it back: tables for tests that
 * promise the same of all of them. ste and granularity take two numbers and are tested by themselves. */

#ifndef CONFIG_FIELDS_H
#define CONFIG_FIELDS_H

#include "support.h"

struct float_field {
    const char *name;
    diffquant_status (*set)(diffquant_config *, float);
    diffquant_status (*get)(const diffquant_config *, float *);
    float initial;
    bool zero_is_allowed;
};

struct size_field {
    const char *name;
    diffquant_status (*set)(diffquant_config *, size_t);
    diffquant_status (*get)(const diffquant_config *, size_t *);
    size_t initial;
    bool zero_is_allowed;
};

/* bits, pi_k and the flags; bit i of `allowed` says whether i is a good value. */
struct uint32_field {
    const char *name;
    diffquant_status (*set)(diffquant_config *, uint32_t);
    diffquant_status (*get)(const diffquant_config *, uint32_t *);
    uint32_t initial;
    uint32_t allowed;
};

extern const struct float_field float_fields[];
extern const struct size_field size_fields[];
extern const struct uint32_field uint32_fields[];
extern const size_t float_field_count, size_field_count, uint32_field_count;

#endif
