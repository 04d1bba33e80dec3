/* DEPTHWISE_CONV_2D, int8, any window, stride, padding, dilation and depth multiplier; generic C. */
#ifndef TINYOPS_TO_DEPTHWISE_CONV2D_ANY_S8_C_H
#define TINYOPS_TO_DEPTHWISE_CONV2D_ANY_S8_C_H

#include <stdint.h>

/* Tensors are NHWC and smaller than 2^30 bytes; dimensions, strides and dilations are >= 1. */
typedef struct {
    int32_t batches;
    int32_t in_h;
    int32_t in_w;
    int32_t in_c;
    int32_t out_h;
    int32_t out_w;
    int32_t out_c; /* in_c * depth_multiplier */
    int32_t depth_multiplier;
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t dilation_h;
    int32_t dilation_w;
    int32_t pad_top;
    int32_t pad_left;
    int8_t input_zero_point; /* value of the taps outside the image */
    int8_t output_zero_point;
    int8_t activation_min;
    int8_t activation_max;
} to_depthwise_conv2d_s8_params;

/* in: int8[batches][in_h][in_w][in_c], out: int8[batches][out_h][out_w][out_c]; output channel
 * c * depth_multiplier + m reads input channel c. weights: int8[kernel_h][kernel_w][out_c], zero point 0.
 * bias[c]: bias - input_zero_point * (sum of the weights of channel c), int32[out_c].
 * multiplier, shift: output scale per channel, see to_requantize.
 * Bound: |bias[c]| + 128 * (sum of |weights| of channel c) < 2^31.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_depthwise_conv2d_any_s8_c(const to_depthwise_conv2d_s8_params *p, const int8_t *in,
                                  const int8_t *weights, const int32_t *bias, const int32_t *multiplier,
                                  const int8_t *shift, int8_t *out);

#endif
