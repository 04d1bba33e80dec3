/* Dot products and sums of int8 runs. The caller bounds n so that no partial sum leaves int32. */
#ifndef TINYOPS_TO_DOT_H
#define TINYOPS_TO_DOT_H

#include <stdint.h>

/* acc + sum of x[i] * w[i], i < n. */
static inline int32_t to_dot_s8(int32_t acc, const int8_t *x, const int8_t *w, int32_t n) {
    for (; n >= 4; n -= 4, x += 4, w += 4) {
        acc += x[0] * w[0];
        acc += x[1] * w[1];
        acc += x[2] * w[2];
        acc += x[3] * w[3];
    }
    for (; n > 0; n--) {
        acc += *x++ * *w++;
    }
    return acc;
}

/* acc[0] += sum of x[i] * w[i] and acc[1] += sum of x[i] * v[i], i < n. */
static inline void to_dot2_s8(int32_t acc[2], const int8_t *x, const int8_t *w, const int8_t *v, int32_t n) {
    int32_t acc0 = acc[0];
    int32_t acc1 = acc[1];
    for (; n >= 4; n -= 4, x += 4, w += 4, v += 4) {
        acc0 += x[0] * w[0];
        acc1 += x[0] * v[0];
        acc0 += x[1] * w[1];
        acc1 += x[1] * v[1];
        acc0 += x[2] * w[2];
        acc1 += x[2] * v[2];
        acc0 += x[3] * w[3];
        acc1 += x[3] * v[3];
    }
    for (; n > 0; n--, x++) {
        acc0 += *x * *w++;
        acc1 += *x * *v++;
    }
    acc[0] = acc0;
    acc[1] = acc1;
}

/* Sum of w[i], i < n. */
static inline int32_t to_sum_s8(const int8_t *w, int32_t n) {
    int32_t sum = 0;
    for (; n > 0; n--) {
        sum += *w++;
    }
    return sum;
}

#endif
