/* UNIDIRECTIONAL_SEQUENCE_LSTM, int8 with an int16 cell state; generic C. */
#ifndef TINYOPS_TO_LSTM_ANY_S8_C_H
#define TINYOPS_TO_LSTM_ANY_S8_C_H

#include <stdint.h>

#include "to_lstm.h"

/* in: int8, out: int8, by the strides; weights: int8[units][4][features + units], those of the input first,
 * bias: int32[units][4][2], each less zero point * (sum of the weights), of the input and of the hidden
 * state, table: int16[256], see to_sigmoid_s16.h. hidden_in, hidden: int8[batches][units], cell_in, cell:
 * int16[batches][units], the states before and after.
 * Bound: |bias| + 128 * (sum of |weights|) < 2^31 for each of the eight sums of a unit; tanh_factor <= 3 *
 * 2^14, tanh_shift <= 15. Canonical order: per batch, step and unit an output is stored after all that it
 * needs was read, so that `out` may overlap `in`, `hidden` may overlap `hidden_in` and `cell` `cell_in` as
 * far as Operator.overlap allows. */
void to_lstm_any_s8_c(const to_lstm_params *p, const int8_t *in, const int8_t *weights, const int32_t *bias,
                      const int16_t *table, const int8_t *hidden_in, const int16_t *cell_in, int8_t *hidden,
                      int16_t *cell, int8_t *out);

#endif
