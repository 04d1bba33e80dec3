#include "to_conv2d_any_s8_c.h"

#include "to_dot.h"
#include "to_requant.h"
#include "to_taps.h"

/* acc[k] += products of the taps inside the image for two filters, w and v; x is the first of these taps. */
static void dot_inside(const to_conv2d_s8_params *p, int32_t acc[2], const int8_t *x, const int8_t *w,
                       const int8_t *v, to_taps rows, to_taps cols) {
    const int32_t x_row = p->in_w * p->in_c;
    const int32_t w_row = p->kernel_w * p->in_c;
    /* With dilation 1 the taps of a row are one run. */
    const int32_t runs = p->dilation_w == 1 ? 1 : cols.end - cols.first;
    const int32_t run = p->dilation_w == 1 ? (cols.end - cols.first) * p->in_c : p->in_c;
    int32_t at = rows.first * w_row + cols.first * p->in_c;
    for (int32_t ky = 0; ky < rows.end - rows.first; ky++, at += w_row) {
        const int8_t *line = x + ky * p->dilation_h * x_row;
        for (int32_t k = 0; k < runs; k++) {
            const int32_t tap = at + k * p->in_c;
            to_dot2_s8(acc, line + k * p->dilation_w * p->in_c, w + tap, v + tap, run);
        }
    }
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
                for (int32_t c = 0; c < p->out_c; c += 2, w += 2 * filter) {
                    /* The last of an odd number of channels is computed twice and stored once. */
                    const int32_t next = c + 1 < p->out_c ? 1 : 0;
                    const int8_t *v = w + next * filter;
                    int32_t acc[2] = {bias[c], bias[c + next]};
                    dot_inside(p, acc, window, w, v, rows, cols);
                    if (border) {
                        acc[0] += p->input_zero_point * sum_outside(p, w, rows, cols);
                        acc[1] += p->input_zero_point * sum_outside(p, v, rows, cols);
                    }
                    for (int32_t k = 0; k <= next; k++) {
                        *out++ = to_output_s8(to_requantize(acc[k], multiplier[c + k], shift[c + k]),
                                              p->output_zero_point, p->activation_min, p->activation_max);
                    }
                }
            }
        }
    }
}
