/* EXP, ELU and GELU by its approximation with tanh, float32; generic C with libm. */
#ifndef TINYOPS_TO_EXP_ANY_F32_C_H
#define TINYOPS_TO_EXP_ANY_F32_C_H

#include "to_unary_f32.h"

/* in, out: float[n]; all of them by expf.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_exp_any_f32_c(const to_unary_f32_params *p, const float *in, float *out);

#endif
