/* UNIDIRECTIONAL_SEQUENCE_LSTM, float32; generic C with libm. */
#ifndef TINYOPS_TO_LSTM_ANY_F32_C_H
#define TINYOPS_TO_LSTM_ANY_F32_C_H

#include <stdint.h>

/* Gates are in the order input, forget, cell, output; strides are in elements. Tensors are smaller than 2^30
 * bytes, dimensions are >= 1. */
typedef struct {
    int32_t batches;
    int32_t steps;
    int32_t features;
    int32_t units;
    int32_t in_batch;
    int32_t in_step;
    int32_t out_batch;
    int32_t out_step;
    float cell_clip; /* 0: none */
} to_lstm_f32_params;

/* in, out: float, by the strides; weights: float[units][4][features + units], those of the input first,
 * bias: float[units][4], hidden_in, hidden, cell_in, cell: float[batches][units], the states before and
 * after. Canonical order: per batch, step and unit an output is stored after all that it needs was read, so
 * that `out` may overlap `in`, `hidden` may overlap `hidden_in` and `cell` `cell_in` as far as
 * Operator.overlap allows. */
void to_lstm_any_f32_c(const to_lstm_f32_params *p, const float *in, const float *weights, const float *bias,
                       const float *hidden_in, const float *cell_in, float *hidden, float *cell, float *out);

#endif
