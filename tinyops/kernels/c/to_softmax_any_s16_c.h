/* SOFTMAX over the last dimension, int16 to int16; generic C. */
#ifndef TINYOPS_TO_SOFTMAX_ANY_S16_C_H
#define TINYOPS_TO_SOFTMAX_ANY_S16_C_H

#include <stdint.h>

typedef struct {
    int32_t rows;
    int32_t depth;
    int32_t multiplier; /* from differences of inputs to steps of 10 / 65535, see to_requantize */
    int8_t shift;
} to_softmax_s16_params;

/* in, out: int16[rows][depth], the output in Q0.15.
 * exp_table: exp over -10..0, reciprocal_table: 1 / (1 + x) over 0..1, both int16[513] in Q0.15.
 * Bound: depth < 2^16.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read (first the
 * exps of a row, then its results in their place), so `out` may overlap `in` as far as Operator.overlap
 * allows. */
void to_softmax_any_s16_c(const to_softmax_s16_params *p, const int16_t *in, const int16_t *exp_table,
                          const int16_t *reciprocal_table, int16_t *out);

#endif
