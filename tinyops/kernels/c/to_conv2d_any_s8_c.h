/* CONV_2D, int8, any window, stride, padding, dilation and number of groups; generic C. */
#ifndef TINYOPS_TO_CONV2D_ANY_S8_C_H
#define TINYOPS_TO_CONV2D_ANY_S8_C_H

#include "to_conv2d_s8.h"

/* in: int8[batches][in_h][in_w][in_c], out: int8[batches][out_h][out_w][out_c],
 * weights: int8[out_c][kernel_h][kernel_w][in_c / groups], zero point 0.
 * bias[c]: bias - input_zero_point * (sum of the weights of channel c), int32[out_c].
 * multiplier, shift: output scale per channel, see to_requantize.
 * Bound: |bias[c]| + 128 * (sum of |weights| of channel c) < 2^31; at 128 * 128 a tap that allows
 * kernel_h * kernel_w * in_c / groups < 2^16 with |bias[c]| < 2^30.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_conv2d_any_s8_c(const to_conv2d_s8_params *p, const int8_t *in, const int8_t *weights,
                        const int32_t *bias, const int32_t *multiplier, const int8_t *shift, int8_t *out);

#endif
