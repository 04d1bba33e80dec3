#include "to_conv2d_any_s8_c.h"

#include "to_dot.h"
#include "to_requant.h"
#include "to_taps.h"

/* acc + products of the taps inside the image; x is the first of them, w the filter of one output channel. */
static int32_t dot_inside(const to_conv2d_s8_params *p, int32_t acc, const int8_t *x, const int8_t *w,
                          to_taps rows, to_taps cols) {
    const int32_t x_row = p->in_w * p->in_c;
    const int32_t w_row = p->kernel_w * p->in_c;
    w += rows.first * w_row + cols.first * p->in_c;
    for (int32_t ky = 0; ky < rows.end - rows.first; ky++, w += w_row) {
        const int8_t *line = x + ky * p->dilation_h * x_row;
        if (p->dilation_w == 1) {
            acc = to_dot_s8(acc, line, w, (cols.end - cols.first) * p->in_c);
            continue;
        }
        for (int32_t kx = 0; kx < cols.end - cols.first; kx++) {
            acc = to_dot_s8(acc, line + kx * p->dilation_w * p->in_c, w + kx * p->in_c, p->in_c);
        }
    }
    return acc;
}

/* Sum of the weights whose taps lie outside the image. */
static int32_t sum_outside(const to_conv2d_s8_params *p, const int8_t *w, to_taps rows, to_taps cols) {
    const int32_t w_row = p->kernel_w * p->in_c;
    const int32_t left = cols.first * p->in_c;
    const int32_t right = cols.end * p->in_c;
    int32_t sum = 0;
    for (int32_t ky = 0; ky < p->kernel_h; ky++, w += w_row) {
        if (ky >= rows.first && ky < rows.end) {
            sum += to_sum_s8(w, left) + to_sum_s8(w + right, w_row - right);
        } else {
            sum += to_sum_s8(w, w_row);
        }
    }
    return sum;
}

void to_conv2d_any_s8_c(const to_conv2d_s8_params *p, const int8_t *in, const int8_t *weights,
                        const int32_t *bias, const int32_t *multiplier, const int8_t *shift, int8_t *out) {
    const int32_t filter = p->kernel_h * p->kernel_w * p->in_c;
    for (int32_t b = 0; b < p->batches; b++, in += p->in_h * p->in_w * p->in_c) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const to_taps rows =
                to_taps_inside(y * p->stride_h - p->pad_top, p->in_h, p->kernel_h, p->dilation_h);
            for (int32_t x = 0; x < p->out_w; x++) {
                const to_taps cols =
                    to_taps_inside(x * p->stride_w - p->pad_left, p->in_w, p->kernel_w, p->dilation_w);
                const int32_t inside = (rows.end - rows.first) * (cols.end - cols.first);
                const int border = p->input_zero_point != 0 && inside != p->kernel_h * p->kernel_w;
                const int8_t *window = in + (rows.at * p->in_w + cols.at) * p->in_c;
                const int8_t *w = weights;
                for (int32_t c = 0; c < p->out_c; c++, w += filter) {
                    int32_t acc = dot_inside(p, bias[c], window, w, rows, cols);
                    if (border) {
                        acc += p->input_zero_point * sum_outside(p, w, rows, cols);
                    }
                    *out++ = to_output_s8(to_requantize(acc, multiplier[c], shift[c]), p->output_zero_point,
                                          p->activation_min, p->activation_max);
                }
            }
        }
    }
}
