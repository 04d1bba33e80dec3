#include "to_take_any_b_c.h"

#include "to_bytes.h"

void to_take_any_b_c(const to_take_b_params *p, const void *in, const int32_t *offsets, void *out) {
    const uint8_t *from = in;
    uint8_t *to = out;
    const int32_t inner = p->dims - 1;
    int32_t start[6]; /* of each dimension's table */
    int32_t index[6] = {0, 0, 0, 0, 0, 0};
    int32_t d;
    start[0] = 0;
    for (d = 0; d < inner; d++) {
        start[d + 1] = start[d] + p->extents[d];
    }
    do {
        int32_t base = 0;
        for (d = 0; d < inner; d++) {
            base += offsets[start[d] + index[d]];
        }
        for (int32_t i = 0; i < p->extents[inner]; i++) {
            to_copy_run(to, from + base + offsets[start[inner] + i], p->run);
            to += p->run;
        }
        for (d = inner - 1; d >= 0 && ++index[d] == p->extents[d]; d--) {
            index[d] = 0;
        }
    } while (d >= 0);
}
