/* Fixed-point rescaling with the exact arithmetic of TensorFlow Lite for Microcontrollers (gemmlowp, two
 * roundings). */
#ifndef TINYOPS_TO_REQUANT_H
#define TINYOPS_TO_REQUANT_H

#include <stdint.h>

/* C99 leaves these two to the implementation; all arithmetic here relies on them. */
typedef char to_assert_arithmetic_shift[(INT32_C(-3) >> 1) == -2 && (INT64_C(-3) >> 1) == -2 ? 1 : -1];
typedef char to_assert_modular_conversion[(int32_t)UINT32_C(0xFFFFFFFE) == -2 ? 1 : -1];

/* gemmlowp SaturatingRoundingDoublingHighMul: a * b / 2^31, rounded to nearest, ties upwards; b != INT32_MIN.
 */
static inline int32_t to_multiply_high(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/* gemmlowp RoundingDivideByPOT: x / 2^exponent, rounded to nearest, ties away from zero; 0 <= exponent <= 31.
 */
static inline int32_t to_rounding_shift(int32_t x, int32_t exponent) {
    const int32_t mask = (int32_t)((UINT32_C(1) << exponent) - 1u);
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> exponent) + ((x & mask) > threshold ? 1 : 0);
}

/* TFLite MultiplyByQuantizedMultiplier: acc * multiplier * 2^(shift - 31); multiplier >= 0, -31 <= shift
 * <= 30. A left shift that overflows keeps the low 32 bits, as TFLite does on two's complement machines. */
static inline int32_t to_requantize(int32_t acc, int32_t multiplier, int32_t shift) {
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t shifted = (int32_t)((uint32_t)acc << left);
    return to_rounding_shift(to_multiply_high(shifted, multiplier), left - shift);
}

static inline int32_t to_clamp(int32_t x, int32_t low, int32_t high) {
    return x < low ? low : x > high ? high : x;
}

/* An int8 output: the rescaled value plus the zero point (modulo 2^32, as TFLite), clamped. */
static inline int8_t to_output_s8(int32_t scaled, int32_t zero_point, int32_t low, int32_t high) {
    return (int8_t)to_clamp((int32_t)((uint32_t)scaled + (uint32_t)zero_point), low, high);
}

#endif
