/* ARG_MAX and ARG_MIN, int8 to int32, along one axis; generic C. */
#ifndef TINYOPS_TO_ARG_EXTREME_ANY_S8_C_H
#define TINYOPS_TO_ARG_EXTREME_ANY_S8_C_H

#include <stdint.h>

/* Elements are compared after an exclusive or with `flip`: 0 for the largest, -1 for the smallest. */
typedef struct {
    int32_t outer;
    int32_t axis;
    int32_t inner;
    int8_t flip;
} to_arg_extreme_s8_params;

/* in: int8[outer][axis][inner], axis >= 1; out: int32[outer][inner], the first of equal elements.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_arg_extreme_any_s8_c(const to_arg_extreme_s8_params *p, const int8_t *in, int32_t *out);

#endif
