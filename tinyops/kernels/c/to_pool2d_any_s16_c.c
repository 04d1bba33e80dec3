#include "to_pool2d_any_s16_c.h"

#include "to_requant.h"
#include "to_taps.h"

/* Mean or maximum of one channel over h * w > 0 elements; x is the first. */
static int32_t window(const to_pool2d_s16_params *p, const int16_t *x, int32_t h, int32_t w) {
    const int32_t count = h * w;
    int32_t sum = 0;
    int32_t largest = INT16_MIN;
    int32_t row = 0;
    for (int32_t y = 0; y < h; y++, row += p->in_w * p->in_c) {
        int32_t at = row;
        for (int32_t k = w; k > 0; k--, at += p->in_c) {
            sum += x[at];
            largest = x[at] > largest ? x[at] : largest;
        }
    }
    return p->largest ? largest : (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

void to_pool2d_any_s16_c(const to_pool2d_s16_params *p, const int16_t *in, int16_t *out) {
    for (int32_t b = 0; b < p->batches; b++, in += p->in_h * p->in_w * p->in_c) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const to_taps rows = to_taps_inside(y * p->stride_h - p->pad_top, p->in_h, p->kernel_h, 1);
            for (int32_t x = 0; x < p->out_w; x++) {
                const to_taps cols = to_taps_inside(x * p->stride_w - p->pad_left, p->in_w, p->kernel_w, 1);
                const int16_t *first = in + (rows.at * p->in_w + cols.at) * p->in_c;
                const int32_t h = rows.end - rows.first;
                const int32_t w = cols.end - cols.first;
                for (int32_t c = 0; c < p->in_c; c++) {
                    const int32_t value = window(p, first + c, h, w);
                    *out++ = (int16_t)to_clamp(value, p->activation_min, p->activation_max);
                }
            }
        }
    }
}
