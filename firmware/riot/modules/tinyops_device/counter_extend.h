/* A counter of 32 bits that wraps, made one of 64: at 240 MHz it wraps every 18 s.
 *
 * How often it wrapped between two calls follows from the clock, exactly as long as the clock errs by less
 * than half a wrap. The counter may stand still while the processor sleeps; then this is right for
 * differences within which it did not sleep, which is what counts are. */
#ifndef COUNTER_EXTEND_H
#define COUNTER_EXTEND_H

#include <stdint.h>

#define COUNTER_WRAP_MS(hertz) ((UINT64_C(1) << 32) * 1000u / (hertz))

/* Cycles between two calls of which the counter shows `difference`, `milliseconds` apart. */
static inline uint64_t to_counter_elapsed(uint32_t difference, uint64_t milliseconds, uint32_t hertz) {
    uint64_t expected = milliseconds * (hertz / 1000u);
    uint64_t half = UINT64_C(1) << 31;
    uint64_t above = expected + half > difference ? expected + half - difference : 0;
    return (above & ~UINT64_C(0xFFFFFFFF)) | difference;
}

#endif
