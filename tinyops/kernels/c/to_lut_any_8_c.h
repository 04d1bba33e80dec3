/* Elementwise function of one 8-bit value by a table; generic C. */
#ifndef TINYOPS_TO_LUT_ANY_8_C_H
#define TINYOPS_TO_LUT_ANY_8_C_H

#include <stdint.h>

typedef struct {
    int32_t n;
} to_lut_8_params;

/* in, out: n elements, int8 or uint8; table: uint8[256], the output's byte for each byte of the input.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_lut_any_8_c(const to_lut_8_params *p, const void *in, const uint8_t *table, void *out);

#endif
