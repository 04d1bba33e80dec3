/* Which inputs of a transposed convolution add to an output, along one axis. */
#ifndef TINYOPS_TO_SOURCES_H
#define TINYOPS_TO_SOURCES_H

#include <stdint.h>

/* Inputs first >= i > end of one axis, descending, that add to an output, and the weight of `first`. */
typedef struct {
    int32_t first;
    int32_t end;
    int32_t tap;
} to_sources;

/* Of the output at `at`, which counts from the start of the padding. */
static inline to_sources to_sources_of(int32_t at, int32_t size, int32_t kernel, int32_t stride) {
    const int32_t last = at / stride;
    to_sources s;
    s.first = last < size ? last : size - 1;
    s.end = at >= kernel ? (at - kernel) / stride : -1;
    s.tap = at - s.first * stride;
    return s;
}

#endif
