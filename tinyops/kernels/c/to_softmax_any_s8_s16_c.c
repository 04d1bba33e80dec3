#include "to_softmax_any_s8_s16_c.h"

static void row(const int8_t *in, int32_t depth, const int32_t *exp_table, int16_t *out) {
    const to_softmax_sum sum = to_softmax_sum_s8(in, depth, exp_table);
    for (int32_t i = 0; i < depth; i++) {
        const int32_t q = to_multiply_high(sum.scale, exp_table[sum.largest - in[i]]);
        const int32_t probability = to_rounding_shift(q, sum.exponent + 31 - 16);
        out[i] = (int16_t)(probability > UINT16_MAX ? INT16_MAX : probability + INT16_MIN);
    }
}

void to_softmax_any_s8_s16_c(const to_softmax_s8_params *p, const int8_t *in, const int32_t *exp_table,
                             int16_t *out) {
    for (int32_t i = 0; i < p->rows; i++, in += p->depth, out += p->depth) {
        row(in, p->depth, exp_table, out);
    }
}
