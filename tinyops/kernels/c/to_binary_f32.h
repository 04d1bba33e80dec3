/* What the float32 kernels of two tensors share. */
#ifndef TINYOPS_TO_BINARY_F32_H
#define TINYOPS_TO_BINARY_F32_H

#include <stdint.h>

/* Values of `mode`; each kernel takes those that it names. */
enum {
    TO_BINARY_F32_ADD = 0,
    TO_BINARY_F32_SUB = 1,
    TO_BINARY_F32_MUL = 2,
    TO_BINARY_F32_DIV = 3,
    TO_BINARY_F32_MINIMUM = 4,
    TO_BINARY_F32_MAXIMUM = 5,
    TO_BINARY_F32_SQUARED_DIFFERENCE = 6,
    TO_BINARY_F32_PRELU = 7,
    TO_BINARY_F32_EQUAL = 8,
    TO_BINARY_F32_NOT_EQUAL = 9,
    TO_BINARY_F32_LESS = 10,
    TO_BINARY_F32_LESS_EQUAL = 11,
    TO_BINARY_F32_FLOOR_DIV = 12,
    TO_BINARY_F32_FLOOR_MOD = 13
};

/* Extents are >= 1, outermost first; strides are in elements, 0 where an input is broadcast. The bounds are
 * those of an activation after ADD, SUB, MUL and DIV. */
typedef struct {
    int32_t extents[4];
    int32_t a_stride[4];
    int32_t b_stride[4];
    int32_t mode;
    float activation_min;
    float activation_max;
} to_binary_f32_params;

/* The first element of an input in row i, j, k. */
static inline const float *to_row_f32(const float *x, const int32_t *stride, int32_t i, int32_t j,
                                      int32_t k) {
    return x + i * stride[0] + j * stride[1] + k * stride[2];
}

#endif
