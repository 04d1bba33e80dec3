/* Copy of bytes from places in tables, for RESIZE_NEAREST_NEIGHBOR, MIRROR_PAD and the like; generic C. */
#ifndef TINYOPS_TO_TAKE_ANY_B_C_H
#define TINYOPS_TO_TAKE_ANY_B_C_H

#include <stdint.h>

/* For every index below `extents` (>= 1, outermost first, 1 <= `dims` <= 6 of them used) `run` contiguous
 * bytes are copied; out is contiguous. */
typedef struct {
    int32_t dims;
    int32_t extents[6];
    int32_t run;
} to_take_b_params;

/* offsets: int32[sum of extents], a table of byte offsets per dimension, one after the other; index (i, j,
 * ...) copies from in + first[i] + second[j] + ... Canonical order: runs are copied in index order and
 * ascending within a run, so `out` may overlap `in` as far as Operator.overlap allows. */
void to_take_any_b_c(const to_take_b_params *p, const void *in, const int32_t *offsets, void *out);

#endif
