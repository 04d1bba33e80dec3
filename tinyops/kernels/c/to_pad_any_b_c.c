#include "to_pad_any_b_c.h"

#include "to_bytes.h"

/* n padding elements; returns the place after them. */
static uint8_t *fill(const to_pad_b_params *p, uint8_t *out, int32_t n) {
    const int32_t bytes = n * p->element_size;
    if (p->element_size == 1) {
        memset(out, p->fill[0], (size_t)bytes);
    } else {
        for (int32_t i = 0; i < bytes; i++) {
            out[i] = p->fill[i & (p->element_size - 1)];
        }
    }
    return out + bytes;
}

/* Padding between two neighbouring rows of the input is one run of the output, `due` elements long, so that
 * every row is read once, in order. */
void to_pad_any_b_c(const to_pad_b_params *p, const void *in, void *out) {
    const uint8_t *from = in;
    uint8_t *to = out;
    int32_t size[5]; /* elements of one index step in dimension d of the output */
    int32_t index[4] = {0, 0, 0, 0};
    int32_t d;
    size[4] = 1;
    for (d = 3; d >= 0; d--) {
        size[d] = size[d + 1] * (p->before[d + 1] + p->in_extents[d + 1] + p->after[d + 1]);
    }
    const int32_t run = p->in_extents[4] * p->element_size;
    int32_t due = 0;
    for (d = 0; d < 5; d++) {
        due += p->before[d] * size[d];
    }
    do {
        to = fill(p, to, due);
        to_copy_run(to, from, run);
        to += run;
        from += run;
        due = p->before[4] + p->after[4];
        for (d = 3; d >= 0 && ++index[d] == p->in_extents[d]; d--) {
            index[d] = 0;
            due += (p->before[d] + p->after[d]) * size[d];
        }
    } while (d >= 0);
    for (d = 0, due = 0; d < 5; d++) {
        due += p->after[d] * size[d];
    }
    (void)fill(p, to, due);
}
