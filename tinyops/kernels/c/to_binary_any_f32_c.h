/* ADD, SUB, MUL, DIV, MINIMUM, MAXIMUM, SQUARED_DIFFERENCE and PRELU, float32; generic C. */
#ifndef TINYOPS_TO_BINARY_ANY_F32_C_H
#define TINYOPS_TO_BINARY_ANY_F32_C_H

#include "to_binary_f32.h"

/* out: float[extents[0]][extents[1]][extents[2]][extents[3]]; b is PRELU's slope below 0.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `a` and `b` as far as Operator.overlap allows. */
void to_binary_any_f32_c(const to_binary_f32_params *p, const float *a, const float *b, float *out);

#endif
