/* SVDF, int8: the next activation state; generic C. */
#ifndef TINYOPS_TO_SVDF_STATE_ANY_S8_C_H
#define TINYOPS_TO_SVDF_STATE_ANY_S8_C_H

#include <stdint.h>

/* Tensors are smaller than 2^30 bytes; dimensions are >= 1. */
typedef struct {
    int32_t batches;
    int32_t features;
    int32_t filters;
    int32_t memory;
    int32_t multiplier; /* of the new activations, see to_requantize */
    int8_t shift;
    int8_t input_zero_point;
    int8_t state_is_int16; /* else int8 */
    int16_t state_zero_point;
} to_svdf_state_s8_params;

/* in: int8[batches][features], weights: int8[filters][features], zero point 0,
 * state, out: [batches][filters][memory] of int8 or int16. The values of a filter move one place towards its
 * first; its last is the rescaled product of in - input_zero_point and the filter's weights.
 * bias[f]: -input_zero_point * (sum of the weights of filter f), int32[filters].
 * Bound: |bias[f]| + 128 * (sum of |weights| of filter f) < 2^31.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `state` as far as Operator.overlap allows. */
void to_svdf_state_any_s8_c(const to_svdf_state_s8_params *p, const int8_t *in, const int8_t *weights,
                            const int32_t *bias, const void *state, void *out);

#endif
