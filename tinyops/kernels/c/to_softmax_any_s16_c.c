#include "to_softmax_any_s16_c.h"

#include "to_requant.h"

/* TFLite LUTLookup: the table at x, linear between its entries. */
static int32_t lookup(const int16_t *table, int32_t x) {
    const int16_t *entry = table + 256 + (x >> 7);
    return entry[0] + (((entry[1] - entry[0]) * (x & 0x7F) + 64) >> 7);
}

static void row(const to_softmax_s16_params *p, const int16_t *in, const int16_t *exp_table,
                const int16_t *reciprocal_table, int16_t *out) {
    int32_t largest = INT16_MIN;
    for (int32_t i = 0; i < p->depth; i++) {
        largest = in[i] > largest ? in[i] : largest;
    }
    uint32_t sum = 0; /* Q16.15 */
    for (int32_t i = 0; i < p->depth; i++) {
        const int32_t x = to_requantize(in[i] - largest, p->multiplier, p->shift);
        /* x is clamped before the offset, which it may not pass then. */
        const int32_t e = lookup(exp_table, to_clamp(x, -65535, 0) + INT16_MAX);
        out[i] = (int16_t)e;
        sum += (uint32_t)e;
    }
    int32_t headroom = 1; /* leading zeros */
    for (uint32_t s = sum; s < UINT32_C(1) << 30; s <<= 1) {
        headroom++;
    }
    const int32_t shifted = (int32_t)(((sum << (headroom - 1)) + (1u << 13)) >> 14);
    const int32_t x = to_clamp(shifted - (1 << 15) - (1 << 16), INT16_MIN, INT16_MAX);
    const int32_t scale = lookup(reciprocal_table, x);
    const int32_t right = 31 - headroom;
    for (int32_t i = 0; i < p->depth; i++) {
        const int64_t scaled = ((int64_t)out[i] * scale + (INT64_C(1) << (right - 1))) >> right;
        out[i] = (int16_t)to_clamp((int32_t)scaled, 0, INT16_MAX);
    }
}

void to_softmax_any_s16_c(const to_softmax_s16_params *p, const int16_t *in, const int16_t *exp_table,
                          const int16_t *reciprocal_table, int16_t *out) {
    for (int32_t i = 0; i < p->rows; i++, in += p->depth, out += p->depth) {
        row(p, in, exp_table, reciprocal_table, out);
    }
}
