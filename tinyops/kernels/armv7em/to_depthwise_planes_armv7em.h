/* DEPTHWISE_CONV_2D channel by channel: a channel becomes an int16 plane with the padding around it. */
#ifndef TINYOPS_TO_DEPTHWISE_PLANES_ARMV7EM_H
#define TINYOPS_TO_DEPTHWISE_PLANES_ARMV7EM_H

#include <stdint.h>
#include <string.h>

/* Tensors are NHWC and smaller than 2^30 bytes; the depth multiplier is 1, there is no dilation. */
typedef struct {
    int32_t batches;
    int32_t in_h;
    int32_t in_w;
    int32_t channels;
    int32_t out_h;
    int32_t out_w;
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w; /* 1 or 2 */
    int32_t pad_top;
    int32_t pad_left;
    int32_t plane_rows;      /* of the plane: kernel_h + stride_h * n */
    int32_t plane_pitch;     /* elements of such a row: even */
    int8_t input_zero_point; /* value of the taps outside the image */
    int8_t activation_min;
    int8_t activation_max;
    int8_t clamped; /* output_zero_point <= activation_min: less rounding gives the same */
} to_depthwise_planes_params;

/* What a core needs to know of a channel. */
typedef struct {
    const int8_t *weights;
    int32_t bias; /* twice the bias, as the weights that cores use are doubled */
    int32_t multiplier;
    int32_t addend;
    int32_t shift;
} to_depthwise_channel;

/* Computes `height` rows of outputs from the plane. */
typedef void (*to_depthwise_core)(const to_depthwise_planes_params *p, const to_depthwise_channel *channel,
                                  int16_t *plane, int32_t height, int8_t *out);

/* The assembly knows the order and the size of its fields. */
typedef struct {
    int32_t channels;
    int32_t width;
    int32_t rows;
    int32_t skip; /* bytes from the end of a row to the start of the next */
} to_gather_s8;

void to_gather_s8_armv7em(int16_t *to, const int8_t *from, const to_gather_s8 *g);

static inline void to_fill_plane(int16_t *to, int16_t value, int32_t n) {
    for (; n > 0; n--) {
        *to++ = value;
    }
}

/* Rows y to y + height of the channel that starts at `in`. */
static inline void to_load_rows(const to_depthwise_planes_params *p, const int8_t *in, int32_t y,
                                int32_t height, int16_t *to) {
    to += p->pad_left;
    for (; height > 0 && y < 0; height--, y++, to += p->plane_pitch) {
        to_fill_plane(to, p->input_zero_point, p->in_w);
    }
    const int32_t inside = p->in_h - y < height ? p->in_h - y : height;
    if (inside > 0) {
        const to_gather_s8 g = {p->channels, p->in_w, inside, 2 * (p->plane_pitch - p->in_w)};
        to_gather_s8_armv7em(to, in + y * p->in_w * p->channels, &g);
        height -= inside;
        to += inside * p->plane_pitch;
    }
    for (; height > 0; height--, to += p->plane_pitch) {
        to_fill_plane(to, p->input_zero_point, p->in_w);
    }
}

/* A channel from the first to the last row, in bands that fill the plane. */
static inline void to_run_channel(const to_depthwise_planes_params *p, to_depthwise_core core,
                                  const to_depthwise_channel *channel, const int8_t *in, int16_t *plane,
                                  int8_t *out) {
    const int32_t pitch = p->plane_pitch;
    const int32_t band = (p->plane_rows - p->kernel_h) / p->stride_h + 1;
    const int32_t kept = p->kernel_h > p->stride_h ? p->kernel_h - p->stride_h : 0;
    int32_t have = 0; /* rows of the plane that are loaded already */
    for (int32_t y = 0; y < p->out_h; y += band) {
        const int32_t height = p->out_h - y < band ? p->out_h - y : band;
        const int32_t rows = (height - 1) * p->stride_h + p->kernel_h;
        to_load_rows(p, in, y * p->stride_h - p->pad_top + have, rows - have, plane + have * pitch);
        core(p, channel, plane, height, out + y * p->out_w * p->channels);
        have = kept;
        if (y + band < p->out_h) {
            memmove(plane, plane + band * p->stride_h * pitch, (size_t)(have * pitch) * sizeof *plane);
        }
    }
}

static inline void to_depthwise_planes(const to_depthwise_planes_params *p, to_depthwise_core core,
                                       const int8_t *in, const int8_t *weights, int32_t weight_bytes,
                                       const int32_t *table, int16_t *plane, int8_t *out) {
    const int32_t c = p->channels;
    int8_t *to = out;
    to_fill_plane(plane, p->input_zero_point, p->plane_rows * p->plane_pitch);
    for (int32_t b = 0; b < p->batches; b++, in += p->in_h * p->in_w * c, to += p->out_h * p->out_w * c) {
        for (int32_t k = 0; k < c; k++) {
            const int32_t *numbers = table + 4 * k;
            const to_depthwise_channel channel = {weights + k * weight_bytes, numbers[0], numbers[1],
                                                  numbers[2], numbers[3]};
            to_run_channel(p, core, &channel, in + k, plane, to + k);
        }
    }
    const int8_t low = p->activation_min, high = p->activation_max;
    for (int32_t i = 0; (low > INT8_MIN || high < INT8_MAX) && i < p->batches * p->out_h * p->out_w * c;
         i++) {
        out[i] = out[i] < low ? low : out[i] > high ? high : out[i];
    }
}

#endif
