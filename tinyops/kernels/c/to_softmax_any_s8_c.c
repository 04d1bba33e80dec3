#include "to_softmax_any_s8_c.h"

#include "to_requant.h"

/* gemmlowp one_over_one_plus_x_for_x_in_0_1: 1 / (1 + x), both Q0.31, 0 <= x, by three Newton-Raphson steps;
 * the iterate is Q2.29 and at most 2, so its increments do not saturate. */
static int32_t one_over_one_plus(int32_t x) {
    const int32_t half = (int32_t)(((uint32_t)x + (UINT32_C(1) << 31)) >> 1);
    int32_t r = 1515870810 + to_multiply_high(half, -1010580540); /* 48/17 - 32/17 * half */
    for (int32_t i = 0; i < 3; i++) {
        const int32_t error = (INT32_C(1) << 29) - to_multiply_high(half, r);
        r += to_multiply_high(r, error) * 4;
    }
    return r >= INT32_C(1) << 30 ? INT32_MAX : r * 2;
}

static void row(const int8_t *in, int32_t depth, const int32_t *exp_table, int8_t *out) {
    int32_t largest = INT8_MIN;
    for (int32_t i = 0; i < depth; i++) {
        largest = in[i] > largest ? in[i] : largest;
    }
    uint32_t sum = 0; /* Q12.19, at least 1.0: the largest value's own term */
    for (int32_t i = 0; i < depth; i++) {
        sum += (uint32_t)to_rounding_shift(exp_table[largest - in[i]], 12);
    }
    int32_t exponent = 35; /* of two, that the reciprocal times an exp is divided by */
    for (; sum < UINT32_C(1) << 31; sum <<= 1) {
        exponent--;
    }
    const int32_t scale = one_over_one_plus((int32_t)(sum - (UINT32_C(1) << 31)));
    for (int32_t i = 0; i < depth; i++) {
        const int32_t q = to_multiply_high(scale, exp_table[largest - in[i]]);
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
