/* MEAN, SUM, REDUCE_MAX and REDUCE_MIN, float32, over any axes; generic C. */
#ifndef TINYOPS_TO_REDUCE_ANY_F32_C_H
#define TINYOPS_TO_REDUCE_ANY_F32_C_H

#include <stdint.h>

/* Values of `mode`. */
enum { TO_REDUCE_F32_SUM = 0, TO_REDUCE_F32_MEAN = 1, TO_REDUCE_F32_MAX = 2, TO_REDUCE_F32_MIN = 3 };

/* The input's dimensions, split into those that stay and those that are reduced, outermost first. Neighbours
 * of one kind are merged, so three of each serve up to six dimensions; unused extents are 1. Strides are in
 * elements of the input. */
typedef struct {
    int32_t kept_extents[3];
    int32_t kept_strides[3];
    int32_t reduced_extents[3];
    int32_t reduced_strides[3];
    int32_t mode;
} to_reduce_f32_params;

/* out: float[kept_extents[0]][kept_extents[1]][kept_extents[2]]: sums in the input's order, means divide them
 * by the number of elements; a maximum is at least -FLT_MAX, a minimum at most FLT_MAX, and NaN is left out,
 * as TFLite's. Canonical order: outputs are stored in ascending order, each after all that it needs was read,
 * so `out` may overlap `in` as far as Operator.overlap allows. */
void to_reduce_any_f32_c(const to_reduce_f32_params *p, const float *in, float *out);

#endif
