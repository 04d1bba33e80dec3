#include "to_softmax_any_f32_c.h"

#include <math.h>

static void row(const to_softmax_f32_params *p, const float *in, float *out) {
    float largest = in[0];
    for (int32_t i = 1; i < p->depth; i++) {
        largest = in[i] > largest ? in[i] : largest;
    }
    float sum = 0.0f; /* at least 1: the largest value's own term */
    for (int32_t i = 0; i < p->depth; i++) {
        out[i] = expf((in[i] - largest) * p->beta);
        sum += out[i];
    }
    for (int32_t i = 0; i < p->depth; i++) {
        out[i] /= sum;
    }
}

void to_softmax_any_f32_c(const to_softmax_f32_params *p, const float *in, float *out) {
    for (int32_t i = 0; i < p->rows; i++, in += p->depth, out += p->depth) {
        row(p, in, out);
    }
}
