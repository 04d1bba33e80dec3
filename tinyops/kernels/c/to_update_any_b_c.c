#include "to_update_any_b_c.h"

#include "to_bytes.h"

void to_update_any_b_c(const to_update_b_params *p, const void *box, const int32_t *start, void *out) {
    const uint8_t *from = box;
    uint8_t *to = out;
    const int32_t inner = p->dims - 1;
    const int32_t run = p->extents[inner] * p->stride[inner];
    int32_t index[6] = {0, 0, 0, 0, 0, 0};
    int32_t d;
    for (d = 0; d < p->dims; d++) {
        const int32_t place = start[d] < p->most[d] ? start[d] : p->most[d];
        to += (place < 0 ? 0 : place) * p->stride[d];
    }
    do {
        int32_t at = 0;
        for (d = 0; d < inner; d++) {
            at += index[d] * p->stride[d];
        }
        to_copy_run(to + at, from, run);
        from += run;
        for (d = inner - 1; d >= 0 && ++index[d] == p->extents[d]; d--) {
            index[d] = 0;
        }
    } while (d >= 0);
}
