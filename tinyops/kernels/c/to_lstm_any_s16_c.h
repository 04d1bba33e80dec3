/* UNIDIRECTIONAL_SEQUENCE_LSTM, int16 with an int16 cell state; generic C. */
#ifndef TINYOPS_TO_LSTM_ANY_S16_C_H
#define TINYOPS_TO_LSTM_ANY_S16_C_H

#include <stdint.h>

#include "to_lstm.h"

/* in: int16, out: int16, by the strides; weights: int8[units][4][features + units], those of the input first,
 * bias: int64[units][4][2], of the input and of the hidden state, table: int16[256], see
 * to_sigmoid_s16.h; multipliers of the gates are their upper 16 bits, all zero points are 0. hidden_in,
 * hidden: int16[batches][units], cell_in, cell: int16[batches][units], the states before and after. Bound:
 * |bias| + 2^15 * (sum of |weights|) < 2^47 for each of the eight sums of a unit; tanh_factor <= 3 * 2^14,
 * tanh_shift <= 15. Canonical order: per batch, step and unit an output is stored after all that it needs was
 * read, so that `out` may overlap `in`, `hidden` may overlap `hidden_in` and `cell` `cell_in` as far as
 * Operator.overlap allows. */
void to_lstm_any_s16_c(const to_lstm_params *p, const int16_t *in, const int8_t *weights, const int64_t *bias,
                       const int16_t *table, const int16_t *hidden_in, const int16_t *cell_in,
                       int16_t *hidden, int16_t *cell, int16_t *out);

#endif
