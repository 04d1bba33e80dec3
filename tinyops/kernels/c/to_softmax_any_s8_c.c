#include "to_softmax_any_s8_c.h"

static void row(const int8_t *in, int32_t depth, const int32_t *exp_table, int8_t *out) {
    const to_softmax_sum sum = to_softmax_sum_s8(in, depth, exp_table);
    const int32_t exponent = sum.exponent + 31 - 8;
    for (int32_t i = 0; i < depth; i++) {
        const int32_t q = to_multiply_high(sum.scale, exp_table[sum.largest - in[i]]);
        const int32_t probability = exponent > 31 ? 0 : to_rounding_shift(q, exponent);
        out[i] = (int8_t)(probability > 255 ? INT8_MAX : probability + INT8_MIN);
    }
}

void to_softmax_any_s8_c(const to_softmax_s8_params *p, const int8_t *in, const int32_t *exp_table,
                         int8_t *out) {
    for (int32_t i = 0; i < p->rows; i++, in += p->depth, out += p->depth) {
        row(in, p->depth, exp_table, out);
    }
}
