/* CONV_2D, int8, 1x1 window, stride 1, no padding; generic C. */
#ifndef TINYOPS_TO_CONV2D_1X1_S8_C_H
#define TINYOPS_TO_CONV2D_1X1_S8_C_H

#include "to_conv2d_s8.h"

/* As to_conv2d_any_s8_c with kernel, strides and groups of 1 and no padding; weights: int8[out_c][in_c].
 * Bound: |bias[c]| + 128 * (sum of |weights| of channel c) < 2^31.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. With `descending` pixels are computed from the last to the
 * first, and `out` may overlap `in` from above as far as Operator.overlap_descending allows. */
void to_conv2d_1x1_s8_c(const to_conv2d_s8_params *p, const int8_t *in, const int8_t *weights,
                        const int32_t *bias, const int32_t *multiplier, const int8_t *shift, int8_t *out);

#endif
