/* AVERAGE_POOL_2D and MAX_POOL_2D, int16, any window, stride and padding; generic C. */
#ifndef TINYOPS_TO_POOL2D_ANY_S16_C_H
#define TINYOPS_TO_POOL2D_ANY_S16_C_H

#include <stdint.h>

/* Tensors are NHWC and smaller than 2^30 bytes; every window holds at least one element of the image and
 * fewer than 2^16 - 1. */
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
    int16_t activation_min;
    int16_t activation_max;
    int8_t largest; /* the maximum; else the mean, rounded half away from zero */
} to_pool2d_s16_params;

/* in: int16[batches][in_h][in_w][in_c], out: int16[batches][out_h][out_w][in_c]; padding does not count.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_pool2d_any_s16_c(const to_pool2d_s16_params *p, const int16_t *in, int16_t *out);

#endif
