/* A stranger's program: quantizes a few weights to 4 bits and checks every code and value. */
#include <diffquant.h>

#include <stdio.h>
#include <string.h>

#define N 9

static const float weights[N] = {0.0f, 0.24f, 0.25f, -0.25f, 0.75f, 1.1f, -1.2f, 100.0f, -100.0f};
/* round(w / 0.5), halves away from zero, in [-8, 7] */
static const int8_t expected[N] = {0, 0, 1, -1, 2, 2, -2, 7, -8};

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, diffquant_last_error_message());                \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

int main(void) {
    diffquant_quantizer *quantizer = NULL;
    const float scale = 0.5f;
    int8_t codes[N];
    float values[N];
    size_t i;

    CHECK(diffquant_quantizer_new_uniform(4, DIFFQUANT_STE_STANDARD, 0.0f, &quantizer) == DIFFQUANT_STATUS_OK);
    CHECK(diffquant_quantizer_set_scales(quantizer, &scale, 1) == DIFFQUANT_STATUS_OK);
    CHECK(diffquant_quantizer_forward(quantizer, weights, N, codes, values) == DIFFQUANT_STATUS_OK);
    for (i = 0; i < N; i++) {
        CHECK(codes[i] == expected[i]);
        CHECK(values[i] == (float)expected[i] * scale);
    }
    diffquant_quantizer_free(quantizer);

    quantizer = NULL;
    CHECK(diffquant_quantizer_new_uniform(9, DIFFQUANT_STE_STANDARD, 0.0f, &quantizer) != DIFFQUANT_STATUS_OK);
    CHECK(quantizer == NULL);
    CHECK(strlen(diffquant_last_error_message()) > 0);

    printf("diffquant %s: ok\n", diffquant_version_string());
    return 0;
}
