/* L2_NORMALIZATION over the last dimension, float32; generic C with libm. */
#ifndef TINYOPS_TO_L2_NORMALIZATION_ANY_F32_C_H
#define TINYOPS_TO_L2_NORMALIZATION_ANY_F32_C_H

#include <stdint.h>

typedef struct {
    int32_t rows;
    int32_t depth; /* >= 1 */
} to_l2_normalization_f32_params;

/* in, out: float[rows][depth]; out = in / (Euclidean norm of the row, 1e-6 or more).
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_l2_normalization_any_f32_c(const to_l2_normalization_f32_params *p, const float *in, float *out);

#endif
