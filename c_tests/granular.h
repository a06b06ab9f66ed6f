/* Every way to share scales, as a table, and the formulas of the header element by element in plain C: which scale an
 * element has, its code, its value and its gradients. Slow, and written without a look at the library. */

#ifndef GRANULAR_H
#define GRANULAR_H

#include "support.h"

#define MOST_DIMENSIONS 4
#define MOST_ELEMENTS 1100

/* A granularity and a shape, and how many scales they make, counted by hand. */
struct granular_case {
    const char *name;
    diffquant_granularity granularity;
    size_t block_size, shape[MOST_DIMENSIONS], ndim, axis, scales;
};

extern const struct granular_case granular_cases[];
extern const size_t granular_case_count;

size_t granular_elements(const struct granular_case *one);

/* The scale of an element, from its coordinates. */
size_t granular_scale_of(const struct granular_case *one, size_t element);

/* A STANDARD uniform quantizer of this granularity and shape; every scale is another one. */
diffquant_quantizer *granular_quantizer(const struct granular_case *one, uint32_t bits);

/* Declares the granularity and shape. */
void granular_declare(diffquant_quantizer *quantizer, const struct granular_case *one);

/* What the formulas need to know of one element's scale and of its quantizer. */
struct grid {
    float step, offset;
    int32_t zero_point, smallest, largest;
    bool half_even;
};

struct grid grid_of(const struct quantizer_state *state, size_t scale);

int8_t grid_code(const struct grid *grid, float w);
float grid_value(const struct grid *grid, int8_t code);

/* One weight on the way back, in double precision: its gradient, and its terms of the gradients of scale and offset
 * before any factor. For RANGE_CLIPPED, LSQ, LSQ_PLUS and EWGS_SIGNED. */
struct gradient_terms {
    double weight, scale, offset;
};

struct gradient_terms grid_gradients(const struct grid *grid, diffquant_ste ste, float ste_param, float w, float g);

#endif
