/* CONV_2D by a core: gathers the taps of a few pixels, expands them, multiplies. */
#ifndef TINYOPS_TO_WINDOWS_ARMV7EM_H
#define TINYOPS_TO_WINDOWS_ARMV7EM_H

#include "to_conv2d_gemm_armv7em.h"
#include "to_gemm_armv7em.h"

static inline void to_expand_rows(const to_gemm_core *core, to_gemm *g, int16_t *patch,
                                  const int8_t *const *row, int32_t n) {
    uint32_t *to = (uint32_t *)(void *)patch;
    const int8_t *at[TO_GEMM_ROWS_MAX];
    uint32_t words[TO_GEMM_ROWS_MAX];
    int32_t sums[TO_GEMM_ROWS_MAX] = {0};
    for (int32_t k = 0; k < core->rows; k++) {
        at[k] = row[k];
    }
    for (; n >= 4; n -= 4) {
        for (int32_t k = 0; k < core->rows; k++, at[k - 1] += 4) {
            words[k] = to_load_word(at[k]);
        }
        to = core->expand(to, words, sums);
    }
    if (n > 0) {
        for (int32_t k = 0; k < core->rows; k++) {
            words[k] = to_load_bytes(at[k], n);
        }
        (void)core->expand(to, words, sums);
    }
    for (int32_t k = 0; k < core->rows; k++) {
        g->start[k] = -128 * sums[k];
    }
}

static inline int8_t *to_copy_run(int8_t *to, const int8_t *from, int32_t n) {
    for (; n >= 4; n -= 4, to += 4, from += 4) {
        memcpy(to, from, 4);
    }
    for (; n > 0; n--) {
        *to++ = *from++;
    }
    return to;
}

static inline int8_t *to_fill_run(int8_t *to, int8_t value, int32_t n) {
    for (; n > 0; n--) {
        *to++ = value;
    }
    return to;
}

/* The taps of one pixel; y and x are those of its first tap, which may be outside the image. */
static inline void to_gather_taps(const to_conv2d_gemm_params *p, const int8_t *in, int32_t y, int32_t x,
                                  int8_t *row) {
    const int32_t run = p->kernel_w * p->in_c;
    const int32_t line = p->in_w * p->in_c;
    const int32_t before = x < 0 ? -x * p->in_c : 0;
    const int32_t after = x + p->kernel_w > p->in_w ? (x + p->kernel_w - p->in_w) * p->in_c : 0;
    const int32_t at = x * p->in_c + before;
    const int8_t zero = p->input_zero_point;
    for (int32_t ky = 0; ky < p->kernel_h; ky++, y++) {
        if (y < 0 || y >= p->in_h || before + after >= run) {
            row = to_fill_run(row, zero, run);
        } else {
            row = to_fill_run(row, zero, before);
            row = to_copy_run(row, in + y * line + at, run - before - after);
            row = to_fill_run(row, zero, after);
        }
    }
}

static inline void to_clamp_run(const to_conv2d_gemm_params *p, int8_t *out, int32_t n) {
    const int8_t low = p->activation_min, high = p->activation_max;
    for (int32_t i = 0; i < n; i++) {
        out[i] = out[i] < low ? low : out[i] > high ? high : out[i];
    }
}

/* `rows` pixels, whose taps are in `row`, to `out`. */
static inline void to_multiply_rows(const to_conv2d_gemm_params *p, const to_gemm_core *core, to_gemm *g,
                                    const int8_t *const *row, int32_t rows, int16_t *patch, int8_t *out) {
    to_expand_rows(core, g, patch, row, p->kernel_h * p->kernel_w * p->in_c);
    g->out = out;
    for (int32_t k = 1; k < core->rows; k++) {
        g->row[k - 1] = k < rows ? k * p->out_c : 0;
    }
    core->multiply(g);
    if (p->activation_min > INT8_MIN || p->activation_max < INT8_MAX) {
        to_clamp_run(p, out, rows * p->out_c);
    }
}

static inline void to_convolve_pointwise(const to_conv2d_gemm_params *p, const to_gemm_core *core, to_gemm *g,
                                         const int8_t *in, int16_t *patch, int8_t *out) {
    const int32_t n = p->in_c;
    const int32_t pixels = p->batches * p->out_h * p->out_w;
    const int32_t last = (pixels - 1) / core->rows * core->rows;
    for (int32_t i = 0; i < pixels; i += core->rows) {
        const int32_t at = p->descending ? last - i : i;
        const int32_t rows = pixels - at < core->rows ? pixels - at : core->rows;
        const int8_t *row[TO_GEMM_ROWS_MAX];
        for (int32_t k = 0; k < core->rows; k++) {
            row[k] = in + (at + (k < rows ? k : 0)) * n;
        }
        to_multiply_rows(p, core, g, row, rows, patch, out + at * p->out_c);
    }
}

static inline void to_convolve_windows(const to_conv2d_gemm_params *p, const to_gemm_core *core, to_gemm *g,
                                       const int8_t *in, int16_t *patch, int8_t *bytes, int32_t taps,
                                       int8_t *out) {
    const int8_t *row[TO_GEMM_ROWS_MAX];
    for (int32_t k = 0; k < core->rows; k++) {
        row[k] = bytes + k * taps;
    }
    int32_t left = p->batches * p->out_h * p->out_w;
    int32_t x = 0, y = 0;
    while (left > 0) {
        const int32_t rows = left < core->rows ? left : core->rows;
        for (int32_t k = 0; k < rows; k++) {
            to_gather_taps(p, in, y * p->stride_h - p->pad_top, x * p->stride_w - p->pad_left,
                           bytes + k * taps);
            if (++x == p->out_w) {
                x = 0;
                if (++y == p->out_h) {
                    y = 0;
                    in += p->in_h * p->in_w * p->in_c;
                }
            }
        }
        to_multiply_rows(p, core, g, row, rows, patch, out);
        out += rows * p->out_c;
        left -= rows;
    }
}

static inline void to_convolve(const to_conv2d_gemm_params *p, const to_gemm_core *core, const int8_t *in,
                               const void *weights, const int32_t *channels, int16_t *scratch, int8_t *out) {
    const int32_t taps = (p->kernel_h * p->kernel_w * p->in_c + 3) / 4 * 4;
    const int32_t first = taps / core->step_taps % core->unrolled;
    to_gemm g;
    g.patch = scratch;
    g.patch_end = scratch + taps * core->rows;
    g.channels = channels;
    g.weights = weights;
    g.pairs = p->out_c / 2;
    g.entry = (first == 0 ? core->unrolled : first) * core->step_bytes;
    g.odd = p->out_c % 2;
    g.clamped = p->clamped;
    if (p->kernel_h == 1 && p->kernel_w == 1 && p->stride_h == 1 && p->stride_w == 1) {
        to_convolve_pointwise(p, core, &g, in, scratch, out);
    } else {
        to_convolve_windows(p, core, &g, in, scratch, (int8_t *)(scratch + taps * core->rows), taps, out);
    }
}

#endif
