/* LOG_SOFTMAX over the last dimension, int8 to int8; generic C. */
#ifndef TINYOPS_TO_LOG_SOFTMAX_ANY_S8_C_H
#define TINYOPS_TO_LOG_SOFTMAX_ANY_S8_C_H

#include <stdint.h>

/* Differences to the row's largest value, -radius..0, are scaled to Q5.26 by multiplier and left shift
 * `shift`; back_multiplier and back_shift (<= 0) lead from there to differences. */
typedef struct {
    int32_t rows;
    int32_t depth;
    int32_t multiplier;
    int32_t back_multiplier;
    int32_t radius;
    int8_t shift;
    int8_t back_shift;
} to_log_softmax_s8_params;

/* in, out: int8[rows][depth]; the output's scale is 1/16 and its zero point 127.
 * exp_table[d]: exp of the scaled difference of d steps, Q12.19, 0 where TFLite leaves the term out;
 * int32[256]. Bound: depth < 2^12, so that the sum in Q12.19 is below 2^31. Canonical order: outputs are
 * stored in ascending order, each after all that it needs was read, so `out` may overlap `in` as far as
 * Operator.overlap allows. */
void to_log_softmax_any_s8_c(const to_log_softmax_s8_params *p, const int8_t *in, const int32_t *exp_table,
                             int8_t *out);

#endif
