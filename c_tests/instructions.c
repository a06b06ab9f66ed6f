/* What tests/instructions.rs counts the instructions of: kernels, called through the C ABI.
 *
 *   instructions list                  the name of every kernel, one a line
 *   instructions KERNEL LENGTH...      one counted call for each length; prints the instruction set that made them
 *
 * A new kernel is a row of the table below: a quantizer, and a call. By hand, where a kernel's instructions go:
 *
 *   valgrind --tool=callgrind --toggle-collect=counted --callgrind-out-file=out instructions KERNEL LENGTH
 *   callgrind_annotate out */

#include "diffquant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_WEIGHTS 16384
#define CHANNEL 1024
#define BLOCK 32
#define TOKEN 128
#define ROW 4096
#define BITS 4
#define SCALE 0.125f

/* Aligned, so that no count depends on where the linker puts them. */
static _Alignas(64) float w[MOST_WEIGHTS], values[MOST_WEIGHTS], grad_out[MOST_WEIGHTS], out[MOST_WEIGHTS];
static _Alignas(64) float w_bell[MOST_WEIGHTS]; /* what a search does depends on the weights */
static _Alignas(64) float grad_scale[MOST_WEIGHTS], grad_offset[MOST_WEIGHTS];
static diffquant_statistics statistics;
static _Alignas(64) int8_t codes[MOST_WEIGHTS], codes_out[MOST_WEIGHTS];

/* The same weights and gradients in 16 bits, by DIFFQUANT_DTYPE. */
static _Alignas(64) uint16_t w_16[3][MOST_WEIGHTS], grad_out_16[3][MOST_WEIGHTS], out_16[MOST_WEIGHTS];

static void require(diffquant_status status) {
    if (status != DIFFQUANT_STATUS_OK) {
        fprintf(stderr, "%s: %s\n", diffquant_status_name(status), diffquant_last_error_message());
        exit(1);
    }
}

/* ---- Quantizers for n weights ------------------------------------------------------------------------------------ */

static diffquant_quantizer *with_ste(diffquant_ste ste, float ste_param) {
    diffquant_quantizer *quantizer = NULL;
    require(diffquant_quantizer_new_uniform(BITS, ste, ste_param, &quantizer));
    require(diffquant_quantizer_set_scale(quantizer, 0, SCALE));
    return quantizer;
}

static diffquant_quantizer *standard(size_t n) {
    (void)n;
    return with_ste(DIFFQUANT_STE_STANDARD, 0.0f);
}

static diffquant_quantizer *with_bits(uint32_t bits) {
    diffquant_quantizer *quantizer = NULL;
    require(diffquant_quantizer_new_uniform(bits, DIFFQUANT_STE_STANDARD, 0.0f, &quantizer));
    return quantizer;
}

static diffquant_quantizer *two_bits(size_t n) {
    (void)n;
    return with_bits(2);
}

static diffquant_quantizer *eight_bits(size_t n) {
    (void)n;
    return with_bits(8);
}

static diffquant_quantizer *clipped(size_t n) {
    (void)n;
    return with_ste(DIFFQUANT_STE_CLIPPED, 0.5f);
}

static diffquant_quantizer *learned_step_size(size_t n) {
    (void)n;
    return with_ste(DIFFQUANT_STE_LEARNED_STEP_SIZE, 0.0f);
}

static diffquant_quantizer *ewgs(size_t n) {
    (void)n;
    return with_ste(DIFFQUANT_STE_EWGS, 0.25f);
}

/* A scale for every CHANNEL weights. */
static diffquant_quantizer *per_channel(size_t n) {
    diffquant_quantizer *quantizer = learned_step_size(n);
    size_t channels = n < CHANNEL ? 1 : n / CHANNEL;
    require(diffquant_quantizer_init_per_channel(quantizer, channels));
    for (size_t channel = 0; channel < channels; channel++) {
        require(diffquant_quantizer_set_scale(quantizer, channel, SCALE));
    }
    return quantizer;
}

static diffquant_quantizer *lsq(size_t n) {
    (void)n;
    return with_ste(DIFFQUANT_STE_LSQ, 0.0f);
}

static diffquant_quantizer *lsq_plus(size_t n) {
    (void)n;
    diffquant_quantizer *quantizer = with_ste(DIFFQUANT_STE_LSQ_PLUS, 0.0f);
    const float offset = 0.1f;
    require(diffquant_quantizer_set_offsets(quantizer, &offset, 1));
    return quantizer;
}

static diffquant_quantizer *asymmetric(size_t n) {
    diffquant_quantizer *quantizer = standard(n);
    const int32_t zero_point = 3;
    require(diffquant_quantizer_set_symmetric(quantizer, 0));
    require(diffquant_quantizer_set_zero_points(quantizer, &zero_point, 1));
    return quantizer;
}

static diffquant_quantizer *asymmetric_2_bits(size_t n) {
    diffquant_quantizer *quantizer = two_bits(n);
    require(diffquant_quantizer_set_symmetric(quantizer, 0));
    return quantizer;
}

static diffquant_quantizer *asymmetric_8_bits(size_t n) {
    diffquant_quantizer *quantizer = eight_bits(n);
    require(diffquant_quantizer_set_symmetric(quantizer, 0));
    return quantizer;
}

/* A matrix of rows of `row` weights, or one row of all n where there are fewer. */
static void declare(diffquant_quantizer *quantizer, diffquant_granularity granularity, size_t n, size_t row) {
    const size_t shape[] = {n < row ? 1 : n / row, n < row ? n : row};
    require(diffquant_quantizer_set_granularity(quantizer, granularity, BLOCK));
    require(diffquant_quantizer_set_shape(quantizer, shape, 2, 1));
    size_t scales = 0;
    require(diffquant_quantizer_scale_count(quantizer, &scales));
    for (size_t scale = 0; scale < scales; scale++) {
        require(diffquant_quantizer_set_scale(quantizer, scale, SCALE));
    }
}

static diffquant_quantizer *blocks(size_t n) {
    diffquant_quantizer *quantizer = standard(n);
    declare(quantizer, DIFFQUANT_GRANULARITY_PER_BLOCK, n, BLOCK);
    return quantizer;
}

static diffquant_quantizer *lsq_blocks(size_t n) {
    diffquant_quantizer *quantizer = lsq(n);
    declare(quantizer, DIFFQUANT_GRANULARITY_PER_BLOCK, n, BLOCK);
    return quantizer;
}

static diffquant_quantizer *last_axis(size_t n) {
    diffquant_quantizer *quantizer = lsq(n);
    declare(quantizer, DIFFQUANT_GRANULARITY_PER_CHANNEL, n, CHANNEL);
    return quantizer;
}

/* 64 channels of 4 neighbours each. */
static diffquant_quantizer *middle_axis(size_t n) {
    const size_t shape[] = {n / 256, 64, 4}, one[] = {1, 1, 1};
    diffquant_quantizer *quantizer = lsq(n);
    require(diffquant_quantizer_set_granularity(quantizer, DIFFQUANT_GRANULARITY_PER_CHANNEL, 0));
    require(diffquant_quantizer_set_shape(quantizer, n < 256 ? one : shape, 3, 1));
    return quantizer;
}

static diffquant_quantizer *tokens(size_t n) {
    diffquant_quantizer *quantizer = standard(n);
    declare(quantizer, DIFFQUANT_GRANULARITY_PER_TOKEN, n, TOKEN);
    return quantizer;
}

/* A scale for each of the rows of `row` weights. */
static diffquant_quantizer *rows(uint32_t bits, size_t n, size_t row) {
    diffquant_quantizer *quantizer = with_bits(bits);
    declare(quantizer, DIFFQUANT_GRANULARITY_PER_TOKEN, n, row);
    return quantizer;
}

static diffquant_quantizer *channels_2_bits(size_t n) { return rows(2, n, CHANNEL); }
static diffquant_quantizer *channels_4_bits(size_t n) { return rows(4, n, CHANNEL); }
static diffquant_quantizer *channels_8_bits(size_t n) { return rows(8, n, CHANNEL); }
static diffquant_quantizer *tokens_2_bits(size_t n) { return rows(2, n, TOKEN); }
static diffquant_quantizer *tokens_4_bits(size_t n) { return rows(4, n, TOKEN); }
static diffquant_quantizer *tokens_8_bits(size_t n) { return rows(8, n, TOKEN); }
static diffquant_quantizer *blocks_2_bits(size_t n) { return rows(2, n, BLOCK); }
static diffquant_quantizer *blocks_8_bits(size_t n) { return rows(8, n, BLOCK); }

static diffquant_quantizer *stochastic(size_t n) {
    diffquant_quantizer *quantizer = standard(n);
    require(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_STOCHASTIC));
    return quantizer;
}

static diffquant_quantizer *stochastic_lsq(size_t n) {
    diffquant_quantizer *quantizer = lsq(n);
    require(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_STOCHASTIC));
    return quantizer;
}

static diffquant_quantizer *propagating(size_t n) {
    diffquant_quantizer *quantizer = standard(n);
    require(diffquant_quantizer_set_non_finite(quantizer, DIFFQUANT_NON_FINITE_PROPAGATE));
    return quantizer;
}

static diffquant_quantizer *rejecting(size_t n) {
    diffquant_quantizer *quantizer = standard(n);
    require(diffquant_quantizer_set_non_finite(quantizer, DIFFQUANT_NON_FINITE_REJECT));
    return quantizer;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

static diffquant_status forward(diffquant_quantizer *quantizer, size_t n) {
    return diffquant_quantizer_forward(quantizer, w, n, codes_out, out);
}

static diffquant_status forward_values(diffquant_quantizer *quantizer, size_t n) {
    return diffquant_quantizer_forward(quantizer, w, n, NULL, out);
}

static diffquant_status forward_codes(diffquant_quantizer *quantizer, size_t n) {
    return diffquant_quantizer_forward(quantizer, w, n, codes_out, NULL);
}

static diffquant_status forward_statistics(diffquant_quantizer *quantizer, size_t n) {
    return diffquant_quantizer_forward_statistics(quantizer, w, n, codes_out, out, &statistics, 1);
}

static diffquant_status backward(diffquant_quantizer *quantizer, size_t n) {
    return diffquant_quantizer_backward(quantizer, w, values, grad_out, n, out);
}

static diffquant_status backward_scale(diffquant_quantizer *quantizer, size_t n) {
    return diffquant_quantizer_backward_scale(quantizer, w, grad_out, n, out, grad_scale);
}

static diffquant_status backward_scale_offset(diffquant_quantizer *quantizer, size_t n) {
    return diffquant_quantizer_backward_scale_offset(quantizer, w, grad_out, n, out, grad_scale, grad_offset);
}

static diffquant_status forward_dynamic(diffquant_quantizer *quantizer, size_t n) {
    return diffquant_quantizer_forward_dynamic(quantizer, w, n, codes_out, out, grad_scale, n < TOKEN ? 1 : n / TOKEN);
}

static diffquant_status dequantize(diffquant_quantizer *quantizer, size_t n) {
    return diffquant_quantizer_dequantize(quantizer, codes, n, out);
}

static diffquant_status init_scale(diffquant_quantizer *quantizer, size_t n) {
    return diffquant_quantizer_init_scale(quantizer, w, n);
}

static diffquant_status init_scale_mse(diffquant_quantizer *quantizer, size_t n) {
    return diffquant_quantizer_init_scale_with(quantizer, DIFFQUANT_SCALE_INIT_MSE, 0.0f, w_bell, n);
}

static diffquant_status forward_f16(diffquant_quantizer *quantizer, size_t n) {
    const diffquant_dtype dtype = DIFFQUANT_DTYPE_F16;
    return diffquant_quantizer_forward_typed(quantizer, dtype, w_16[dtype], n, codes_out, out_16);
}

static diffquant_status forward_bf16(diffquant_quantizer *quantizer, size_t n) {
    const diffquant_dtype dtype = DIFFQUANT_DTYPE_BF16;
    return diffquant_quantizer_forward_typed(quantizer, dtype, w_16[dtype], n, codes_out, out_16);
}

static diffquant_status backward_scale_typed(diffquant_quantizer *quantizer, diffquant_dtype dtype, size_t n) {
    return diffquant_quantizer_backward_scale_typed(quantizer, dtype, w_16[dtype], grad_out_16[dtype], n, out_16,
                                                    grad_scale);
}

static diffquant_status backward_scale_f16(diffquant_quantizer *quantizer, size_t n) {
    return backward_scale_typed(quantizer, DIFFQUANT_DTYPE_F16, n);
}

static diffquant_status backward_scale_bf16(diffquant_quantizer *quantizer, size_t n) {
    return backward_scale_typed(quantizer, DIFFQUANT_DTYPE_BF16, n);
}

static diffquant_status dequantize_f16(diffquant_quantizer *quantizer, size_t n) {
    return diffquant_quantizer_dequantize_typed(quantizer, DIFFQUANT_DTYPE_F16, codes, n, out_16);
}

static diffquant_status dequantize_bf16(diffquant_quantizer *quantizer, size_t n) {
    return diffquant_quantizer_dequantize_typed(quantizer, DIFFQUANT_DTYPE_BF16, codes, n, out_16);
}

/* An observer takes the place of the quantizer; one of each kind, that stays. */
static diffquant_status observe(diffquant_observer_kind kind, size_t n) {
    static diffquant_observer *observers[3];
    if (observers[kind] == NULL) {
        require(diffquant_observer_new(kind, 1.0f, &observers[kind]));
    }
    return diffquant_observer_observe(observers[kind], w, n);
}

static diffquant_status observe_min_max(diffquant_quantizer *quantizer, size_t n) {
    (void)quantizer;
    return observe(DIFFQUANT_OBSERVER_KIND_MIN_MAX, n);
}

static diffquant_status observe_histogram(diffquant_quantizer *quantizer, size_t n) {
    (void)quantizer;
    return observe(DIFFQUANT_OBSERVER_KIND_HISTOGRAM, n);
}

/* Rows of ROW weights in place, or one row of all n where there are fewer; what comes out does not grow. */
static diffquant_status rotate(diffquant_quantizer *quantizer, size_t n) {
    static diffquant_rotation *rotation;
    const size_t row = n < ROW ? n : ROW;
    size_t length = 0;
    (void)quantizer;
    if (rotation == NULL || (require(diffquant_rotation_length(rotation, &length)), length != row)) {
        diffquant_rotation_free(rotation);
        require(diffquant_rotation_new(row, 1, &rotation));
    }
    return diffquant_rotation_apply(rotation, out, n);
}

/* ---- The kernels ------------------------------------------------------------------------------------------------- */

struct kernel {
    const char *name;
    diffquant_quantizer *(*quantizer)(size_t n);
    diffquant_status (*call)(diffquant_quantizer *quantizer, size_t n);
};

static const struct kernel kernels[] = {
    {"forward", standard, forward},
    {"forward-values", standard, forward_values},
    {"forward-codes", standard, forward_codes},
    {"forward-per-channel", per_channel, forward},
    {"backward-standard", standard, backward},
    {"backward-clipped", clipped, backward},
    {"backward-learned-step-size", learned_step_size, backward},
    {"backward-ewgs", ewgs, backward},
    {"backward-scale-learned-step-size", learned_step_size, backward_scale},
    {"backward-scale-ewgs", ewgs, backward_scale},
    {"backward-scale-per-channel", per_channel, backward_scale},
    {"lsq-backward-scale", lsq, backward_scale},
    {"lsq-plus-offset", lsq_plus, backward_scale_offset},
    {"forward-asymmetric", asymmetric, forward},
    {"forward-blocks-of-32", blocks, forward},
    {"forward-last-axis", last_axis, forward},
    {"forward-middle-axis", middle_axis, forward},
    {"backward-scale-blocks-of-32", lsq_blocks, backward_scale},
    {"backward-scale-last-axis", last_axis, backward_scale},
    {"backward-scale-middle-axis", middle_axis, backward_scale},
    {"forward-dynamic-tokens-of-128", tokens, forward_dynamic},
    {"forward-stochastic", stochastic, forward},
    {"forward-propagate", propagating, forward},
    {"forward-reject", rejecting, forward},
    {"forward-statistics", standard, forward_statistics},
    {"lsq-backward-scale-stochastic", stochastic_lsq, backward_scale},
    {"dequantize", standard, dequantize},
    {"dequantize-blocks-of-32", blocks, dequantize},
    {"dequantize-last-axis", last_axis, dequantize},
    {"dequantize-middle-axis", middle_axis, dequantize},
    {"init-scale", standard, init_scale},
    {"init-scale-blocks-of-32", blocks, init_scale},
    {"init-scale-last-axis", last_axis, init_scale},
    {"init-scale-mse", standard, init_scale_mse},
    {"init-scale-mse-2-bits", two_bits, init_scale_mse},
    {"init-scale-mse-8-bits", eight_bits, init_scale_mse},
    {"init-scale-mse-blocks-of-32", blocks, init_scale_mse},
    {"mse-groups-of-1024-2-bits", channels_2_bits, init_scale_mse},
    {"mse-groups-of-1024-4-bits", channels_4_bits, init_scale_mse},
    {"mse-groups-of-1024-8-bits", channels_8_bits, init_scale_mse},
    {"mse-groups-of-128-2-bits", tokens_2_bits, init_scale_mse},
    {"mse-groups-of-128-4-bits", tokens_4_bits, init_scale_mse},
    {"mse-groups-of-128-8-bits", tokens_8_bits, init_scale_mse},
    {"mse-groups-of-32-2-bits", blocks_2_bits, init_scale_mse},
    {"mse-groups-of-32-8-bits", blocks_8_bits, init_scale_mse},
    {"mse-asymmetric", asymmetric, init_scale_mse},
    {"mse-asymmetric-2-bits", asymmetric_2_bits, init_scale_mse},
    {"mse-asymmetric-8-bits", asymmetric_8_bits, init_scale_mse},
    {"observe-min-max", standard, observe_min_max},
    {"observe-histogram", standard, observe_histogram},
    {"rotation-rows-of-4096", standard, rotate},
    {"forward-f16", standard, forward_f16},
    {"forward-bf16", standard, forward_bf16},
    {"lsq-backward-scale-f16", lsq, backward_scale_f16},
    {"lsq-backward-scale-bf16", lsq, backward_scale_bf16},
    {"lsq-backward-scale-blocks-f16", lsq_blocks, backward_scale_f16},
    {"dequantize-f16", standard, dequantize_f16},
    {"dequantize-bf16", standard, dequantize_bf16},
};

#define KERNELS (sizeof(kernels) / sizeof(kernels)[0])

/* The function whose instructions, and those of what it calls, callgrind collects. It must stay a function, with a
 * name; `volatile` keeps the call from becoming a jump that leaves it. */
__attribute__((noinline)) void counted(const struct kernel *kernel, diffquant_quantizer *quantizer, size_t n);

static volatile diffquant_status answer;

void counted(const struct kernel *kernel, diffquant_quantizer *quantizer, size_t n) {
    answer = kernel->call(quantizer, n);
}

/* A number in 16 bits, its last places cut off; it is no smaller than 2^-14. */
static void fill_16(float number, size_t i, uint16_t (*halves)[MOST_WEIGHTS]) {
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    halves[DIFFQUANT_DTYPE_BF16][i] = (uint16_t)(bits >> 16);
    halves[DIFFQUANT_DTYPE_F16][i] = (uint16_t)(magnitude == 0 ? sign : sign | ((magnitude >> 13) - (112 << 10)));
}

static void fill(void) {
    for (size_t i = 0; i < MOST_WEIGHTS; i++) {
        w[i] = (float)(i * 37 % 251) * 0.01f - 1.25f; /* some of them beyond the codes */
        grad_out[i] = (float)(i * 53 % 127) * 0.01f - 0.63f;
    }
    uint32_t random = 1;
    for (size_t i = 0; i < MOST_WEIGHTS; i++) {
        w_bell[i] = -6.0f;
        for (int j = 0; j < 12; j++) {
            random = random * 1664525u + 1013904223u;
            w_bell[i] += (float)(random >> 8) / 16777216.0f;
        }
    }
    for (size_t i = 0; i < MOST_WEIGHTS; i++) {
        fill_16(w[i], i, w_16);
        fill_16(grad_out[i], i, grad_out_16);
    }
    diffquant_quantizer *quantizer = standard(MOST_WEIGHTS);
    require(diffquant_quantizer_forward(quantizer, w, MOST_WEIGHTS, codes, values));
    diffquant_quantizer_free(quantizer);
}

static const struct kernel *find(const char *name) {
    for (size_t i = 0; i < KERNELS; i++) {
        if (strcmp(kernels[i].name, name) == 0) return &kernels[i];
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        for (size_t i = 0; i < KERNELS; i++) puts(kernels[i].name);
        return 0;
    }
    const struct kernel *kernel = argc > 2 ? find(argv[1]) : NULL;
    if (kernel == NULL) {
        fputs("usage: instructions list | instructions KERNEL LENGTH...\n", stderr);
        return 2;
    }
    fill();
    for (int i = 2; i < argc; i++) {
        size_t n = (size_t)strtoul(argv[i], NULL, 10);
        if (n > MOST_WEIGHTS) {
            fprintf(stderr, "at most %d weights\n", MOST_WEIGHTS);
            return 2;
        }
        diffquant_quantizer *quantizer = kernel->quantizer(n);
        require(kernel->call(quantizer, n)); /* what is done once is done here */
        counted(kernel, quantizer, n);
        require(answer);
        diffquant_quantizer_free(quantizer);
    }
    puts(diffquant_isa_name());
    return 0;
}
