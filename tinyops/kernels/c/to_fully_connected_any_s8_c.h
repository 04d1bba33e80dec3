/* FULLY_CONNECTED, int8, per-tensor weights; generic C. */
#ifndef TINYOPS_TO_FULLY_CONNECTED_ANY_S8_C_H
#define TINYOPS_TO_FULLY_CONNECTED_ANY_S8_C_H

#include <stdint.h>

typedef struct {
    int32_t batches;
    int32_t in_n;
    int32_t out_n;
    int32_t multiplier; /* output scale, see to_requantize */
    int8_t shift;
    int8_t output_zero_point;
    int8_t activation_min;
    int8_t activation_max;
} to_fully_connected_s8_params;

/* in: int8[batches][in_n], out: int8[batches][out_n], weights: int8[out_n][in_n], zero point 0.
 * bias[n]: bias - input_zero_point * (sum of the weights of output n), int32[out_n].
 * Bound: |bias[n]| + 128 * (sum of |weights| of output n) < 2^31; at 128 * 128 a product that allows
 * in_n < 2^16 with |bias[n]| < 2^30.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_fully_connected_any_s8_c(const to_fully_connected_s8_params *p, const int8_t *in,
                                 const int8_t *weights, const int32_t *bias, int8_t *out);

#endif
