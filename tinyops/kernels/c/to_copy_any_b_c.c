#include "to_copy_any_b_c.h"

#include "to_bytes.h"

void to_copy_any_b_c(const to_copy_b_params *p, const void *in, void *out) {
    const uint8_t *from = in;
    uint8_t *to = out;
    int32_t index[6] = {0, 0, 0, 0, 0, 0};
    int32_t at_in = 0;
    int32_t at_out = 0;
    int32_t d;
    do {
        to_copy_run(to + at_out, from + at_in, p->run);
        for (d = p->dims - 1; d >= 0; d--) {
            if (++index[d] < p->extents[d]) {
                at_in += p->in_stride[d];
                at_out += p->out_stride[d];
                break;
            }
            index[d] = 0;
            at_in -= (p->extents[d] - 1) * p->in_stride[d];
            at_out -= (p->extents[d] - 1) * p->out_stride[d];
        }
    } while (d >= 0);
}
