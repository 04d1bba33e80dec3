/* RELU, RELU6 and RELU_N1_TO_1, float32; generic C. */
#ifndef TINYOPS_TO_CLAMP_ANY_F32_C_H
#define TINYOPS_TO_CLAMP_ANY_F32_C_H

#include <stdint.h>

typedef struct {
    int32_t n;
    float low;
    float high;
} to_clamp_f32_params;

/* in, out: float[n].
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_clamp_any_f32_c(const to_clamp_f32_params *p, const float *in, float *out);

#endif
