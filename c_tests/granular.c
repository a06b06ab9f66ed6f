#include "granular.h"

/* ---- The table --------------------------------------------------------------------------------------------------- */

#define TENSOR DIFFQUANT_GRANULARITY_PER_TENSOR
#define CHANNEL DIFFQUANT_GRANULARITY_PER_CHANNEL
#define TOKEN DIFFQUANT_GRANULARITY_PER_TOKEN
#define BLOCK DIFFQUANT_GRANULARITY_PER_BLOCK

/* Short and long, whole blocks of the kernels and parts of one, and the shapes at which one turns into the other. */
const struct granular_case granular_cases[] = {
    {"tensor of one", TENSOR, 0, {1}, 1, 0, 1},
    {"tensor", TENSOR, 0, {2, 3, 11}, 3, 2, 1},
    {"channels on the first axis, short", CHANNEL, 0, {5, 9}, 2, 0, 5},
    {"channels on the first axis, whole blocks", CHANNEL, 0, {3, 64}, 2, 0, 3},
    {"channels on the first axis, long", CHANNEL, 0, {3, 300}, 2, 0, 3},
    {"channels on the first of three axes", CHANNEL, 0, {4, 3, 7}, 3, 0, 4},
    {"channels in the middle, short", CHANNEL, 0, {3, 4, 5}, 3, 1, 4},
    {"channels in the middle, whole blocks", CHANNEL, 0, {2, 3, 32}, 3, 1, 3},
    {"channels in the middle, long", CHANNEL, 0, {2, 2, 257}, 3, 1, 2},
    {"channels in the middle of four axes", CHANNEL, 0, {2, 3, 5, 2}, 4, 2, 5},
    {"channels on the last axis", CHANNEL, 0, {7, 5}, 2, 1, 5},
    {"channels on the last axis, whole blocks", CHANNEL, 0, {5, 96}, 2, 1, 96},
    {"channels on the last axis, a block and a part", CHANNEL, 0, {9, 45}, 2, 1, 45},
    {"channels on the only axis", CHANNEL, 0, {37}, 1, 0, 37},
    {"one channel among many elements", CHANNEL, 0, {3, 1, 13}, 3, 1, 1},
    {"tokens, short", TOKEN, 0, {2, 3, 5}, 3, 0, 6},
    {"tokens, whole blocks", TOKEN, 0, {2, 2, 64}, 3, 1, 4},
    {"tokens, long", TOKEN, 0, {3, 333}, 2, 0, 3},
    {"tokens of one element", TOKEN, 0, {41, 1}, 2, 1, 41},
    {"one token", TOKEN, 0, {19}, 1, 0, 1},
    {"blocks along the first axis", BLOCK, 3, {7, 5}, 2, 0, 15},
    {"blocks along the first axis, many rows", BLOCK, 32, {70, 11}, 2, 0, 33},
    {"blocks along the first axis, wide rows", BLOCK, 2, {5, 64}, 2, 0, 192},
    {"blocks in the middle", BLOCK, 2, {3, 5, 4}, 3, 1, 36},
    {"blocks in the middle, wide rows", BLOCK, 3, {2, 4, 67}, 3, 1, 268},
    {"blocks along the last axis, a short last one", BLOCK, 4, {5, 10}, 2, 1, 15},
    {"blocks along the last axis, whole ones", BLOCK, 5, {4, 15}, 2, 1, 12},
    {"blocks of 32 along the last axis", BLOCK, 32, {4, 96}, 2, 1, 12},
    {"blocks of 32 along the last axis, a short last one", BLOCK, 32, {3, 70}, 2, 1, 9},
    {"blocks of 300 along the last axis, a short last one", BLOCK, 300, {1, 1000}, 2, 1, 4},
    {"blocks of one along the last axis", BLOCK, 1, {3, 13}, 2, 1, 39},
    {"blocks of one along the first axis", BLOCK, 1, {6, 7}, 2, 0, 42},
    {"blocks longer than their axis", BLOCK, 1000, {3, 6, 2}, 3, 1, 6},
    {"blocks of more than any axis has", BLOCK, SIZE_MAX, {2, 9}, 2, 1, 2},
};

const size_t granular_case_count = COUNT(granular_cases);

size_t granular_elements(const struct granular_case *one) {
    size_t elements = 1;
    for (size_t i = 0; i < one->ndim; i++) {
        elements *= one->shape[i];
    }
    return elements;
}

size_t granular_scale_of(const struct granular_case *one, size_t element) {
    /* The coordinates, the last one the fastest; then the three indices of the header: outer, along the axis, inner. */
    size_t at[MOST_DIMENSIONS] = {0};
    for (size_t i = one->ndim; i > 0; i--) {
        at[i - 1] = element % one->shape[i - 1];
        element /= one->shape[i - 1];
    }
    const size_t axis = one->granularity == TOKEN ? one->ndim - 1 : one->axis;
    size_t outer = 0, inner = 0, inner_size = 1;
    for (size_t i = 0; i < axis; i++) {
        outer = outer * one->shape[i] + at[i];
    }
    for (size_t i = axis + 1; i < one->ndim; i++) {
        inner = inner * one->shape[i] + at[i];
        inner_size *= one->shape[i];
    }
    switch (one->granularity) {
    case TENSOR:
        return 0;
    case CHANNEL:
        return at[axis];
    case TOKEN:
        return outer;
    default: {
        size_t blocks = 0; /* counted, not divided */
        for (size_t start = 0; start < one->shape[axis]; start += one->block_size) {
            blocks++;
            if (one->block_size >= one->shape[axis] - start) {
                break;
            }
        }
        return (outer * blocks + at[axis] / one->block_size) * inner_size + inner;
    }
    }
}

void granular_declare(diffquant_quantizer *quantizer, const struct granular_case *one) {
    REQUIRE_OK(diffquant_quantizer_set_granularity(quantizer, one->granularity, one->block_size));
    REQUIRE_OK(diffquant_quantizer_set_shape(quantizer, one->shape, one->ndim, one->axis));
}

diffquant_quantizer *granular_quantizer(const struct granular_case *one, uint32_t bits) {
    float scales[MOST_SCALES];
    diffquant_quantizer *quantizer = uniform_quantizer(bits, 1.0f);
    granular_declare(quantizer, one);
    REQUIRE(one->scales <= MOST_SCALES);
    for (size_t i = 0; i < one->scales; i++) {
        scales[i] = 0.11f + 0.0137f * (float)(i * 29 % 101);
    }
    REQUIRE_OK(diffquant_quantizer_set_scales(quantizer, scales, one->scales));
    return quantizer;
}

/* ---- The formulas ------------------------------------------------------------------------------------------------ */

struct grid grid_of(const struct quantizer_state *state, size_t scale) {
    return (struct grid){
        .step = state->steps[scale],
        .offset = state->offsets[scale],
        .zero_point = state->zero_points[scale],
        .smallest = state->smallest,
        .largest = state->largest,
        .half_even = state->rounding == DIFFQUANT_ROUNDING_HALF_EVEN,
    };
}

static float quotient_of(const struct grid *grid, float w) {
    const float from_offset = w - grid->offset;
    return from_offset / grid->step;
}

static float rounded(const struct grid *grid, float quotient) {
    return grid->half_even ? rintf(quotient) : roundf(quotient);
}

int8_t grid_code(const struct grid *grid, float w) {
    const float quotient = quotient_of(grid, w);
    if (isnan(quotient)) {
        return (int8_t)grid->zero_point;
    }
    const double code = (double)rounded(grid, quotient) + grid->zero_point;
    return (int8_t)fmin(fmax(code, grid->smallest), grid->largest);
}

float grid_value(const struct grid *grid, int8_t code) {
    const float distance = (float)(code - grid->zero_point) * grid->step;
    return grid->offset == 0.0f ? distance : distance + grid->offset;
}

struct gradient_terms grid_gradients(const struct grid *grid, diffquant_ste ste, float ste_param, float w, float g) {
    const float v = quotient_of(grid, w), r = rounded(grid, v);
    const float lowest = (float)(grid->smallest - grid->zero_point),
                highest = (float)(grid->largest - grid->zero_point);
    const bool passes = ste == DIFFQUANT_STE_RANGE_CLIPPED ? lowest <= r && r <= highest : lowest < v && v < highest;
    if (!passes) {
        /* A NaN is outside, and on neither side. */
        const double level = isnan(v) ? 0.0 : (double)(r <= lowest ? lowest : highest);
        return (struct gradient_terms){0.0, g * level, g};
    }
    const float from_offset = w - grid->offset;
    const double residual = (double)from_offset / (double)grid->step - (double)r;
    const double sign = g > 0.0f ? 1.0 : g < 0.0f ? -1.0 : 0.0;
    const double gain = ste == DIFFQUANT_STE_EWGS_SIGNED ? 1.0 + (double)ste_param * sign * residual : 1.0;
    return (struct gradient_terms){g * gain, g * -residual, 0.0};
}
