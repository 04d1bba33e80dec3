/* ADD, SUB and MUL of two tensors with broadcasting, float32; generic C. */
#ifndef TINYOPS_TO_BINARY_ANY_F32_C_H
#define TINYOPS_TO_BINARY_ANY_F32_C_H

#include <stdint.h>

/* Values of `mode`. */
enum { TO_BINARY_F32_ADD = 0, TO_BINARY_F32_SUB = 1, TO_BINARY_F32_MUL = 2 };

/* Extents are >= 1, outermost first; strides are in elements, 0 where an input is broadcast. */
typedef struct {
    int32_t extents[4];
    int32_t a_stride[4];
    int32_t b_stride[4];
    int32_t mode;
    float activation_min;
    float activation_max;
} to_binary_f32_params;

/* out: float[extents[0]][extents[1]][extents[2]][extents[3]].
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `a` and `b` as far as Operator.overlap allows. */
void to_binary_any_f32_c(const to_binary_f32_params *p, const float *a, const float *b, float *out);

#endif
