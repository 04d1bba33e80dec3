/* BATCH_MATMUL, float32, matrices with any strides; generic C. */
#ifndef TINYOPS_TO_BATCH_MATMUL_ANY_F32_C_H
#define TINYOPS_TO_BATCH_MATMUL_ANY_F32_C_H

#include <stdint.h>

/* Strides are in elements and >= 0; 0 in a batch dimension that is broadcast. Dimensions are >= 1. */
typedef struct {
    int32_t batch[3];
    int32_t a_batch[3];
    int32_t b_batch[3];
    int32_t rows;
    int32_t depth;
    int32_t columns;
    int32_t a_row;
    int32_t a_depth;
    int32_t b_depth;
    int32_t b_column;
} to_batch_matmul_f32_params;

/* out: float[batch][rows][columns], the sums over depth of a * b, in that order.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `a` or `b` as far as Operator.overlap allows. */
void to_batch_matmul_any_f32_c(const to_batch_matmul_f32_params *p, const float *a, const float *b,
                               float *out);

#endif
