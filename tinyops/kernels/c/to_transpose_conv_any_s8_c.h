/* TRANSPOSE_CONV, int8, any window, stride and padding; generic C. */
#ifndef TINYOPS_TO_TRANSPOSE_CONV_ANY_S8_C_H
#define TINYOPS_TO_TRANSPOSE_CONV_ANY_S8_C_H

#include <stdint.h>

/* Tensors are NHWC and smaller than 2^30 bytes; dimensions and strides are >= 1. */
typedef struct {
    int32_t batches;
    int32_t in_h;
    int32_t in_w;
    int32_t in_c;
    int32_t out_h;
    int32_t out_w;
    int32_t out_c;
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t pad_top;
    int32_t pad_left;
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t activation_min;
    int8_t activation_max;
} to_transpose_conv_s8_params;

/* in: int8[batches][in_h][in_w][in_c], out: int8[batches][out_h][out_w][out_c],
 * weights: int8[out_c][kernel_h][kernel_w][in_c], zero point 0, bias: int32[out_c].
 * Output row y sums (in - input_zero_point) * weight over input rows i and weight rows k with
 * y = i * stride_h - pad_top + k, and columns alike. multiplier, shift: output scale per channel, see
 * to_requantize.
 * Bound: |bias[c]| + 255 * (sum of |weights| of channel c) < 2^31.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_transpose_conv_any_s8_c(const to_transpose_conv_s8_params *p, const int8_t *in, const int8_t *weights,
                                const int32_t *bias, const int32_t *multiplier, const int8_t *shift,
                                int8_t *out);

#endif
