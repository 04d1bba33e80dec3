/* ARG_MAX and ARG_MIN, float32 to int32, along one axis; generic C. */
#ifndef TINYOPS_TO_ARG_EXTREME_ANY_F32_C_H
#define TINYOPS_TO_ARG_EXTREME_ANY_F32_C_H

#include <stdint.h>

typedef struct {
    int32_t outer;
    int32_t axis;
    int32_t inner;
    int32_t smallest; /* 0: of the largest element */
} to_arg_extreme_f32_params;

/* in: float[outer][axis][inner], axis >= 1; out: int32[outer][inner], the first of equal elements; NaN counts
 * in the first place alone, as TFLite's. Canonical order: outputs are stored in ascending order, each after
 * all that it needs was read, so `out` may overlap `in` as far as Operator.overlap allows. */
void to_arg_extreme_any_f32_c(const to_arg_extreme_f32_params *p, const float *in, int32_t *out);

#endif
