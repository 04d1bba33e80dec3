#include "to_lstm_any_f32_c.h"

#include <math.h>

#include "to_f32.h"

static float dot(const float *x, const float *w, int32_t n) {
    float acc = 0.0f;
    for (int32_t i = 0; i < n; i++) {
        acc += x[i] * w[i];
    }
    return acc;
}

static float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

/* Gate k of one unit before its activation. */
static float gate(const to_lstm_f32_params *p, int32_t k, const float *x, const float *h, const float *w,
                  const float *bias) {
    w += k * (p->features + p->units);
    return dot(x, w, p->features) + bias[k] + dot(h, w + p->features, p->units);
}

/* The next cell state of one unit, of the three gates that make it. */
static float next_cell(const to_lstm_f32_params *p, float cell, float input, float forget, float candidate) {
    const float next = sigmoid(forget) * cell + sigmoid(input) * tanhf(candidate);
    return p->cell_clip > 0.0f ? to_clamp_f32(next, -p->cell_clip, p->cell_clip) : next;
}

void to_lstm_any_f32_c(const to_lstm_f32_params *p, const float *in, const float *weights, const float *bias,
                       const float *hidden_in, const float *cell_in, float *hidden, float *cell, float *out) {
    const int32_t row = 4 * (p->features + p->units);
    for (int32_t b = 0; b < p->batches; b++) {
        const float *h = hidden_in + b * p->units;
        const float *c = cell_in + b * p->units;
        float *next = cell + b * p->units;
        for (int32_t t = 0; t < p->steps; t++) {
            const float *x = in + b * p->in_batch + t * p->in_step;
            float *y = out + b * p->out_batch + t * p->out_step;
            for (int32_t u = 0; u < p->units; u++) {
                const float *w = weights + u * row;
                const float *start = bias + u * 4;
                const float input = gate(p, 0, x, h, w, start);
                const float forget = gate(p, 1, x, h, w, start);
                const float candidate = gate(p, 2, x, h, w, start);
                const float output = gate(p, 3, x, h, w, start);
                const float state = next_cell(p, c[u], input, forget, candidate);
                next[u] = state;
                y[u] = tanhf(state) * sigmoid(output);
            }
            h = y;
            c = next;
        }
        for (int32_t u = 0; u < p->units; u++) {
            hidden[b * p->units + u] = h[u];
        }
    }
}
