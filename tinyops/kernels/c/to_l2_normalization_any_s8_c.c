#include "to_l2_normalization_any_s8_c.h"

#include "to_requant.h"

/* TFLite GetInvSqrtQuantizedMultiplierExp: 1 / sqrt(x) as a multiplier, and a right shift, x >= 0 (0 counts
 * as 1). Five steps of Newton's iteration from 1 in Q3.28; the argument lies in 1/4..1, so that none
 * saturates. */
static int32_t inverse_sqrt(int32_t x, int32_t *right_shift) {
    if (x <= 1) {
        *right_shift = 0;
        return INT32_MAX;
    }
    int32_t shift = 11;
    if (x >= INT32_C(1) << 29) {
        x /= 4;
        shift++;
    }
    for (; x < INT32_C(1) << 27; x *= 4) {
        shift--;
    }
    const int32_t half = to_rounding_shift(x >> 1, 1);
    int32_t y = INT32_C(1) << 28;
    for (int32_t i = 0; i < 5; i++) {
        const int32_t cube = to_multiply_high(to_multiply_high(y, y), y) * 64;
        y = (to_multiply_high(INT32_C(3) << 27, y) - to_multiply_high(half, cube)) * 8;
    }
    y = to_multiply_high(y, 1518500250); /* sqrt(1/2) */
    *right_shift = shift > 0 ? shift : 0;
    return shift < 0 ? y * (INT32_C(1) << -shift) : y;
}

void to_l2_normalization_any_s8_c(const to_l2_normalization_s8_params *p, const int8_t *in, int8_t *out) {
    for (int32_t i = 0; i < p->rows; i++, in += p->depth, out += p->depth) {
        int32_t sum = 0;
        for (int32_t j = 0; j < p->depth; j++) {
            const int32_t x = in[j] + p->offset;
            sum += x * x;
        }
        int32_t right_shift;
        const int32_t multiplier = inverse_sqrt(sum, &right_shift);
        for (int32_t j = 0; j < p->depth; j++) {
            const int32_t scaled = to_requantize(in[j] + p->offset, multiplier, 7 - right_shift);
            out[j] = (int8_t)to_clamp(scaled, INT8_MIN, INT8_MAX);
        }
    }
}
