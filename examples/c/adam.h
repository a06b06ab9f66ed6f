/* Adam (Kingma, Ba 2015, algorithm 1) with its usual constants: beta1 0.9, beta2 0.999, epsilon 1e-8. */
#ifndef ADAM_H
#define ADAM_H

#include <math.h>
#include <stddef.h>

/* One update of n parameters. m and v are their moments, zero before the first; step counts from 1. */
static inline void adam_update(float *restrict parameters, const float *restrict gradient, float *restrict m,
                               float *restrict v, size_t n, float learning_rate, size_t step) {
    const float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
    const float correct_m = 1.0f / (1.0f - powf(beta1, (float)step));
    const float correct_v = 1.0f / (1.0f - powf(beta2, (float)step));
    for (size_t i = 0; i < n; i++) {
        m[i] = beta1 * m[i] + (1.0f - beta1) * gradient[i];
        v[i] = beta2 * v[i] + (1.0f - beta2) * gradient[i] * gradient[i];
        parameters[i] -= learning_rate * (m[i] * correct_m) / (sqrtf(v[i] * correct_v) + epsilon);
    }
}

#endif
