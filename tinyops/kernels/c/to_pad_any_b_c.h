/* PAD with a constant, elements of 1, 2 or 4 bytes; generic C. */
#ifndef TINYOPS_TO_PAD_ANY_B_C_H
#define TINYOPS_TO_PAD_ANY_B_C_H

#include <stdint.h>

/* Extents (>= 1) and paddings in elements, outermost first; unused leading dimensions have extent 1 and
 * padding 0. */
typedef struct {
    int32_t in_extents[5];
    int32_t before[5];
    int32_t after[5];
    int8_t element_size;
    uint8_t fill[4]; /* the padding element's bytes as they lie in memory, `element_size` of them */
} to_pad_b_params;

/* in: in_extents elements, out: in_extents + before + after elements, both contiguous.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_pad_any_b_c(const to_pad_b_params *p, const void *in, void *out);

#endif
