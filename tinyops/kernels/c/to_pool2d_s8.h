/* Parameters that all int8 pooling kernels share. */
#ifndef TINYOPS_TO_POOL2D_S8_H
#define TINYOPS_TO_POOL2D_S8_H

#include <stdint.h>

/* Tensors are NHWC and smaller than 2^30 bytes; every window holds at least one element of the image, and
 * kernel_h * kernel_w < 2^23. */
typedef struct {
    int32_t batches;
    int32_t in_h;
    int32_t in_w;
    int32_t in_c;
    int32_t out_h;
    int32_t out_w;
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t pad_top;
    int32_t pad_left;
    int8_t activation_min;
    int8_t activation_max;
} to_pool2d_s8_params;

#endif
