/* Packed int4: two values per byte, the first in the low half. */
#ifndef TINYOPS_TO_S4_H
#define TINYOPS_TO_S4_H

#include <stdint.h>

/* Value i, -8..7. */
static inline int32_t to_s4(const uint8_t *packed, int32_t i) {
    const int32_t half = (packed[i >> 1] >> ((i & 1) * 4)) & 15;
    return (half ^ 8) - 8;
}

#endif
