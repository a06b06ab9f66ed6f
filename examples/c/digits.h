/* The data: 8x8 images of handwritten digits, and which of them are held out.
 *
 * Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak, UCI Machine Learning Repository, 1998; CC BY 4.0),
 * the 1797 images of its test set. */
#ifndef DIGITS_H
#define DIGITS_H

#include "rng.h"

#include <stddef.h>
#include <stdint.h>

enum { DIGITS_PIXELS = 64, DIGITS_CLASSES = 10 };

typedef struct {
    size_t count;
    float *pixels;   /* [count][DIGITS_PIXELS], 0..1 */
    uint8_t *labels; /* [count], 0..9 */
} digits;

/* A shuffled list of image numbers: the first train_count are trained on, the last test_count only tested on. */
typedef struct {
    const digits *data;
    size_t *order;
    size_t train_count, test_count;
} digits_split;

/* Reads one image per line, 64 counts 0..16 and the digit. Anything else ends the program with the line number. */
void digits_read(digits *data, const char *path);
void digits_free(digits *data);

/* Holds out one image in five, drawn at random. */
void digits_split_new(digits_split *split, const digits *data, rng *random);
void digits_split_free(digits_split *split);

/* Copies the images order[0..n-1] into x [n][DIGITS_PIXELS] and their digits into labels [n]. */
void digits_gather(const digits *data, const size_t *order, size_t n, float *x, uint8_t *labels);

#endif
