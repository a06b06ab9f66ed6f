/* Adam (Kingma, Ba 2015, algorithm 1) with its usual constants: beta1 0.9, beta2 0.999, epsilon 1e-8. */
#ifndef ADAM_H
#define ADAM_H

#include <math.h>
#include <stddef.h>

/* The direction of one update, in place of the gradient: parameters -= learning_rate * direction. m and v are the
 * moments of the n parameters, zero before the first update; step counts from 1. */
static inline void adam_direction(float *restrict gradient, float *restrict m, float *restrict v, size_t n,
                                  size_t step) {
    const float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
    const float correct_m = 1.0f / (1.0f - powf(beta1, (float)step));
    const float correct_v = 1.0f / (1.0f - powf(beta2, (float)step));
    for (size_t i = 0; i < n; i++) {
        m[i] = beta1 * m[i] + (1.0f - beta1) * gradient[i];
        v[i] = beta2 * v[i] + (1.0f - beta2) * gradient[i] * gradient[i];
        gradient[i] = (m[i] * correct_m) / (sqrtf(v[i] * correct_v) + epsilon);
    }
}

/* One update of n parameters; leaves the direction in gradient. */
static inline void adam_update(float *restrict parameters, float *restrict gradient, float *restrict m,
                               float *restrict v, size_t n, float learning_rate, size_t step) {
    adam_direction(gradient, m, v, n, step);
    for (size_t i = 0; i < n; i++) {
        parameters[i] -= learning_rate * gradient[i];
    }
}

#endif
