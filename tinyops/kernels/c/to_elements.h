/* Elements of 1, 2 or 4 bytes, signed: int8, int16, int32. A bool is 0 or 1 in one byte. */
#ifndef TINYOPS_TO_ELEMENTS_H
#define TINYOPS_TO_ELEMENTS_H

#include <stdint.h>

/* Element `at` of x, whose elements have `size` bytes and are aligned to it. */
static inline int32_t to_load(const void *x, int32_t at, int32_t size) {
    if (size == 1) {
        return ((const int8_t *)x)[at];
    }
    return size == 2 ? ((const int16_t *)x)[at] : ((const int32_t *)x)[at];
}

/* The low `size` bytes of `value` to element `at` of y. */
static inline void to_store(void *y, int32_t at, int32_t size, int32_t value) {
    if (size == 1) {
        ((int8_t *)y)[at] = (int8_t)value;
    } else if (size == 2) {
        ((int16_t *)y)[at] = (int16_t)value;
    } else {
        ((int32_t *)y)[at] = value;
    }
}

#endif
