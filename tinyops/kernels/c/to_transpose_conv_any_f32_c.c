#include "to_transpose_conv_any_f32_c.h"

#include "to_f32.h"
#include "to_sources.h"

/* Sum of x * w over all sources; x is the image, w the filter of one channel. */
static float gather(const to_transpose_conv_f32_params *p, const float *x, const float *w,
                    const to_sources *rows, const to_sources *cols) {
    float acc = 0.0f;
    int32_t ky = rows->tap;
    for (int32_t y = rows->first; y > rows->end; y--, ky += p->stride_h) {
        int32_t kx = cols->tap;
        for (int32_t i = cols->first; i > cols->end; i--, kx += p->stride_w) {
            const float *pixel = x + (y * p->in_w + i) * p->in_c;
            const float *tap = w + (ky * p->kernel_w + kx) * p->in_c;
            for (int32_t n = 0; n < p->in_c; n++) {
                acc += pixel[n] * tap[n];
            }
        }
    }
    return acc;
}

void to_transpose_conv_any_f32_c(const to_transpose_conv_f32_params *p, const float *in, const float *weights,
                                 const float *bias, float *out) {
    const int32_t filter = p->kernel_h * p->kernel_w * p->in_c;
    for (int32_t b = 0; b < p->batches; b++, in += p->in_h * p->in_w * p->in_c) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const to_sources rows = to_sources_of(y + p->pad_top, p->in_h, p->kernel_h, p->stride_h);
            for (int32_t x = 0; x < p->out_w; x++) {
                const to_sources cols = to_sources_of(x + p->pad_left, p->in_w, p->kernel_w, p->stride_w);
                for (int32_t c = 0; c < p->out_c; c++) {
                    const float acc = gather(p, in, weights + c * filter, &rows, &cols);
                    *out++ = to_clamp_f32(acc + bias[c], p->activation_min, p->activation_max);
                }
            }
        }
    }
}
