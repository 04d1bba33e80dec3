/* BATCH_MATMUL, int16, matrices with any strides; generic C. */
#ifndef TINYOPS_TO_BATCH_MATMUL_ANY_S16_C_H
#define TINYOPS_TO_BATCH_MATMUL_ANY_S16_C_H

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
    int16_t multiplier; /* output scale, see to_requantize_s64 */
    int8_t shift;
} to_batch_matmul_s16_params;

/* out: int16[batch][rows][columns], the sums over depth of a * b, rescaled; zero points are 0.
 * Bound: depth < 2^17.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `a` or `b` as far as Operator.overlap allows. */
void to_batch_matmul_any_s16_c(const to_batch_matmul_s16_params *p, const int16_t *a, const int16_t *b,
                               int16_t *out);

#endif
