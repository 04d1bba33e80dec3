/* FLOOR_DIV and FLOOR_MOD, float32; generic C with libm. */
#ifndef TINYOPS_TO_MODULO_ANY_F32_C_H
#define TINYOPS_TO_MODULO_ANY_F32_C_H

#include "to_binary_f32.h"

/* out: float[extents[0]][extents[1]][extents[2]][extents[3]], a / b rounded down, or what is left of a then;
 * the bounds are not used. Canonical order: outputs are stored in ascending order, each after all that it
 * needs was read, so `out` may overlap `a` and `b` as far as Operator.overlap allows. */
void to_modulo_any_f32_c(const to_binary_f32_params *p, const float *a, const float *b, float *out);

#endif
