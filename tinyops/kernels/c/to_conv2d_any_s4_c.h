/* CONV_2D, int8, packed int4 weights, any window, stride, padding, dilation and groups; generic C. */
#ifndef TINYOPS_TO_CONV2D_ANY_S4_C_H
#define TINYOPS_TO_CONV2D_ANY_S4_C_H

#include "to_conv2d_s8.h"

/* As to_conv2d_any_s8_c; weights: int4[out_c][kernel_h][kernel_w][in_c / groups], packed without gaps
 * (to_s4.h).
 * Bound: |bias[c]| + 128 * (sum of |weights| of channel c) < 2^31, and fewer than 2^30 weights.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. With `descending` pixels are computed from the last to the
 * first, and `out` may overlap `in` from above as far as Operator.overlap_descending allows. */
void to_conv2d_any_s4_c(const to_conv2d_s8_params *p, const int8_t *in, const uint8_t *weights,
                        const int32_t *bias, const int32_t *multiplier, const int8_t *shift, int8_t *out);

#endif
