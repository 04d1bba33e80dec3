/* SOFTMAX over the last dimension, int8 to int16; generic C. */
#ifndef TINYOPS_TO_SOFTMAX_ANY_S8_S16_C_H
#define TINYOPS_TO_SOFTMAX_ANY_S8_S16_C_H

#include "to_softmax_s8.h"

/* in: int8[rows][depth], out: int16[rows][depth]; the output's scale is 1/65536 and its zero point -32768.
 * exp_table and the bound of depth as in to_softmax_any_s8_c. Canonical order: outputs are stored in
 * ascending order, a row after its inputs were read but for the last time; `out` does not overlap `in`. */
void to_softmax_any_s8_s16_c(const to_softmax_s8_params *p, const int8_t *in, const int32_t *exp_table,
                             int16_t *out);

#endif
