/* Which taps of a window lie inside the image, along one axis. */
#ifndef TINYOPS_TO_TAPS_H
#define TINYOPS_TO_TAPS_H

#include <stdint.h>

/* Taps first <= k < end are inside, and tap `first` is at coordinate `at`; all are 0 when no tap is inside.
 */
typedef struct {
    int32_t first;
    int32_t end;
    int32_t at;
} to_taps;

/* Tap k of `kernel` is at coordinate origin + k * dilation; inside means 0 <= coordinate < size. */
static inline to_taps to_taps_inside(int32_t origin, int32_t size, int32_t kernel, int32_t dilation) {
    const int32_t before = origin < 0 ? -origin : 0;
    const int32_t until = size > origin ? size - origin : 0;
    to_taps taps = {before, until, 0};
    if (dilation != 1) {
        taps.first = (before + dilation - 1) / dilation;
        taps.end = (until + dilation - 1) / dilation;
    }
    if (taps.end > kernel) {
        taps.end = kernel;
    }
    if (taps.first >= taps.end) {
        taps.first = 0;
        taps.end = 0;
        return taps;
    }
    taps.at = origin + taps.first * dilation;
    return taps;
}

#endif
