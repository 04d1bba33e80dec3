/* SELECT_V2 with broadcasting, elements of 1, 2 or 4 bytes; generic C. */
#ifndef TINYOPS_TO_SELECT_ANY_B_C_H
#define TINYOPS_TO_SELECT_ANY_B_C_H

#include <stdint.h>

/* Extents are >= 1, outermost first; strides are in elements, 0 where an input is broadcast. */
typedef struct {
    int32_t extents[4];
    int32_t condition_stride[4];
    int32_t a_stride[4];
    int32_t b_stride[4];
    int8_t element_size;
} to_select_b_params;

/* condition: bytes, 0 for false; a, b, out: elements of element_size bytes, aligned to it; the output is a
 * where the condition is true and b elsewhere: [extents[0]][extents[1]][extents[2]][extents[3]].
 *
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap the inputs as far as Operator.overlap allows. */
void to_select_any_b_c(const to_select_b_params *p, const uint8_t *condition, const void *a, const void *b,
                       void *out);

#endif
