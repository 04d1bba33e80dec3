/* Sigmoid and tanh by TFLite's table with linear interpolation: tanh(i / 48), i < 256, in Q0.15. */
#ifndef TINYOPS_TO_SIGMOID_S16_H
#define TINYOPS_TO_SIGMOID_S16_H

#include <stdint.h>

/* The table at |x| / 2^bits with `bits` more fractional bits, `saturated` beyond its end. */
static inline int32_t to_interpolate_s16(const int16_t *table, int32_t x, int32_t bits, int32_t saturated) {
    const uint32_t a = x < 0 ? 0u - (uint32_t)x : (uint32_t)x;
    const uint32_t i = a >> bits;
    if (i >= 255) {
        return saturated;
    }
    const int32_t fraction = (int32_t)(a & ((UINT32_C(1) << bits) - 1));
    return table[i] * (INT32_C(1) << bits) + fraction * (table[i + 1] - table[i]);
}

/* Q0.15; x is the real value times 3 * 2^12. */
static inline int32_t to_sigmoid_s16(const int16_t *table, int32_t x) {
    const int32_t half = to_interpolate_s16(table, x, 9, INT32_C(0x7FFE) << 9);
    return ((INT32_C(1) << 24) + (x >= 0 ? half + (1 << 9) : -half + (1 << 9) - 1)) >> 10;
}

/* Q0.15; x is the real value times 3 * 2^12. Right shifts of negative values are arithmetic. */
static inline int32_t to_tanh_s16(const int16_t *table, int32_t x) {
    const int32_t magnitude = to_interpolate_s16(table, x, 8, INT32_C(0x7FFF) << 8);
    return (x >= 0 ? magnitude + (1 << 7) : -magnitude + (1 << 7) - 1) >> 8;
}

#endif
