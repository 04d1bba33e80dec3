#include "to_max_pool2d_any_s8_c.h"

#include "to_requant.h"
#include "to_taps.h"

/* Largest value of one channel over h * w elements; x is the first. */
static int32_t window(const to_pool2d_s8_params *p, const int8_t *x, int32_t h, int32_t w) {
    int32_t largest = INT8_MIN;
    int32_t row = 0;
    for (int32_t y = 0; y < h; y++, row += p->in_w * p->in_c) {
        int32_t at = row;
        for (int32_t k = w; k > 0; k--, at += p->in_c) {
            largest = x[at] > largest ? x[at] : largest;
        }
    }
    return largest;
}

void to_max_pool2d_any_s8_c(const to_pool2d_s8_params *p, const int8_t *in, int8_t *out) {
    for (int32_t b = 0; b < p->batches; b++, in += p->in_h * p->in_w * p->in_c) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const to_taps rows = to_taps_inside(y * p->stride_h - p->pad_top, p->in_h, p->kernel_h, 1);
            for (int32_t x = 0; x < p->out_w; x++) {
                const to_taps cols = to_taps_inside(x * p->stride_w - p->pad_left, p->in_w, p->kernel_w, 1);
                const int8_t *first = in + (rows.at * p->in_w + cols.at) * p->in_c;
                const int32_t h = rows.end - rows.first;
                const int32_t w = cols.end - cols.first;
                for (int32_t c = 0; c < p->in_c; c++) {
                    const int32_t value = window(p, first + c, h, w);
                    *out++ = (int8_t)to_clamp(value, p->activation_min, p->activation_max);
                }
            }
        }
    }
}
