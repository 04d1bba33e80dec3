#include "to_depthwise_conv2d_any_s8_c.h"

#include "to_requant.h"
#include "to_taps.h"

/* acc + products of one channel's taps inside the image; x is the first of them, w the channel's first
 * weight. */
static int32_t dot_inside(const to_depthwise_conv2d_s8_params *p, int32_t acc, const int8_t *x,
                          const int8_t *w, to_taps rows, to_taps cols) {
    /* Unsigned: the step past the last tap may leave the tensor. */
    const uint32_t x_step = (uint32_t)p->dilation_w * (uint32_t)p->in_c;
    const uint32_t w_step = (uint32_t)p->out_c;
    const int32_t x_row = p->in_w * p->in_c;
    const int32_t w_row = p->kernel_w * p->out_c;
    w += rows.first * w_row + cols.first * p->out_c;
    for (int32_t ky = 0; ky < rows.end - rows.first; ky++, w += w_row) {
        const int8_t *line = x + ky * p->dilation_h * x_row;
        uint32_t xi = 0;
        uint32_t wi = 0;
        for (int32_t n = cols.end - cols.first; n > 0; n--, xi += x_step, wi += w_step) {
            acc += line[xi] * w[wi];
        }
    }
    return acc;
}

/* Sum of one channel's weights whose taps lie outside the image. */
static int32_t sum_outside(const to_depthwise_conv2d_s8_params *p, const int8_t *w, to_taps rows,
                           to_taps cols) {
    int32_t sum = 0;
    int32_t at = 0;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int row_inside = ky >= rows.first && ky < rows.end;
        for (int32_t kx = 0; kx < p->kernel_w; kx++, at += p->out_c) {
            if (!row_inside || kx < cols.first || kx >= cols.end) {
                sum += w[at];
            }
        }
    }
    return sum;
}

/* Four neighbouring channels with depth_multiplier 1: acc[k] += products of channel c + k over all taps. x is
 * channel c of the first tap inside the image, w of the first weight; `outside` stands for the taps outside
 * the image. */
static void four_channels(const to_depthwise_conv2d_s8_params *p, int32_t acc[4], const int8_t *x,
                          const int8_t *w, const int8_t outside[4], to_taps rows, to_taps cols) {
    int32_t a0 = acc[0];
    int32_t a1 = acc[1];
    int32_t a2 = acc[2];
    int32_t a3 = acc[3];
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int row_inside = ky >= rows.first && ky < rows.end;
        const int32_t line = row_inside ? (ky - rows.first) * p->dilation_h * p->in_w * p->in_c : 0;
        for (int32_t kx = 0; kx < p->kernel_w; kx++, w += p->out_c) {
            const int8_t *xs = outside;
            if (row_inside && kx >= cols.first && kx < cols.end) {
                xs = x + line + (kx - cols.first) * p->dilation_w * p->in_c;
            }
            a0 += xs[0] * w[0];
            a1 += xs[1] * w[1];
            a2 += xs[2] * w[2];
            a3 += xs[3] * w[3];
        }
    }
    acc[0] = a0;
    acc[1] = a1;
    acc[2] = a2;
    acc[3] = a3;
}

/* All channels of one output pixel; x is channel 0 of the first tap inside the image. */
static void pixel(const to_depthwise_conv2d_s8_params *p, const int8_t *x, const int8_t *weights,
                  const int32_t *bias, const int32_t *multiplier, const int8_t *shift, int8_t *out,
                  to_taps rows, to_taps cols) {
    const int32_t inside = (rows.end - rows.first) * (cols.end - cols.first);
    const int border = p->input_zero_point != 0 && inside != p->kernel_h * p->kernel_w;
    int32_t left = p->depth_multiplier; /* output channels that still read *x */
    const int8_t zero = p->input_zero_point;
    const int8_t outside[4] = {zero, zero, zero, zero};
    int32_t c = 0;
    for (; p->depth_multiplier == 1 && c + 4 <= p->out_c; c += 4, x += 4) {
        int32_t acc[4] = {bias[c], bias[c + 1], bias[c + 2], bias[c + 3]};
        four_channels(p, acc, x, weights + c, outside, rows, cols);
        for (int32_t k = 0; k < 4; k++) {
            out[c + k] = to_output_s8(to_requantize(acc[k], multiplier[c + k], shift[c + k]),
                                      p->output_zero_point, p->activation_min, p->activation_max);
        }
    }
    for (; c < p->out_c; c++) {
        int32_t acc = dot_inside(p, bias[c], x, weights + c, rows, cols);
        if (border) {
            acc += p->input_zero_point * sum_outside(p, weights + c, rows, cols);
        }
        out[c] = to_output_s8(to_requantize(acc, multiplier[c], shift[c]), p->output_zero_point,
                              p->activation_min, p->activation_max);
        if (--left == 0) {
            left = p->depth_multiplier;
            x++;
        }
    }
}

void to_depthwise_conv2d_any_s8_c(const to_depthwise_conv2d_s8_params *p, const int8_t *in,
                                  const int8_t *weights, const int32_t *bias, const int32_t *multiplier,
                                  const int8_t *shift, int8_t *out) {
    for (int32_t b = 0; b < p->batches; b++, in += p->in_h * p->in_w * p->in_c) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const to_taps rows =
                to_taps_inside(y * p->stride_h - p->pad_top, p->in_h, p->kernel_h, p->dilation_h);
            for (int32_t x = 0; x < p->out_w; x++, out += p->out_c) {
                const to_taps cols =
                    to_taps_inside(x * p->stride_w - p->pad_left, p->in_w, p->kernel_w, p->dilation_w);
                const int8_t *first = in + (rows.at * p->in_w + cols.at) * p->in_c;
                pixel(p, first, weights, bias, multiplier, shift, out, rows, cols);
            }
        }
    }
}
