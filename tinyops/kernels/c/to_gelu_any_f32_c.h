/* GELU, float32; generic C with libm. */
#ifndef TINYOPS_TO_GELU_ANY_F32_C_H
#define TINYOPS_TO_GELU_ANY_F32_C_H

#include "to_unary_f32.h"

/* in, out: float[n]; x * (the normal distribution's cumulative function of x), by erff; p->mode is not used.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_gelu_any_f32_c(const to_unary_f32_params *p, const float *in, float *out);

#endif
