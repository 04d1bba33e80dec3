/* SOFTMAX over the last dimension, float32; generic C with libm. */
#ifndef TINYOPS_TO_SOFTMAX_ANY_F32_C_H
#define TINYOPS_TO_SOFTMAX_ANY_F32_C_H

#include <stdint.h>

typedef struct {
    int32_t rows;
    int32_t depth; /* >= 1 */
    float beta;
} to_softmax_f32_params;

/* in, out: float[rows][depth]; out = exp(beta * (in - largest of the row)) / sum of these.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_softmax_any_f32_c(const to_softmax_f32_params *p, const float *in, float *out);

#endif
