/* What the elementwise float32 kernels share. */
#ifndef TINYOPS_TO_UNARY_F32_H
#define TINYOPS_TO_UNARY_F32_H

#include <stdint.h>

/* Values of `mode`; each kernel takes those that it names. */
enum {
    TO_UNARY_F32_ABS = 0,
    TO_UNARY_F32_NEG = 1,
    TO_UNARY_F32_SQUARE = 2,
    TO_UNARY_F32_FLOOR = 3,
    TO_UNARY_F32_CEIL = 4,
    TO_UNARY_F32_ROUND = 5,
    TO_UNARY_F32_HARD_SWISH = 6,
    TO_UNARY_F32_LEAKY_RELU = 7,
    TO_UNARY_F32_SQRT = 8,
    TO_UNARY_F32_RSQRT = 9,
    TO_UNARY_F32_EXP = 10,
    TO_UNARY_F32_ELU = 11,
    TO_UNARY_F32_GELU_TANH = 12,
    TO_UNARY_F32_GELU = 13,
    TO_UNARY_F32_LOG = 14,
    TO_UNARY_F32_SIN = 15,
    TO_UNARY_F32_COS = 16
};

typedef struct {
    int32_t n;
    int32_t mode;
    float alpha; /* slope of LEAKY_RELU below 0 */
} to_unary_f32_params;

#endif
