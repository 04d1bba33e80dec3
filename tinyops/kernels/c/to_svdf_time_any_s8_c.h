/* SVDF, int8: the output from the activation state; generic C. */
#ifndef TINYOPS_TO_SVDF_TIME_ANY_S8_C_H
#define TINYOPS_TO_SVDF_TIME_ANY_S8_C_H

#include <stdint.h>

/* Tensors are smaller than 2^30 bytes; dimensions are >= 1. */
typedef struct {
    int32_t batches;
    int32_t units;
    int32_t rank;
    int32_t memory;
    int32_t multiplier; /* output scale, see to_requantize */
    int8_t shift;
    int8_t state_is_int16; /* else int8; the weights alike */
    int8_t output_zero_point;
    int16_t state_zero_point;
} to_svdf_time_s8_params;

/* state: [batches][units * rank][memory], weights: [units * rank][memory], both int8 or both int16,
 * bias: int32[units], out: int8[batches][units]: per unit the sum of (state - state_zero_point) * weight over
 * its `rank` filters, rescaled. Sums keep their low 32 bits, as TFLite's on two's complement machines.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read; `out` does
 * not overlap `state`. */
void to_svdf_time_any_s8_c(const to_svdf_time_s8_params *p, const void *state, const void *weights,
                           const int32_t *bias, int8_t *out);

#endif
