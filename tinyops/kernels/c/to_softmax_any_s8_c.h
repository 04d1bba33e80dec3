/* SOFTMAX over the last dimension, int8 to int8; generic C. */
#ifndef TINYOPS_TO_SOFTMAX_ANY_S8_C_H
#define TINYOPS_TO_SOFTMAX_ANY_S8_C_H

#include "to_softmax_s8.h"

/* in, out: int8[rows][depth]; the output's scale is 1/256 and its zero point -128.
 * exp_table[d]: exp of the scaled difference of d steps to the row's largest value, Q0.31, 0 where TFLite
 * leaves the term out; int32[256]. Bound: depth < 2^12, so that the sum in Q12.19 is below 2^31. (TFLite
 * stops where the exps of a row add up to 512 or more; every probability is below half a step there and the
 * output here is -128.) Canonical order: outputs are stored in ascending order, each after all that it needs
 * was read, so `out` may overlap `in` as far as Operator.overlap allows. */
void to_softmax_any_s8_c(const to_softmax_s8_params *p, const int8_t *in, const int32_t *exp_table,
                         int8_t *out);

#endif
