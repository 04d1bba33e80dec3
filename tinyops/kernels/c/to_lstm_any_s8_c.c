#include "to_lstm_any_s8_c.h"

#include "to_dot.h"
#include "to_requant.h"
#include "to_sigmoid_s16.h"

static int32_t clamp_s16(int32_t x) { return to_clamp(x, INT16_MIN, INT16_MAX); }

/* Gate k of one unit before its activation, times 3, as the table functions want it. */
static int32_t gate(const to_lstm_s8_params *p, int32_t k, const int8_t *x, const int8_t *h, const int8_t *w,
                    const int32_t *bias) {
    w += k * (p->features + p->units);
    const int32_t a = to_dot_s8(bias[2 * k], x, w, p->features);
    const int32_t b = to_dot_s8(bias[2 * k + 1], h, w + p->features, p->units);
    return 3 * clamp_s16(clamp_s16(to_requantize(a, p->input_multiplier[k], p->input_shift[k])) +
                         clamp_s16(to_requantize(b, p->recurrent_multiplier[k], p->recurrent_shift[k])));
}

/* The next cell state of one unit. */
static int32_t next_cell(const to_lstm_s8_params *p, int32_t cell, int32_t input, int32_t forget,
                         int32_t candidate) {
    const int32_t kept = to_requantize(forget * cell, p->forget_cell_multiplier, p->forget_cell_shift);
    const int32_t added = to_requantize(input * candidate, p->input_cell_multiplier, p->input_cell_shift);
    const int32_t next = clamp_s16(clamp_s16(kept) + clamp_s16(added));
    return p->cell_clip > 0 ? to_clamp(next, -p->cell_clip, p->cell_clip) : next;
}

/* tanh(cell) * output gate, as int8. */
static int8_t show(const to_lstm_s8_params *p, int32_t cell, int32_t output, const int16_t *table) {
    const int32_t rounding = (1 << p->tanh_shift) >> 1;
    const int32_t t = to_tanh_s16(table, (cell * p->tanh_factor + rounding) >> p->tanh_shift);
    return to_output_s8(to_requantize(t * output, p->hidden_multiplier, p->hidden_shift),
                        p->hidden_zero_point, INT8_MIN, INT8_MAX);
}

void to_lstm_any_s8_c(const to_lstm_s8_params *p, const int8_t *in, const int8_t *weights,
                      const int32_t *bias, const int16_t *table, const int8_t *hidden_in,
                      const int16_t *cell_in, int8_t *hidden, int16_t *cell, int8_t *out) {
    const int32_t row = 4 * (p->features + p->units);
    for (int32_t b = 0; b < p->batches; b++) {
        const int8_t *h = hidden_in + b * p->units;
        const int16_t *c = cell_in + b * p->units;
        int16_t *next = cell + b * p->units;
        for (int32_t t = 0; t < p->steps; t++) {
            const int8_t *x = in + b * p->in_batch + t * p->in_step;
            int8_t *y = out + b * p->out_batch + t * p->out_step;
            for (int32_t u = 0; u < p->units; u++) {
                const int8_t *w = weights + u * row;
                const int32_t *start = bias + u * 8;
                const int32_t input = to_sigmoid_s16(table, gate(p, 0, x, h, w, start));
                const int32_t forget = to_sigmoid_s16(table, gate(p, 1, x, h, w, start));
                const int32_t candidate = to_tanh_s16(table, gate(p, 2, x, h, w, start));
                const int32_t output = to_sigmoid_s16(table, gate(p, 3, x, h, w, start));
                const int32_t state = next_cell(p, c[u], input, forget, candidate);
                next[u] = (int16_t)state;
                y[u] = show(p, state, output, table);
            }
            h = y;
            c = next;
        }
        for (int32_t u = 0; u < p->units; u++) {
            hidden[b * p->units + u] = h[u];
        }
    }
}
