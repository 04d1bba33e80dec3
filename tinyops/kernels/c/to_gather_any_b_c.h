/* GATHER, GATHER_ND and EMBEDDING_LOOKUP: slices at computed indices; generic C. */
#ifndef TINYOPS_TO_GATHER_ANY_B_C_H
#define TINYOPS_TO_GATHER_ANY_B_C_H

#include <stdint.h>

typedef struct {
    int32_t batches;
    int32_t outer;
    int32_t count;
    int32_t size;       /* product of the extents */
    int32_t depth;      /* coordinates of a slice, 1 to 5 */
    int32_t extents[5]; /* >= 1, outermost first, `depth` of them used */
    int32_t run;        /* bytes of a slice */
} to_gather_b_params;

/* in: [batches][outer][size] slices, indices: int32[batches][count][depth], out: [batches][outer][count]
 * slices. A coordinate below 0 counts as 0 and one that is not below its extent as the last: nothing out of
 * bounds is read.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows; it must not overlap `indices`. */
void to_gather_any_b_c(const to_gather_b_params *p, const void *in, const void *indices, void *out);

#endif
