#ifndef TINYOPS_TO_ADD_TABLE_S8_ARMV7EM_H
#define TINYOPS_TO_ADD_TABLE_S8_ARMV7EM_H

#include <stdint.h>

typedef struct {
    int32_t n;
    int32_t multiplier;
    int32_t addend; /* rounding and zero point */
    int32_t shift;  /* to the right, >= 1 */
    int8_t activation_min;
    int8_t activation_max;
} to_add_table_s8_params;

/* ADD of n elements without broadcasting.
 *
 * tables: 256 words for a and 256 for b: twice the rescaled input by its value's bits, -128 at index 128.
 * Sums of two fit in int32. Canonical order: outputs are stored in ascending order, each after all that it
 * needs was read. */
void to_add_table_s8_armv7em(const to_add_table_s8_params *p, const int8_t *a, const int8_t *b,
                             const int32_t *tables, int8_t *out);

#endif
