#include "to_conv2d_1x1_s8_c.h"

#include "to_dot.h"
#include "to_requant.h"

void to_conv2d_1x1_s8_c(const to_conv2d_s8_params *p, const int8_t *in, const int8_t *weights,
                        const int32_t *bias, const int32_t *multiplier, const int8_t *shift, int8_t *out) {
    const int32_t n = p->in_c;
    const int32_t zero = p->output_zero_point;
    const int32_t low = p->activation_min;
    const int32_t high = p->activation_max;
    const int32_t pixels = p->batches * p->out_h * p->out_w;
    for (int32_t i = 0; i < pixels; i++) {
        const int32_t pixel = p->descending ? pixels - 1 - i : i;
        const int8_t *x = in + pixel * n;
        int8_t *y = out + pixel * p->out_c;
        const int8_t *w = weights;
        int32_t c = 0;
        for (; c + 2 <= p->out_c; c += 2, w += 2 * n) {
            int32_t acc[2] = {bias[c], bias[c + 1]};
            to_dot2_s8(acc, x, w, w + n, n);
            *y++ = to_output_s8(to_requantize(acc[0], multiplier[c], shift[c]), zero, low, high);
            *y++ = to_output_s8(to_requantize(acc[1], multiplier[c + 1], shift[c + 1]), zero, low, high);
        }
        if (c < p->out_c) {
            const int32_t acc = to_dot_s8(bias[c], x, w, n);
            *y++ = to_output_s8(to_requantize(acc, multiplier[c], shift[c]), zero, low, high);
        }
    }
}
