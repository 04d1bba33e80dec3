#include "to_l2_pool2d_any_f32_c.h"

#include <math.h>

#include "to_f32.h"
#include "to_taps.h"

/* Sum of squares of one channel over h * w elements; x is the first. */
static float squares(const to_pool2d_f32_params *p, const float *x, int32_t h, int32_t w) {
    float sum = 0.0f;
    for (int32_t y = 0; y < h; y++, x += p->in_w * p->in_c) {
        for (int32_t k = 0; k < w; k++) {
            sum += x[k * p->in_c] * x[k * p->in_c];
        }
    }
    return sum;
}

void to_l2_pool2d_any_f32_c(const to_pool2d_f32_params *p, const float *in, float *out) {
    for (int32_t b = 0; b < p->batches; b++, in += p->in_h * p->in_w * p->in_c) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const to_taps rows = to_taps_inside(y * p->stride_h - p->pad_top, p->in_h, p->kernel_h, 1);
            for (int32_t x = 0; x < p->out_w; x++) {
                const to_taps cols = to_taps_inside(x * p->stride_w - p->pad_left, p->in_w, p->kernel_w, 1);
                const float *first = in + (rows.at * p->in_w + cols.at) * p->in_c;
                const int32_t h = rows.end - rows.first;
                const int32_t w = cols.end - cols.first;
                for (int32_t c = 0; c < p->in_c; c++) {
                    const float root = sqrtf(squares(p, first + c, h, w) / (float)(h * w));
                    *out++ = to_clamp_f32(root, p->activation_min, p->activation_max);
                }
            }
        }
    }
}
