/* DYNAMIC_UPDATE_SLICE: a box stored at a computed place; generic C. */
#ifndef TINYOPS_TO_UPDATE_ANY_B_C_H
#define TINYOPS_TO_UPDATE_ANY_B_C_H

#include <stdint.h>

/* Extents of the box, outermost first, 1 <= `dims` <= 6 of them used; `most` is the last place of each axis
 * at which the box is inside, strides are those of `out` in bytes. */
typedef struct {
    int32_t dims;
    int32_t extents[6];
    int32_t most[6];
    int32_t stride[6];
} to_update_b_params;

/* box: elements of stride[dims - 1] bytes, contiguous; start: int32[dims], a place below 0 counts as 0 and
 * one above `most` as it: nothing is stored out of bounds. The other elements of `out` stay as they are.
 * Canonical order: runs are stored in index order, ascending within a run; `out` must not overlap `box` and
 * `start`. */
void to_update_any_b_c(const to_update_b_params *p, const void *box, const int32_t *start, void *out);

#endif
