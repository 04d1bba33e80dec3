/* UNIDIRECTIONAL_SEQUENCE_LSTM, int8 with an int16 cell state; generic C. */
#ifndef TINYOPS_TO_LSTM_ANY_S8_C_H
#define TINYOPS_TO_LSTM_ANY_S8_C_H

#include <stdint.h>

/* Gates are in the order input, forget, cell, output. Scales are multiplier and shift of to_requantize; the
 * strides are in elements. Tensors are smaller than 2^30 bytes, dimensions are >= 1. */
typedef struct {
    int32_t batches;
    int32_t steps;
    int32_t features;
    int32_t units;
    int32_t in_batch;
    int32_t in_step;
    int32_t out_batch;
    int32_t out_step;
    int32_t input_multiplier[4];     /* of the products with the input, to Q3.12 */
    int32_t recurrent_multiplier[4]; /* of the products with the hidden state, to Q3.12 */
    int32_t forget_cell_multiplier;
    int32_t input_cell_multiplier;
    int32_t hidden_multiplier;
    int32_t tanh_factor; /* 3 * 2^12 * the cell state's scale = tanh_factor / 2^tanh_shift */
    int8_t input_shift[4];
    int8_t recurrent_shift[4];
    int8_t forget_cell_shift;
    int8_t input_cell_shift;
    int8_t hidden_shift;
    int8_t tanh_shift;
    int8_t hidden_zero_point;
    int16_t cell_clip; /* 0: none */
} to_lstm_s8_params;

/* in: int8, out: int8, by the strides; weights: int8[units][4][features + units], those of the input first,
 * bias: int32[units][4][2], each less zero point * (sum of the weights), of the input and of the hidden
 * state, table: int16[256], see to_sigmoid_s16.h. hidden_in, hidden: int8[batches][units], cell_in, cell:
 * int16[batches][units], the states before and after.
 * Bound: |bias| + 128 * (sum of |weights|) < 2^31 for each of the eight sums of a unit; tanh_factor <= 3 *
 * 2^14, tanh_shift <= 15. Canonical order: per batch, step and unit an output is stored after all that it
 * needs was read, so that `out` may overlap `in`, `hidden` may overlap `hidden_in` and `cell` `cell_in` as
 * far as Operator.overlap allows. */
void to_lstm_any_s8_c(const to_lstm_s8_params *p, const int8_t *in, const int8_t *weights,
                      const int32_t *bias, const int16_t *table, const int8_t *hidden_in,
                      const int16_t *cell_in, int8_t *hidden, int16_t *cell, int8_t *out);

#endif
