#include "to_fully_connected_gemv_s8_armv7em.h"

#include "to_gemm_armv7em.h"

/* The assembly knows the order and the size of its fields. */
typedef struct {
    const int16_t *row;
    const int16_t *row_end;
    const int8_t *weights;
    const int32_t *bias;
    int8_t *out;
    int32_t start; /* -128 times the sum of the row */
    int32_t entry; /* bytes of the loop's first pass */
    int32_t channels;
    int32_t multiplier;
    int32_t addend;
    int32_t shift;
    int32_t clamped;
} to_gemv;

void to_gemv_s8_armv7em(const to_gemv *g);

/* Expands n elements; returns their sum. */
static int32_t expand(uint32_t *to, const int8_t *from, int32_t n) {
    int32_t sum = 0;
    for (; n > 0; n -= 4, from += 4, to += 2) {
        const uint32_t word = n >= 4 ? to_load_word(from) : to_load_bytes(from, n);
        to[0] = to_even(word);
        to[1] = to_odd(word);
        sum = to_add_pair(to_add_pair(sum, to[0]), to[1]);
    }
    return sum;
}

void to_fully_connected_gemv_s8_armv7em(const to_fully_connected_gemv_s8_params *p, const int8_t *in,
                                        const int8_t *weights, const int32_t *bias, int16_t *scratch,
                                        int8_t *out) {
    const int32_t steps = (p->in_n + 3) / 4;
    to_gemv g;
    g.row = scratch;
    g.row_end = scratch + 4 * steps;
    g.weights = weights;
    g.bias = bias;
    g.entry = (steps % 4 == 0 ? 4 : steps % 4) * 56;
    g.channels = p->out_n;
    g.multiplier = p->multiplier;
    g.addend = p->addend;
    g.shift = p->shift;
    g.clamped = p->clamped;
    for (int32_t b = 0; b < p->batches; b++, in += p->in_n, out += p->out_n) {
        g.out = out;
        g.start = -128 * expand((uint32_t *)(void *)scratch, in, p->in_n);
        to_gemv_s8_armv7em(&g);
        for (int32_t i = 0; (p->activation_min > INT8_MIN || p->activation_max < INT8_MAX) && i < p->out_n;
             i++) {
            out[i] = out[i] < p->activation_min   ? p->activation_min
                     : out[i] > p->activation_max ? p->activation_max
                                                  : out[i];
        }
    }
}
