#include "to_sigmoid_any_s16_c.h"

#include "to_sigmoid_s16.h"

void to_sigmoid_any_s16_c(const to_sigmoid_s16_params *p, const int16_t *in, const int16_t *table,
                          int16_t *out) {
    const int32_t half = p->shift > 0 ? INT32_C(1) << (p->shift - 1) : 0;
    for (int32_t i = 0; i < p->n; i++) {
        const int32_t x = (in[i] * p->multiplier + half) >> p->shift;
        out[i] = (int16_t)(p->tanh ? to_tanh_s16(table, x) : to_sigmoid_s16(table, x));
    }
}
