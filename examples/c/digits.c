#include "digits.h"
#include "report.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIXEL_MAX = 16,   /* each pixel counts the dots set in a 4x4 cell of the scan */
    LINE_BYTES = 512, /* the longest valid line, 64 times "16," and a digit, takes 195 */
    HELD_OUT = 5      /* one image in five */
};

/* Reads the integer at *text, which must lie in 0..max and be followed by `end`; moves *text behind that. */
static bool parse_field(const char **text, int max, char end, int *value) {
    char *rest;
    if (!isdigit((unsigned char)**text)) { /* strtol alone would skip blanks and take a sign */
        return false;
    }
    long number = strtol(*text, &rest, 10);
    if (number > max || *rest != end) {
        return false;
    }
    *value = (int)number;
    *text = end == '\0' ? rest : rest + 1;
    return true;
}

static bool parse_line(const char *line, float *pixels, uint8_t *label) {
    int value;
    for (size_t i = 0; i < DIGITS_PIXELS; i++) {
        if (!parse_field(&line, PIXEL_MAX, ',', &value)) {
            return false;
        }
        pixels[i] = (float)value / (float)PIXEL_MAX;
    }
    if (!parse_field(&line, DIGITS_CLASSES - 1, '\0', &value)) {
        return false;
    }
    *label = (uint8_t)value;
    return true;
}

static void grow(digits *data, size_t capacity) {
    float *pixels = realloc(data->pixels, capacity * DIGITS_PIXELS * sizeof *pixels);
    if (pixels != NULL) {
        data->pixels = pixels;
    }
    uint8_t *labels = realloc(data->labels, capacity * sizeof *labels);
    if (labels != NULL) {
        data->labels = labels;
    }
    if (pixels == NULL || labels == NULL) {
        die("out of memory: %zu images", capacity);
    }
}

void digits_read(digits *data, const char *path) {
    char line[LINE_BYTES];
    size_t capacity = 0;
    *data = (digits){0};

    FILE *file = fopen(path, "r");
    if (file == NULL) {
        die("cannot open %s: %s", path, strerror(errno));
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (data->count == capacity) {
            capacity = capacity == 0 ? 2048 : 2 * capacity;
            grow(data, capacity);
        }
        line[strcspn(line, "\r\n")] = '\0';
        if (!parse_line(line, data->pixels + data->count * DIGITS_PIXELS, data->labels + data->count)) {
            die("%s:%zu: expected 64 pixels 0..16 and a digit 0..9, separated by commas", path, data->count + 1);
        }
        data->count++;
    }
    if (ferror(file)) {
        die("cannot read %s: %s", path, strerror(errno));
    }
    fclose(file);
    if (data->count < HELD_OUT) {
        die("%s: %zu images are too few to hold some out", path, data->count);
    }
}

void digits_free(digits *data) {
    free(data->pixels);
    free(data->labels);
    *data = (digits){0};
}

void digits_split_new(digits_split *split, const digits *data, rng *random) {
    split->data = data;
    split->test_count = data->count / HELD_OUT;
    split->train_count = data->count - split->test_count;
    split->order = allocate(data->count, sizeof *split->order);
    for (size_t i = 0; i < data->count; i++) {
        split->order[i] = i;
    }
    rng_shuffle(random, split->order, data->count);
}

void digits_split_free(digits_split *split) {
    free(split->order);
    split->order = NULL;
}

void digits_gather(const digits *data, const size_t *order, size_t n, float *x, uint8_t *labels) {
    for (size_t i = 0; i < n; i++) {
        memcpy(x + i * DIGITS_PIXELS, data->pixels + order[i] * DIGITS_PIXELS, DIGITS_PIXELS * sizeof *x);
        labels[i] = data->labels[order[i]];
    }
}
