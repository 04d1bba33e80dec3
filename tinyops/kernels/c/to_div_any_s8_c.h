/* DIV, int8 by run-time or several divisors, with broadcasting; generic C. */
#ifndef TINYOPS_TO_DIV_ANY_S8_C_H
#define TINYOPS_TO_DIV_ANY_S8_C_H

#include <stdint.h>

/* Extents are >= 1, outermost first; strides are in elements, 0 where an input is broadcast. The offsets of
 * the inputs are their negative zero points. */
typedef struct {
    int32_t extents[4];
    int32_t a_stride[4];
    int32_t b_stride[4];
    int32_t output_multiplier;
    int16_t a_offset; /* -127..128 */
    int16_t b_offset;
    int8_t output_shift;  /* -31..23 */
    int8_t output_offset; /* zero point of the output */
    int8_t activation_min;
    int8_t activation_max;
} to_div_s8_params;

/* out: int8[extents[0]][extents[1]][extents[2]][extents[3]]; a divisor b + offset of 0 counts as 1.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `a` and `b` as far as Operator.overlap allows. */
void to_div_any_s8_c(const to_div_s8_params *p, const int8_t *a, const int8_t *b, int8_t *out);

#endif
