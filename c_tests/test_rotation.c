/* The incoherence rotation by itself. */

#include "support.h"

enum { LENGTH = 100, ROWS = 3, N = LENGTH * ROWS };

static diffquant_rotation *rotation_of(size_t length, uint64_t seed) {
    diffquant_rotation *rotation = NULL;
    REQUIRE_OK(diffquant_rotation_new(length, seed, &rotation));
    return rotation;
}

/* The element (i, j) of H. */
static int sylvester(size_t i, size_t j) {
    size_t common = i & j;
    int sign = 1;
    for (; common != 0; common &= common - 1) {
        sign = -sign;
    }
    return sign;
}

/* The sign of element i of a row: SplitMix64, in the words of the header. */
static int sign_of(uint64_t seed, size_t i) {
    uint64_t z = seed + (uint64_t)(i / 64 + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return ((z >> (i % 64)) & 1) != 0 ? -1 : 1;
}

static double norm_of(const float *x, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    return sqrt(sum);
}

TEST(a_row_is_multiplied_by_the_matrices_of_its_blocks_and_back_by_their_transposes) {
    const uint64_t seed = 12345;
    diffquant_rotation *rotation = rotation_of(LENGTH, seed);
    float x[N], y[N];
    fill_weights(x, N, 1, false);
    memcpy(y, x, sizeof x);
    CHECK_OK(diffquant_rotation_apply(rotation, y, N));
    static const size_t blocks[] = {64, 32, 4};
    for (size_t row = 0; row < ROWS; row++) {
        size_t start = 0;
        for (size_t b = 0; b < COUNT(blocks); b++) {
            const size_t m = blocks[b];
            for (size_t i = 0; i < m; i++) {
                double sum = 0.0;
                for (size_t j = 0; j < m; j++) {
                    sum += sylvester(i, j) * sign_of(seed, start + j) * (double)x[row * LENGTH + start + j];
                }
                check_context("row %zu, block %zu, element %zu", row, m, i);
                CHECK_NEAR((double)y[row * LENGTH + start + i], sum / sqrt((double)m), 1e-5);
            }
            start += m;
        }
        CHECK_NEAR(norm_of(y + row * LENGTH, LENGTH), norm_of(x + row * LENGTH, LENGTH), 1e-5);
    }
    CHECK_OK(diffquant_rotation_apply_transpose(rotation, y, N));
    for (size_t i = 0; i < N; i++) {
        check_context("element %zu", i);
        CHECK_NEAR((double)y[i], (double)x[i], 1e-5);
    }
    diffquant_rotation_free(rotation);
}

TEST(a_rotation_tells_its_length_and_the_same_seed_gives_the_same_bits) {
    static const size_t lengths[] = {1, 2, 3, 7, 64, 1000, 4096};
    static float x[4096], y[4096];
    for (size_t i = 0; i < COUNT(lengths); i++) {
        check_context("length %zu", lengths[i]);
        diffquant_rotation *one = rotation_of(lengths[i], UINT64_MAX), *other = rotation_of(lengths[i], UINT64_MAX);
        size_t length = 0;
        CHECK_OK(diffquant_rotation_length(one, &length));
        CHECK_UINT(length, lengths[i]);
        fill_weights(x, length, 7, false);
        memcpy(y, x, sizeof x);
        CHECK_OK(diffquant_rotation_apply(one, x, length));
        CHECK_OK(diffquant_rotation_apply(other, y, length));
        CHECK_FLOATS(x, y, length);
        diffquant_rotation_free(one);
        diffquant_rotation_free(other);
    }
}

/* Blocks 2 + 1. */
TEST(a_row_of_three_is_a_pair_and_one_that_only_gets_its_sign) {
    diffquant_rotation *rotation = rotation_of(3, 0);
    float x[3] = {1.0f, 0.0f, 5.0f};
    CHECK_OK(diffquant_rotation_apply(rotation, x, 3));
    CHECK_FLOAT(x[0], (float)sign_of(0, 0) * (float)sqrt(0.5));
    CHECK_FLOAT(x[1], x[0]);
    CHECK_FLOAT(x[2], (float)sign_of(0, 2) * 5.0f);
    diffquant_rotation_free(rotation);
}

TEST(what_is_no_row_or_no_rotation_is_refused_and_left_alone) {
    static diffquant_status (*const turns[])(const diffquant_rotation *, float *, size_t) = {
        diffquant_rotation_apply, diffquant_rotation_apply_transpose};
    diffquant_rotation *rotation = rotation_of(LENGTH, 1), *none = NULL;
    size_t length = 99;
    CHECK_REFUSED(diffquant_rotation_new(0, 1, &none), DIFFQUANT_STATUS_INVALID_ARGUMENT, "length", "0");
    CHECK_REFUSED(diffquant_rotation_new(SIZE_MAX, 1, &none), DIFFQUANT_STATUS_OUT_OF_MEMORY, "memory");
    CHECK_REFUSED(diffquant_rotation_new(4, 1, NULL), DIFFQUANT_STATUS_NULL_POINTER, "out");
    CHECK(none == NULL);
    CHECK_REFUSED(diffquant_rotation_length(NULL, &length), DIFFQUANT_STATUS_NULL_POINTER, "rotation");
    CHECK_REFUSED(diffquant_rotation_length(rotation, NULL), DIFFQUANT_STATUS_NULL_POINTER, "out");
    CHECK_UINT(length, 99);
    for (size_t i = 0; i < COUNT(turns); i++) {
        struct guarded x = guarded_new((N + 1) * sizeof(float));
        check_context("turn %zu", i);
        CHECK_REFUSED(turns[i](rotation, x.data, LENGTH + 1), DIFFQUANT_STATUS_LENGTH_MISMATCH, "n", "101", "100");
        CHECK_REFUSED(turns[i](NULL, x.data, LENGTH), DIFFQUANT_STATUS_NULL_POINTER, "rotation");
        CHECK_REFUSED(turns[i](rotation, NULL, LENGTH), DIFFQUANT_STATUS_NULL_POINTER, "x");
        CHECK_REFUSED(turns[i](rotation, at_offset(x.data, 2), LENGTH), DIFFQUANT_STATUS_MISALIGNED, "x");
        CHECK_REFUSED(turns[i](rotation, x.data, SIZE_MAX), DIFFQUANT_STATUS_SIZE_OVERFLOW, "x");
        CHECK_OK(turns[i](rotation, NULL, 0));
        CHECK_UNTOUCHED(&x);
        memset(x.data, 0, x.bytes);
        CHECK_OK(turns[i](rotation, x.data, N));
        CHECK_GUARDS(&x);
        guarded_free(&x);
    }
    diffquant_rotation_free(rotation);
    diffquant_rotation_free(NULL);
}
