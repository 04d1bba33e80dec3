/* Fixed-point rescaling of int64 accumulators to int16 with the exact arithmetic of TensorFlow Lite for
 * Microcontrollers. */
#ifndef TINYOPS_TO_REQUANT_S16_H
#define TINYOPS_TO_REQUANT_S16_H

#include "to_requant.h"

/* TFLite MultiplyByQuantizedMultiplier of an int64: acc * multiplier * 2^(shift - 15), ties upwards;
 * |acc| < 2^47, multiplier >= 0 is its upper 16 bits, -31 <= shift <= 7. Keeps the low 32 bits. */
static inline int32_t to_requantize_s64(int64_t acc, int32_t multiplier, int32_t shift) {
    const int32_t right = 15 - shift;
    return (int32_t)(uint32_t)(uint64_t)((acc * multiplier + (INT64_C(1) << (right - 1))) >> right);
}

#endif
