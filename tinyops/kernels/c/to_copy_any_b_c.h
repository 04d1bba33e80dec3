/* Strided copy of bytes, for CONCATENATION, SPLIT, STRIDED_SLICE and the like; generic C. */
#ifndef TINYOPS_TO_COPY_ANY_B_C_H
#define TINYOPS_TO_COPY_ANY_B_C_H

#include <stdint.h>

/* `run` contiguous bytes are copied for every index below `extents` (>= 1, outermost first, `dims` <= 6 of
 * them used; 0 copies one run). Strides are in bytes and may be negative. */
typedef struct {
    int32_t dims;
    int32_t extents[6];
    int32_t in_stride[6];
    int32_t out_stride[6];
    int32_t run;
} to_copy_b_params;

/* in, out: the first run's bytes.
 * Canonical order: runs are copied in index order and ascending within a run, so with ascending output
 * strides `out` may overlap `in` as far as Operator.overlap allows. */
void to_copy_any_b_c(const to_copy_b_params *p, const void *in, void *out);

#endif
