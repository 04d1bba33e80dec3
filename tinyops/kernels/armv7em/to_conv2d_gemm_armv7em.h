/* Parameters that the CONV_2D kernels with packed weights share. */
#ifndef TINYOPS_TO_CONV2D_GEMM_ARMV7EM_H
#define TINYOPS_TO_CONV2D_GEMM_ARMV7EM_H

#include <stdint.h>

/* Tensors are NHWC and smaller than 2^30 bytes; there is one group and no dilation. */
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
    int8_t input_zero_point; /* value of the taps outside the image */
    int8_t activation_min;
    int8_t activation_max;
    int8_t clamped;    /* output_zero_point <= activation_min: less rounding gives the same */
    int8_t descending; /* of a 1x1 window with stride 1: the last pixels first, so that `out` may lie above */
} to_conv2d_gemm_params;

#endif
