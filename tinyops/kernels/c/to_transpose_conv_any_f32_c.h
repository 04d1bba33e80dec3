/* TRANSPOSE_CONV, float32, any window, stride and padding; generic C. */
#ifndef TINYOPS_TO_TRANSPOSE_CONV_ANY_F32_C_H
#define TINYOPS_TO_TRANSPOSE_CONV_ANY_F32_C_H

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
    float activation_min;
    float activation_max;
} to_transpose_conv_f32_params;

/* in: float[batches][in_h][in_w][in_c], out: float[batches][out_h][out_w][out_c],
 * weights: float[out_c][kernel_h][kernel_w][in_c], bias: float[out_c].
 * Output row y sums in * weight over input rows i and weight rows k with
 * y = i * stride_h - pad_top + k, and columns alike, from the first tap on; the bias is added last.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_transpose_conv_any_f32_c(const to_transpose_conv_f32_params *p, const float *in, const float *weights,
                                 const float *bias, float *out);

#endif
