/* LOGISTIC and TANH, int16, by a table with linear interpolation; generic C. */
#ifndef TINYOPS_TO_SIGMOID_ANY_S16_C_H
#define TINYOPS_TO_SIGMOID_ANY_S16_C_H

#include <stdint.h>

/* (x * multiplier + half) >> shift is 3 * 2^12 times the real value; multiplier < 2^15, 0 <= shift <= 31. */
typedef struct {
    int32_t n;
    int32_t multiplier;
    int8_t shift;
    int8_t tanh; /* 0 for the logistic function */
} to_sigmoid_s16_params;

/* in, out: int16[n], the output in Q0.15; table: tanh(i / 48) in Q0.15, int16[256].
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_sigmoid_any_s16_c(const to_sigmoid_s16_params *p, const int16_t *in, const int16_t *table,
                          int16_t *out);

#endif
