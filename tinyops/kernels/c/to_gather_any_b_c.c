#include "to_gather_any_b_c.h"

#include "to_bytes.h"

static int32_t index_at(const uint8_t *indices, int32_t i, int32_t size) {
    int32_t index;
    memcpy(&index, indices + (size_t)i * sizeof index, sizeof index);
    if (index < 0) {
        return 0;
    }
    return index < size ? index : size - 1;
}

void to_gather_any_b_c(const to_gather_b_params *p, const void *in, const void *indices, void *out) {
    const uint8_t *from = in;
    uint8_t *to = out;
    for (int32_t b = 0; b < p->batches; b++) {
        for (int32_t o = 0; o < p->outer; o++) {
            for (int32_t i = 0; i < p->count; i++) {
                to_copy_run(to, from + index_at(indices, b * p->count + i, p->size) * p->run, p->run);
                to += p->run;
            }
            from += p->size * p->run;
        }
    }
}
