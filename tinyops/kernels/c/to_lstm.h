/* UNIDIRECTIONAL_SEQUENCE_LSTM of int8 weights and an int16 cell state, for int8 and int16 activations. */
#ifndef TINYOPS_TO_LSTM_H
#define TINYOPS_TO_LSTM_H

#include <stdint.h>

#include "to_dot.h"
#include "to_dot_s16.h"
#include "to_elements.h"
#include "to_requant.h"
#include "to_requant_s16.h"
#include "to_sigmoid_s16.h"

/* Gates are in the order input, forget, cell, output. Scales are multiplier and shift of to_requantize, those
 * of the gates of int16 activations of to_requantize_s64; the strides are in elements. Tensors are smaller
 * than 2^30 bytes, dimensions are >= 1. */
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
} to_lstm_params;

/* The constants of a layer, as the kernels take them. Below, `size` is the bytes of an activation, 1 or 2: a
 * constant of each kernel. */
typedef struct {
    const to_lstm_params *p;
    const int8_t *weights;
    const void *bias; /* int32 or, where size is 2, int64 */
    const int16_t *table;
} to_lstm_layer;

static inline int32_t to_lstm_clamp(int32_t x) { return to_clamp(x, INT16_MIN, INT16_MAX); }

/* Gate k of unit u before its activation, times 3, as the table functions want it. */
static inline int32_t to_lstm_gate(const to_lstm_layer *l, int32_t u, int32_t k, const void *x, const void *h,
                                   int32_t size) {
    const to_lstm_params *p = l->p;
    const int32_t at = 4 * u + k;
    const int8_t *w = l->weights + at * (p->features + p->units);
    const int8_t *v = w + p->features;
    int32_t a;
    int32_t b;
    if (size == 1) {
        const int32_t *start = (const int32_t *)l->bias + 2 * at;
        a = to_requantize(to_dot_s8(start[0], x, w, p->features), p->input_multiplier[k], p->input_shift[k]);
        b = to_requantize(to_dot_s8(start[1], h, v, p->units), p->recurrent_multiplier[k],
                          p->recurrent_shift[k]);
    } else {
        const int64_t *start = (const int64_t *)l->bias + 2 * at;
        a = to_requantize_s64(to_dot_s16(start[0], x, w, p->features), p->input_multiplier[k],
                              p->input_shift[k]);
        b = to_requantize_s64(to_dot_s16(start[1], h, v, p->units), p->recurrent_multiplier[k],
                              p->recurrent_shift[k]);
    }
    return 3 * to_lstm_clamp(to_lstm_clamp(a) + to_lstm_clamp(b));
}

/* The next cell state of one unit. */
static inline int32_t to_lstm_cell(const to_lstm_params *p, int32_t cell, int32_t input, int32_t forget,
                                   int32_t candidate) {
    const int32_t kept = to_requantize(forget * cell, p->forget_cell_multiplier, p->forget_cell_shift);
    const int32_t added = to_requantize(input * candidate, p->input_cell_multiplier, p->input_cell_shift);
    const int32_t next = to_lstm_clamp(to_lstm_clamp(kept) + to_lstm_clamp(added));
    return p->cell_clip > 0 ? to_clamp(next, -p->cell_clip, p->cell_clip) : next;
}

/* tanh(cell) * output gate, as an activation. */
static inline int32_t to_lstm_shown(const to_lstm_layer *l, int32_t cell, int32_t output, int32_t size) {
    const to_lstm_params *p = l->p;
    const int32_t rounding = (1 << p->tanh_shift) >> 1;
    const int32_t t = to_tanh_s16(l->table, (cell * p->tanh_factor + rounding) >> p->tanh_shift);
    const uint32_t zero_point = (uint32_t)p->hidden_zero_point;
    const int32_t scaled = to_requantize(t * output, p->hidden_multiplier, p->hidden_shift);
    const int32_t high = size == 1 ? INT8_MAX : INT16_MAX;
    return to_clamp((int32_t)((uint32_t)scaled + zero_point), -high - 1, high);
}

/* One step of one batch: x, h and the cell state c to y and the cell state `next`, which may be c. */
static inline void to_lstm_step(const to_lstm_layer *l, const void *x, const void *h, const int16_t *c,
                                int16_t *next, void *y, int32_t size) {
    for (int32_t u = 0; u < l->p->units; u++) {
        int32_t gates[4];
        for (int32_t k = 0; k < 4; k++) {
            const int32_t gate = to_lstm_gate(l, u, k, x, h, size);
            gates[k] = k == 2 ? to_tanh_s16(l->table, gate) : to_sigmoid_s16(l->table, gate);
        }
        next[u] = (int16_t)to_lstm_cell(l->p, c[u], gates[0], gates[1], gates[2]);
        to_store(y, u, size, to_lstm_shown(l, next[u], gates[3], size));
    }
}

/* All steps of all batches; the arguments are those of the kernels. */
static inline void to_lstm(const to_lstm_layer *l, const void *in, const void *hidden_in,
                           const int16_t *cell_in, void *hidden, int16_t *cell, void *out, int32_t size) {
    const to_lstm_params *p = l->p;
    for (int32_t b = 0; b < p->batches; b++) {
        const int32_t state = b * p->units;
        const uint8_t *h = (const uint8_t *)hidden_in + state * size;
        const int16_t *c = cell_in + state;
        for (int32_t t = 0; t < p->steps; t++) {
            const uint8_t *x = (const uint8_t *)in + (b * p->in_batch + t * p->in_step) * size;
            uint8_t *y = (uint8_t *)out + (b * p->out_batch + t * p->out_step) * size;
            to_lstm_step(l, x, h, c, cell + state, y, size);
            h = y;
            c = cell + state;
        }
        for (int32_t u = 0; u < p->units; u++) {
            to_store(hidden, state + u, size, to_load(h, u, size));
        }
    }
}

#endif
