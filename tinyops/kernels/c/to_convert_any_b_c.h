/* CAST and QUANTIZE from one integer dtype to another; generic C. */
#ifndef TINYOPS_TO_CONVERT_ANY_B_C_H
#define TINYOPS_TO_CONVERT_ANY_B_C_H

#include <stdint.h>

/* Sizes are the bytes of an element: 1, 2 or 4. Where `scaled` is 0 the low bytes of each element are kept or
 * its sign is extended; otherwise element - input_zero_point (modulo 2^32, as TFLite) is rescaled as
 * to_requantize does, output_zero_point is added, and the result is clamped. */
typedef struct {
    int32_t n;
    int32_t input_zero_point;
    int32_t multiplier;
    int32_t output_zero_point;
    int32_t low;
    int32_t high;
    int8_t shift;
    int8_t scaled;
    int8_t input_size;
    int8_t output_size;
} to_convert_b_params;

/* in: n elements of input_size bytes, out: n elements of output_size bytes, both aligned to their size.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_convert_any_b_c(const to_convert_b_params *p, const void *in, void *out);

#endif
