/* CUMSUM, float32, along one axis; generic C. */
#ifndef TINYOPS_TO_CUMSUM_ANY_F32_C_H
#define TINYOPS_TO_CUMSUM_ANY_F32_C_H

#include <stdint.h>

typedef struct {
    int32_t outer;
    int32_t axis;
    int32_t inner;
    int32_t exclusive; /* 1: without the element itself */
    int32_t reverse;   /* 1: from the end of the axis */
} to_cumsum_f32_params;

/* in, out: float[outer][axis][inner].
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows; not with `reverse`, which runs from the end. */
void to_cumsum_any_f32_c(const to_cumsum_f32_params *p, const float *in, float *out);

#endif
