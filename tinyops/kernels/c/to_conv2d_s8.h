/* Parameters that all int8 CONV_2D kernels share. */
#ifndef TINYOPS_TO_CONV2D_S8_H
#define TINYOPS_TO_CONV2D_S8_H

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
    int8_t input_zero_point; /* value of the taps outside the image */
    int8_t output_zero_point;
    int8_t activation_min;
    int8_t activation_max;
    int8_t descending; /* 1x1 kernels: pixels are computed from the last to the first, so that `out` may lie
                          above */
} to_conv2d_s8_params;

#endif
