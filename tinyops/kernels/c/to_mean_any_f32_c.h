/* MEAN, float32, over any axes; generic C. */
#ifndef TINYOPS_TO_MEAN_ANY_F32_C_H
#define TINYOPS_TO_MEAN_ANY_F32_C_H

#include <stdint.h>

/* The input's dimensions, split into those that stay and those that are averaged, outermost first. Neighbours
 * of one kind are merged, so three of each serve up to six dimensions; unused extents are 1. Strides are in
 * elements of the input. */
typedef struct {
    int32_t kept_extents[3];
    int32_t kept_strides[3];
    int32_t reduced_extents[3];
    int32_t reduced_strides[3];
} to_mean_f32_params;

/* out: float[kept_extents[0]][kept_extents[1]][kept_extents[2]]: sums in the input's order, divided by the
 * number of averaged elements. Canonical order: outputs are stored in ascending order, each after all that it
 * needs was read, so `out` may overlap `in` as far as Operator.overlap allows. */
void to_mean_any_f32_c(const to_mean_f32_params *p, const float *in, float *out);

#endif
