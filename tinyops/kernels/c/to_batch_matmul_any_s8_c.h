/* BATCH_MATMUL, int8, matrices with any strides; generic C. */
#ifndef TINYOPS_TO_BATCH_MATMUL_ANY_S8_C_H
#define TINYOPS_TO_BATCH_MATMUL_ANY_S8_C_H

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
    int32_t multiplier; /* output scale, see to_requantize */
    int8_t shift;
    int8_t a_zero_point;
    int8_t b_zero_point;
    int8_t output_zero_point;
} to_batch_matmul_s8_params;

/* out: int8[batch][rows][columns], the sums over depth of (a - a_zero_point) * (b - b_zero_point), rescaled.
 * Bound: depth * (largest |a - a_zero_point|) * (largest |b - b_zero_point|) < 2^31.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `a` or `b` as far as Operator.overlap allows. */
void to_batch_matmul_any_s8_c(const to_batch_matmul_s8_params *p, const int8_t *a, const int8_t *b,
                              int8_t *out);

#endif
