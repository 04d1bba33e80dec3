/* CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED, float32; generic C. */
#ifndef TINYOPS_TO_CONV2D_ANY_F32_C_H
#define TINYOPS_TO_CONV2D_ANY_F32_C_H

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
    float activation_min;
    float activation_max;
} to_conv2d_f32_params;

/* in: float[batches][in_h][in_w][in_c], out: float[batches][out_h][out_w][out_c],
 * weights: float[out_c][kernel_h][kernel_w][in_c / groups], bias: float[out_c].
 * Products are added one after the other, from the first tap on, and the bias last.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_conv2d_any_f32_c(const to_conv2d_f32_params *p, const float *in, const float *weights,
                         const float *bias, float *out);

#endif
