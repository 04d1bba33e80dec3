/* Dot products of int16 and int8 runs. */
#ifndef TINYOPS_TO_DOT_S16_H
#define TINYOPS_TO_DOT_S16_H

#include <stdint.h>

/* acc + sum of x[i] * w[i], i < n; runs of 2^8 products stay in int32. */
static inline int64_t to_dot_s16(int64_t acc, const int16_t *x, const int8_t *w, int32_t n) {
    while (n > 0) {
        int32_t part = 0;
        for (int32_t run = n < 256 ? n : 256; run > 0; run--, n--) {
            part += *x++ * *w++;
        }
        acc += part;
    }
    return acc;
}

#endif
