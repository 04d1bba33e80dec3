#include "to_conv2d_any_s8_c.h"

#include "to_dot.h"
#include "to_requant.h"
#include "to_taps.h"

/* The taps of one window that lie inside the image; the weights of a tap are `depth` values. */
typedef struct {
    to_taps rows;
    to_taps cols;
    int32_t depth;
} window_taps;

/* acc[k] += products of the taps inside the image for two filters, w and v; x is the first of these taps. */
static void dot_inside(const to_conv2d_s8_params *p, int32_t acc[2], const int8_t *x, const int8_t *w,
                       const int8_t *v, const window_taps *taps) {
    const int32_t x_row = p->in_w * p->in_c;
    const int32_t w_row = p->kernel_w * taps->depth;
    const int32_t wide = taps->cols.end - taps->cols.first;
    /* With dilation 1 the taps of a row are one run. */
    const int one_run = p->dilation_w == 1 && p->groups == 1;
    const int32_t runs = one_run ? 1 : wide;
    const int32_t run = one_run ? wide * taps->depth : taps->depth;
    int32_t at = taps->rows.first * w_row + taps->cols.first * taps->depth;
    for (int32_t ky = 0; ky < taps->rows.end - taps->rows.first; ky++, at += w_row) {
        const int8_t *line = x + ky * p->dilation_h * x_row;
        for (int32_t k = 0; k < runs; k++) {
            const int32_t tap = at + k * taps->depth;
            to_dot2_s8(acc, line + k * p->dilation_w * p->in_c, w + tap, v + tap, run);
        }
    }
}

/* Sum of the weights whose taps lie outside the image. */
static int32_t sum_outside(const to_conv2d_s8_params *p, const int8_t *w, const window_taps *taps) {
    const int32_t w_row = p->kernel_w * taps->depth;
    const int32_t left = taps->cols.first * taps->depth;
    const int32_t right = taps->cols.end * taps->depth;
    int32_t sum = 0;
    for (int32_t ky = 0; ky < p->kernel_h; ky++, w += w_row) {
        if (ky >= taps->rows.first && ky < taps->rows.end) {
            sum += to_sum_s8(w, left) + to_sum_s8(w + right, w_row - right);
        } else {
            sum += to_sum_s8(w, w_row);
        }
    }
    return sum;
}

/* All channels of one output pixel; x is channel 0 of the first tap inside the image. */
static void pixel(const to_conv2d_s8_params *p, const int8_t *x, const int8_t *weights, const int32_t *bias,
                  const int32_t *multiplier, const int8_t *shift, int8_t *out, const window_taps *taps) {
    const int32_t inside = (taps->rows.end - taps->rows.first) * (taps->cols.end - taps->cols.first);
    const int border = p->input_zero_point != 0 && inside != p->kernel_h * p->kernel_w;
    const int32_t filter = p->kernel_h * p->kernel_w * taps->depth;
    const int32_t group = p->out_c / p->groups;
    int32_t end = group; /* the output channel that ends the group */
    for (int32_t c = 0; c < p->out_c; end += group, x += taps->depth) {
        while (c < end) {
            /* The last of an odd number of channels is computed twice and stored once. */
            const int32_t next = c + 1 < end ? 1 : 0;
            const int8_t *w = weights + c * filter;
            const int8_t *v = w + next * filter;
            int32_t acc[2] = {bias[c], bias[c + next]};
            dot_inside(p, acc, x, w, v, taps);
            if (border) {
                acc[0] += p->input_zero_point * sum_outside(p, w, taps);
                acc[1] += p->input_zero_point * sum_outside(p, v, taps);
            }
            for (int32_t k = 0; k <= next; k++, c++) {
                out[c] = to_output_s8(to_requantize(acc[k], multiplier[c], shift[c]), p->output_zero_point,
                                      p->activation_min, p->activation_max);
            }
        }
    }
}

void to_conv2d_any_s8_c(const to_conv2d_s8_params *p, const int8_t *in, const int8_t *weights,
                        const int32_t *bias, const int32_t *multiplier, const int8_t *shift, int8_t *out) {
    window_taps taps;
    taps.depth = p->in_c / p->groups;
    for (int32_t b = 0; b < p->batches; b++, in += p->in_h * p->in_w * p->in_c) {
        for (int32_t y = 0; y < p->out_h; y++) {
            taps.rows = to_taps_inside(y * p->stride_h - p->pad_top, p->in_h, p->kernel_h, p->dilation_h);
            for (int32_t x = 0; x < p->out_w; x++, out += p->out_c) {
                taps.cols =
                    to_taps_inside(x * p->stride_w - p->pad_left, p->in_w, p->kernel_w, p->dilation_w);
                pixel(p, in + (taps.rows.at * p->in_w + taps.cols.at) * p->in_c, weights, bias, multiplier,
                      shift, out, &taps);
            }
        }
    }
}
