#include "to_conv2d_any_f32_c.h"

#include "to_f32.h"
#include "to_taps.h"

/* acc + sum of x[i] * w[i], i < n. */
static float dot(float acc, const float *x, const float *w, int32_t n) {
    for (; n >= 4; n -= 4, x += 4, w += 4) {
        acc += x[0] * w[0];
        acc += x[1] * w[1];
        acc += x[2] * w[2];
        acc += x[3] * w[3];
    }
    for (; n > 0; n--) {
        acc += *x++ * *w++;
    }
    return acc;
}

/* Products of the taps inside the image; x is the first of them, w the filter's first weight. */
static float window(const to_conv2d_f32_params *p, const float *x, const float *w, int32_t depth,
                    const to_taps *rows, const to_taps *cols) {
    const int32_t wide = cols->end - cols->first;
    /* With dilation 1 the taps of a row are one run. */
    const int one_run = p->dilation_w == 1 && p->groups == 1;
    const int32_t runs = one_run ? 1 : wide;
    const int32_t run = one_run ? wide * depth : depth;
    float acc = 0.0f;
    for (int32_t ky = 0; ky < rows->end - rows->first; ky++) {
        const float *line = x + ky * p->dilation_h * p->in_w * p->in_c;
        const float *taps = w + ((rows->first + ky) * p->kernel_w + cols->first) * depth;
        for (int32_t k = 0; k < runs; k++) {
            acc = dot(acc, line + k * p->dilation_w * p->in_c, taps + k * depth, run);
        }
    }
    return acc;
}

void to_conv2d_any_f32_c(const to_conv2d_f32_params *p, const float *in, const float *weights,
                         const float *bias, float *out) {
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
                const float *first = in + (rows.at * p->in_w + cols.at) * p->in_c;
                int32_t left = group; /* output channels that still read this group */
                for (int32_t c = 0; c < p->out_c; c++) {
                    const float acc = window(p, first, weights + c * filter, depth, &rows, &cols);
                    *out++ = to_clamp_f32(acc + bias[c], p->activation_min, p->activation_max);
                    if (--left == 0) {
                        left = group;
                        first += depth;
                    }
                }
            }
        }
    }
}
