/* AVERAGE_POOL_2D and MAX_POOL_2D, float32, any window, stride and padding; generic C. */
#ifndef TINYOPS_TO_POOL2D_ANY_F32_C_H
#define TINYOPS_TO_POOL2D_ANY_F32_C_H

#include <stdint.h>

/* Tensors are NHWC and smaller than 2^30 bytes; every window holds at least one element of the image. */
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
    int32_t largest; /* 1: the largest element; 0: the mean */
    float activation_min;
    float activation_max;
} to_pool2d_f32_params;

/* in: float[batches][in_h][in_w][in_c], out: float[batches][out_h][out_w][in_c].
 * Over the taps inside the image; a sum runs from the first tap on and is divided by their number.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_pool2d_any_f32_c(const to_pool2d_f32_params *p, const float *in, float *out);

#endif
