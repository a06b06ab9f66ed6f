/* What many tests need: quantizers and configurations to start from, their whole state before and after a call, buffers
 * with guards around them, and weights. */

#ifndef SUPPORT_H
#define SUPPORT_H

#include "check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- Objects ----------------------------------------------------------------------------------------------------- */

/* A STANDARD uniform quantizer with one scale, which is its step. */
diffquant_quantizer *uniform_quantizer(uint32_t bits, float scale);

/* A STANDARD uniform quantizer with a scale for each channel. */
diffquant_quantizer *channel_quantizer(uint32_t bits, const float *scales, size_t channels);

diffquant_config *default_config(void);

/* An observer of whole tensors; the averaging constant is 1/4. */
diffquant_observer *new_observer(diffquant_observer_kind kind);

/* What an `out` argument of a creating function holds before a call that must leave it alone. Never looked behind. */
diffquant_quantizer *no_quantizer(void);
diffquant_config *no_config(void);
diffquant_observer *no_observer(void);

/* ---- The whole state of an object -------------------------------------------------------------------------------- */

#define MOST_SCALES 300

struct quantizer_state {
    uint32_t bits, levels, k, ste, rounding, non_finite, granularity, code_range, symmetric, incoherence;
    uint64_t seed, first_element, rotation_seed;
    float ste_param;
    size_t block_size, scale_count;
    int32_t smallest, largest;
    float scales[MOST_SCALES], steps[MOST_SCALES], offsets[MOST_SCALES];
    int32_t zero_points[MOST_SCALES];
};

/* Everything that the getters tell; k is 0 for a uniform quantizer. */
struct quantizer_state state_of(const diffquant_quantizer *quantizer);

/* The quantizer is still as it was. */
#define CHECK_STATE(quantizer, before) check_state((quantizer), (before), __FILE__, __LINE__)
void check_state(const diffquant_quantizer *quantizer, const struct quantizer_state *before, const char *file,
                 int line);

/* A configuration as JSON, which has every field. */
struct config_text {
    char text[1024];
};

struct config_text text_of(const diffquant_config *config);

#define CHECK_CONFIG(config, before) check_config((config), (before), __FILE__, __LINE__)
void check_config(const diffquant_config *config, const struct config_text *before, const char *file, int line);

/* An observer as JSON, which has all that it remembers. */
struct observer_text {
    char text[1 << 16];
};

struct observer_text observer_text_of(const diffquant_observer *observer);

#define CHECK_OBSERVER(observer, before) check_observer((observer), (before), __FILE__, __LINE__)
void check_observer(const diffquant_observer *observer, const struct observer_text *before, const char *file, int line);

/* ---- Buffers ----------------------------------------------------------------------------------------------------- */

/* `elements` floats (or bytes) at `data`, surrounded by guards that nobody may write. From malloc, so that valgrind and
 * the address sanitizer know its ends; the guards find a write even without them. */
struct guarded {
    void *data;
    unsigned char *memory;
    size_t bytes;
};

/* What the buffer holds, guards included, until somebody writes. As a float it is -2.87e-16, as a code -91. */
#define UNTOUCHED 0xA5

struct guarded guarded_new(size_t bytes);
void guarded_free(struct guarded *buffer);

/* Nobody wrote around the buffer. */
#define CHECK_GUARDS(buffer) check_holds(guards_are_intact(buffer), "the guards of " #buffer, __FILE__, __LINE__)
bool guards_are_intact(const struct guarded *buffer);

/* Nobody wrote around the buffer, nor into it. */
#define CHECK_UNTOUCHED(buffer) check_holds(is_untouched(buffer), #buffer " is untouched", __FILE__, __LINE__)
bool is_untouched(const struct guarded *buffer);

/* Fills memory with UNTOUCHED, and says whether it still holds it. */
void touch_not(void *memory, size_t bytes);
bool still_untouched(const void *memory, size_t bytes);

/* The address `offset` bytes on, as any pointer: for pointers that are misaligned, or that must not be used. */
void *at_offset(const void *address, size_t offset);

/* A number in decimal, to be looked for in a message. */
struct decimal {
    char text[24];
};

struct decimal decimal(size_t number);

/* ---- Weights ----------------------------------------------------------------------------------------------------- */

/* The same numbers for the same seed: mostly in [-4, 4), with a NaN, infinities, zeros and a large one among them when
 * `specials` asks for it. */
void fill_weights(float *w, size_t n, uint32_t seed, bool specials);

/* ---- The formulas of the header, in plain C ---------------------------------------------------------------------- */

int8_t code_of(float w, float step, uint32_t bits, bool half_even);
float value_of(int8_t code, float step);
float weight_gradient_of(diffquant_ste ste, float ste_param, float w, float value, float g);

#endif
