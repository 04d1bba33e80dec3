#include "to_gather_any_b_c.h"

#include "to_bytes.h"

/* The slice at coordinates i of those in `indices`. */
static int32_t slice_at(const to_gather_b_params *p, const uint8_t *indices, int32_t i) {
    int32_t slice = 0;
    for (int32_t d = 0; d < p->depth; d++) {
        const int32_t last = p->extents[d] - 1;
        int32_t index;
        memcpy(&index, indices + (size_t)(i * p->depth + d) * sizeof index, sizeof index);
        slice = slice * p->extents[d] + (index < 0 ? 0 : index > last ? last : index);
    }
    return slice;
}

void to_gather_any_b_c(const to_gather_b_params *p, const void *in, const void *indices, void *out) {
    const uint8_t *from = in;
    uint8_t *to = out;
    for (int32_t b = 0; b < p->batches; b++) {
        for (int32_t o = 0; o < p->outer; o++) {
            for (int32_t i = 0; i < p->count; i++) {
                to_copy_run(to, from + slice_at(p, indices, b * p->count + i) * p->run, p->run);
                to += p->run;
            }
            from += p->size * p->run;
        }
    }
}
