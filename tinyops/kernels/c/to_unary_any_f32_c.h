/* ABS, NEG, SQUARE, FLOOR, CEIL, ROUND, HARD_SWISH and LEAKY_RELU, float32; generic C. */
#ifndef TINYOPS_TO_UNARY_ANY_F32_C_H
#define TINYOPS_TO_UNARY_ANY_F32_C_H

#include "to_unary_f32.h"

/* in, out: float[n]; ROUND takes ties to even.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_unary_any_f32_c(const to_unary_f32_params *p, const float *in, float *out);

#endif
