#include "to_log_softmax_any_f32_c.h"

#include <math.h>

static void row(const float *in, int32_t depth, float *out) {
    float largest = in[0];
    for (int32_t i = 1; i < depth; i++) {
        largest = in[i] > largest ? in[i] : largest;
    }
    float sum = 0.0f; /* at least 1: the largest value's own term */
    for (int32_t i = 0; i < depth; i++) {
        sum += expf(in[i] - largest);
    }
    const float log_sum = logf(sum);
    for (int32_t i = 0; i < depth; i++) {
        out[i] = in[i] - largest - log_sum;
    }
}

void to_log_softmax_any_f32_c(const to_log_softmax_f32_params *p, const float *in, float *out) {
    for (int32_t i = 0; i < p->rows; i++, in += p->depth, out += p->depth) {
        row(in, p->depth, out);
    }
}
