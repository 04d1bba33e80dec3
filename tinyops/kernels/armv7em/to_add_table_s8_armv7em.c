#include "to_add_table_s8_armv7em.h"

static inline int8_t output(int32_t x, int32_t multiplier, int32_t addend, int32_t shift) {
    int32_t high;
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(x), "r"(multiplier));
    high = (high + (high >> 31) + addend) >> shift;
    __asm__("ssat %0, #8, %0" : "+r"(high));
    return (int8_t)high;
}

void to_add_table_s8_armv7em(const to_add_table_s8_params *p, const int8_t *a, const int8_t *b,
                             const int32_t *tables, int8_t *out) {
    const int32_t multiplier = p->multiplier, addend = p->addend, shift = p->shift;
    const int32_t *second = tables + 256;
    const int8_t low = p->activation_min, high = p->activation_max;
    int32_t i = 0;
    for (; i + 2 <= p->n; i += 2) {
        const int32_t x = tables[(uint8_t)a[i]] + second[(uint8_t)b[i]];
        const int32_t y = tables[(uint8_t)a[i + 1]] + second[(uint8_t)b[i + 1]];
        out[i] = output(x, multiplier, addend, shift);
        out[i + 1] = output(y, multiplier, addend, shift);
    }
    if (i < p->n) {
        out[i] = output(tables[(uint8_t)a[i]] + second[(uint8_t)b[i]], multiplier, addend, shift);
    }
    for (i = 0; (low > INT8_MIN || high < INT8_MAX) && i < p->n; i++) {
        out[i] = out[i] < low ? low : out[i] > high ? high : out[i];
    }
}
