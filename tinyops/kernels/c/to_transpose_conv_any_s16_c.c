#include "to_transpose_conv_any_s16_c.h"

#include "to_dot_s16.h"
#include "to_requant_s16.h"
#include "to_sources.h"

/* acc + x * w over all sources; x is the image, w the filter of one channel. */
static int64_t gather(const to_transpose_conv_s16_params *p, int64_t acc, const int16_t *x, const int8_t *w,
                      const to_sources *rows, const to_sources *cols) {
    int32_t ky = rows->tap;
    for (int32_t y = rows->first; y > rows->end; y--, ky += p->stride_h) {
        int32_t kx = cols->tap;
        for (int32_t i = cols->first; i > cols->end; i--, kx += p->stride_w) {
            const int8_t *tap = w + (ky * p->kernel_w + kx) * p->in_c;
            acc = to_dot_s16(acc, x + (y * p->in_w + i) * p->in_c, tap, p->in_c);
        }
    }
    return acc;
}

void to_transpose_conv_any_s16_c(const to_transpose_conv_s16_params *p, const int16_t *in,
                                 const int8_t *weights, const int64_t *bias, const int16_t *multiplier,
                                 const int8_t *shift, int16_t *out) {
    const int32_t filter = p->kernel_h * p->kernel_w * p->in_c;
    for (int32_t b = 0; b < p->batches; b++, in += p->in_h * p->in_w * p->in_c) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const to_sources rows = to_sources_of(y + p->pad_top, p->in_h, p->kernel_h, p->stride_h);
            for (int32_t x = 0; x < p->out_w; x++) {
                const to_sources cols = to_sources_of(x + p->pad_left, p->in_w, p->kernel_w, p->stride_w);
                const int8_t *w = weights;
                for (int32_t c = 0; c < p->out_c; c++, w += filter) {
                    const int64_t acc = gather(p, bias[c], in, w, &rows, &cols);
                    const int32_t value = to_requantize_s64(acc, multiplier[c], shift[c]);
                    *out++ = (int16_t)to_clamp(value, p->activation_min, p->activation_max);
                }
            }
        }
    }
}
