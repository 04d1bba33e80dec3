/* L2_POOL_2D, float32, any window, stride and padding; generic C with libm. */
#ifndef TINYOPS_TO_L2_POOL2D_ANY_F32_C_H
#define TINYOPS_TO_L2_POOL2D_ANY_F32_C_H

#include "to_pool2d_any_f32_c.h"

/* in: float[batches][in_h][in_w][in_c], out: float[batches][out_h][out_w][in_c]; p->largest is not used.
 * The root of the mean square over the taps inside the image.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_l2_pool2d_any_f32_c(const to_pool2d_f32_params *p, const float *in, float *out);

#endif
