/* L2_NORMALIZATION over the last dimension, int8 to int8; generic C. */
#ifndef TINYOPS_TO_L2_NORMALIZATION_ANY_S8_C_H
#define TINYOPS_TO_L2_NORMALIZATION_ANY_S8_C_H

#include <stdint.h>

typedef struct {
    int32_t rows;
    int32_t depth;
    int16_t offset; /* -input zero point */
} to_l2_normalization_s8_params;

/* in, out: int8[rows][depth]; the output's scale is 1/128 and its zero point 0.
 * Bound: depth <= 33025, so that the sum of squares is below 2^31.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_l2_normalization_any_s8_c(const to_l2_normalization_s8_params *p, const int8_t *in, int8_t *out);

#endif
