#include "to_conv2d_any_s4_c.h"

#include "to_requant.h"
#include "to_s4.h"
#include "to_taps.h"

/* Where a window lies: the taps inside the image, and channel 0 of the first of them. */
typedef struct {
    const int8_t *x;
    to_taps rows;
    to_taps cols;
} window;

/* acc[c] for the output channel whose weights start at weight `at` and whose inputs start at channel `from`.
 */
static int32_t channel(const to_conv2d_s8_params *p, const window *w, const uint8_t *weights, int32_t at,
                       int32_t from, int32_t acc) {
    const int32_t depth = p->in_c / p->groups;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int row_inside = ky >= w->rows.first && ky < w->rows.end;
        const int32_t row = row_inside ? (ky - w->rows.first) * p->dilation_h * p->in_w * p->in_c : 0;
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            if (row_inside && kx >= w->cols.first && kx < w->cols.end) {
                const int8_t *x = w->x + row + (kx - w->cols.first) * p->dilation_w * p->in_c + from;
                for (int32_t k = 0; k < depth; k++) {
                    acc += x[k] * to_s4(weights, at++);
                }
            } else {
                for (int32_t k = 0; k < depth; k++) {
                    acc += p->input_zero_point * to_s4(weights, at++);
                }
            }
        }
    }
    return acc;
}

void to_conv2d_any_s4_c(const to_conv2d_s8_params *p, const int8_t *in, const uint8_t *weights,
                        const int32_t *bias, const int32_t *multiplier, const int8_t *shift, int8_t *out) {
    const int32_t pixels = p->batches * p->out_h * p->out_w;
    const int32_t depth = p->in_c / p->groups;
    const int32_t group = p->out_c / p->groups;
    const int32_t filter = p->kernel_h * p->kernel_w * depth;
    for (int32_t i = 0; i < pixels; i++) {
        const int32_t pixel = p->descending ? pixels - 1 - i : i;
        const int32_t line = pixel / p->out_w;
        const int32_t x = (pixel - line * p->out_w) * p->stride_w - p->pad_left;
        const int32_t y = line % p->out_h * p->stride_h - p->pad_top;
        window w;
        w.rows = to_taps_inside(y, p->in_h, p->kernel_h, p->dilation_h);
        w.cols = to_taps_inside(x, p->in_w, p->kernel_w, p->dilation_w);
        w.x = in + ((line / p->out_h * p->in_h + w.rows.at) * p->in_w + w.cols.at) * p->in_c;
        int8_t *to = out + pixel * p->out_c;
        for (int32_t c = 0; c < p->out_c; c++) {
            const int32_t acc = channel(p, &w, weights, c * filter, c / group * depth, bias[c]);
            to[c] = to_output_s8(to_requantize(acc, multiplier[c], shift[c]), p->output_zero_point,
                                 p->activation_min, p->activation_max);
        }
    }
}
