/* Fixed-point reciprocal of gemmlowp. */
#ifndef TINYOPS_TO_RECIPROCAL_H
#define TINYOPS_TO_RECIPROCAL_H

#include "to_requant.h"

/* gemmlowp one_over_one_plus_x_for_x_in_0_1: 1 / (1 + x), both Q0.31, 0 <= x, by three Newton-Raphson steps;
 * the iterate is Q2.29 and at most 2, so its increments do not saturate. */
static inline int32_t to_one_over_one_plus(int32_t x) {
    const int32_t half = (int32_t)(((uint32_t)x + (UINT32_C(1) << 31)) >> 1);
    int32_t r = 1515870810 + to_multiply_high(half, -1010580540); /* 48/17 - 32/17 * half */
    for (int32_t i = 0; i < 3; i++) {
        const int32_t error = (INT32_C(1) << 29) - to_multiply_high(half, r);
        r += to_multiply_high(r, error) * 4;
    }
    return r >= INT32_C(1) << 30 ? INT32_MAX : r * 2;
}

#endif
