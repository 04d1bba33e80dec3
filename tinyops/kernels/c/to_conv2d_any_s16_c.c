#include "to_conv2d_any_s16_c.h"

#include "to_dot_s16.h"
#include "to_requant_s16.h"
#include "to_taps.h"

/* acc + products of the taps inside the image; x is the first of them, w the filter's first weight. */
static int64_t window(const to_conv2d_s16_params *p, int64_t acc, const int16_t *x, const int8_t *w,
                      int32_t depth, const to_taps *rows, const to_taps *cols) {
    const int32_t wide = cols->end - cols->first;
    /* With dilation 1 the taps of a row are one run. */
    const int one_run = p->dilation_w == 1 && p->groups == 1;
    const int32_t runs = one_run ? 1 : wide;
    const int32_t run = one_run ? wide * depth : depth;
    for (int32_t ky = 0; ky < rows->end - rows->first; ky++) {
        const int16_t *line = x + ky * p->dilation_h * p->in_w * p->in_c;
        const int8_t *taps = w + ((rows->first + ky) * p->kernel_w + cols->first) * depth;
        for (int32_t k = 0; k < runs; k++) {
            acc = to_dot_s16(acc, line + k * p->dilation_w * p->in_c, taps + k * depth, run);
        }
    }
    return acc;
}

void to_conv2d_any_s16_c(const to_conv2d_s16_params *p, const int16_t *in, const int8_t *weights,
                         const int64_t *bias, const int16_t *multiplier, const int8_t *shift, int16_t *out) {
    const int32_t depth = p->in_c / p->groups;
    const int32_t group = p->out_c / p->groups;
    const int32_t filter = p->kernel_h * p->kernel_w * depth;
    for (int32_t b = 0; b < p->batches; b++, in += p->in_h * p->in_w * p->in_c) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const to_taps rows =
                to_taps_inside(y * p->stride_h - p->pad_top, p->in_h, p->kernel_h, p->dilation_h);
            for (int32_t x = 0; x < p->out_w; x++) {
                const to_taps cols =
                    to_taps_inside(x * p->stride_w - p->pad_left, p->in_w, p->kernel_w, p->dilation_w);
                const int16_t *first = in + (rows.at * p->in_w + cols.at) * p->in_c;
                int32_t left = group; /* output channels that still read this group */
                for (int32_t c = 0; c < p->out_c; c++) {
                    const int64_t acc = window(p, bias[c], first, weights + c * filter, depth, &rows, &cols);
                    const int32_t value = to_requantize_s64(acc, multiplier[c], shift[c]);
                    *out++ = (int16_t)to_clamp(value, p->activation_min, p->activation_max);
                    if (--left == 0) {
                        left = group;
                        first += depth;
                    }
                }
            }
        }
    }
}
