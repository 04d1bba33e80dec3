/* AVERAGE_POOL_2D, int8, any window, stride and padding; generic C. */
#ifndef TINYOPS_TO_AVERAGE_POOL2D_ANY_S8_C_H
#define TINYOPS_TO_AVERAGE_POOL2D_ANY_S8_C_H

#include "to_pool2d_s8.h"

/* in: int8[batches][in_h][in_w][in_c], out: int8[batches][out_h][out_w][in_c], of equal scale and zero point.
 * The int32 sum over the taps inside the image is divided by their number, ties away from zero, then clamped.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_average_pool2d_any_s8_c(const to_pool2d_s8_params *p, const int8_t *in, int8_t *out);

#endif
