#include "to_fully_connected_any_s8_c.h"

#include "to_dot.h"
#include "to_requant.h"

static int8_t output(const to_fully_connected_s8_params *p, int32_t acc) {
    return to_output_s8(to_requantize(acc, p->multiplier, p->shift), p->output_zero_point, p->activation_min,
                        p->activation_max);
}

void to_fully_connected_any_s8_c(const to_fully_connected_s8_params *p, const int8_t *in,
                                 const int8_t *weights, const int32_t *bias, int8_t *out) {
    const int32_t n = p->in_n;
    for (int32_t b = 0; b < p->batches; b++, in += n) {
        const int8_t *w = weights;
        int32_t c = 0;
        for (; c + 2 <= p->out_n; c += 2, w += 2 * n) {
            int32_t acc[2] = {bias[c], bias[c + 1]};
            to_dot2_s8(acc, in, w, w + n, n);
            *out++ = output(p, acc[0]);
            *out++ = output(p, acc[1]);
        }
        if (c < p->out_n) {
            *out++ = output(p, to_dot_s8(bias[c], in, w, n));
        }
    }
}
