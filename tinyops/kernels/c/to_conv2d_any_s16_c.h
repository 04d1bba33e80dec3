/* CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED, int16 activations and int8 weights; generic C. */
#ifndef TINYOPS_TO_CONV2D_ANY_S16_C_H
#define TINYOPS_TO_CONV2D_ANY_S16_C_H

#include <stdint.h>

/* Tensors are NHWC and smaller than 2^30 bytes; dimensions, strides and dilations are >= 1. */
typedef struct {
    int32_t batches;
    int32_t in_h;
    int32_t in_w;
    int32_t in_c;
    int32_t out_h;
    int32_t out_w;
    int32_t out_c;
    int32_t groups; /* divides in_c and out_c: each part of the outputs reads its own part of the inputs */
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t dilation_h;
    int32_t dilation_w;
    int32_t pad_top;
    int32_t pad_left;
    int16_t activation_min;
    int16_t activation_max;
} to_conv2d_s16_params;

/* in: int16[batches][in_h][in_w][in_c], out: int16[batches][out_h][out_w][out_c], zero points 0,
 * weights: int8[out_c][kernel_h][kernel_w][in_c / groups], zero point 0, bias: int64[out_c].
 * multiplier, shift: output scale per channel, see to_requantize_s64.
 * Bound: |bias[c]| + 2^15 * (sum of |weights| of channel c) < 2^47.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_conv2d_any_s16_c(const to_conv2d_s16_params *p, const int16_t *in, const int8_t *weights,
                         const int64_t *bias, const int16_t *multiplier, const int8_t *shift, int16_t *out);

#endif
