/* Copies in ascending address order. */
#ifndef TINYOPS_TO_BYTES_H
#define TINYOPS_TO_BYTES_H

#include <stdint.h>
#include <string.h>

/* memcpy where the runs are apart; otherwise byte by byte, ascending, which is a move when `to` <= `from`. */
static inline void to_copy_run(uint8_t *to, const uint8_t *from, int32_t n) {
    const uintptr_t t = (uintptr_t)to;
    const uintptr_t f = (uintptr_t)from;
    if (n >= 8 && (t > f ? t - f : f - t) >= (uintptr_t)n) {
        memcpy(to, from, (size_t)n);
        return;
    }
    for (; n > 0; n--) {
        *to++ = *from++;
    }
}

#endif
