/* EQUAL, NOT_EQUAL, LESS and LESS_EQUAL, float32 to bool; generic C. */
#ifndef TINYOPS_TO_COMPARE_ANY_F32_C_H
#define TINYOPS_TO_COMPARE_ANY_F32_C_H

#include "to_binary_f32.h"

/* out: uint8_t[extents[0]][extents[1]][extents[2]][extents[3]], 0 or 1; the bounds are not used.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `a` and `b` as far as Operator.overlap allows. */
void to_compare_any_f32_c(const to_binary_f32_params *p, const float *a, const float *b, uint8_t *out);

#endif
