#include "to_lut_any_8_c.h"

void to_lut_any_8_c(const to_lut_8_params *p, const void *in, const uint8_t *table, void *out) {
    const uint8_t *x = in;
    uint8_t *y = out;
    for (int32_t i = 0; i < p->n; i++) {
        y[i] = table[x[i]];
    }
}
