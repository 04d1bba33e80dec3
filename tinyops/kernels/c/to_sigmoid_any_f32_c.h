/* LOGISTIC and TANH, float32; generic C with libm. */
#ifndef TINYOPS_TO_SIGMOID_ANY_F32_C_H
#define TINYOPS_TO_SIGMOID_ANY_F32_C_H

#include <stdint.h>

typedef struct {
    int32_t n;
    int32_t is_tanh; /* 0: 1 / (1 + exp(-x)) */
} to_sigmoid_f32_params;

/* in, out: float[n].
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_sigmoid_any_f32_c(const to_sigmoid_f32_params *p, const float *in, float *out);

#endif
