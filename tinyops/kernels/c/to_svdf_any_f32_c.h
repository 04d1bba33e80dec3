/* SVDF, float32; generic C. */
#ifndef TINYOPS_TO_SVDF_ANY_F32_C_H
#define TINYOPS_TO_SVDF_ANY_F32_C_H

#include <stdint.h>

/* Tensors are smaller than 2^30 bytes; dimensions are >= 1. */
typedef struct {
    int32_t batches;
    int32_t features;
    int32_t units;
    int32_t rank; /* filters per unit */
    int32_t memory;
    float activation_min;
    float activation_max;
} to_svdf_f32_params;

/* in: float[batches][features], feature: float[units * rank][features], time: float[units * rank][memory],
 * bias: float[units], state_in, state: float[batches][units * rank][memory], out: float[batches][units].
 * The values of a filter move one place towards its first, its last is the product of `in` and the filter's
 * features; a unit is its bias plus the sums of value * time of its filters.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `state`
 * may overlap `state_in` as far as Operator.overlap allows. */
void to_svdf_any_f32_c(const to_svdf_f32_params *p, const float *in, const float *feature, const float *time,
                       const float *bias, const float *state_in, float *state, float *out);

#endif
