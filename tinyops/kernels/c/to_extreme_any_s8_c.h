/* REDUCE_MAX and REDUCE_MIN, int8, over any axes; generic C. */
#ifndef TINYOPS_TO_EXTREME_ANY_S8_C_H
#define TINYOPS_TO_EXTREME_ANY_S8_C_H

#include <stdint.h>

/* The input's dimensions, split into those that stay and those that are reduced, outermost first. Neighbours
 * of one kind are merged, so three of each serve up to six dimensions; unused extents are 1. Strides are in
 * elements of the input. Elements are compared after an exclusive or with `flip`: 0 for the largest, -1 for
 * the smallest. */
typedef struct {
    int32_t kept_extents[3];
    int32_t kept_strides[3];
    int32_t reduced_extents[3];
    int32_t reduced_strides[3];
    int8_t flip;
} to_extreme_s8_params;

/* out: int8[kept_extents[0]][kept_extents[1]][kept_extents[2]].
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_extreme_any_s8_c(const to_extreme_s8_params *p, const int8_t *in, int8_t *out);

#endif
