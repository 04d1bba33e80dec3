#include "to_depthwise_conv2d_window_s8_armv7em.h"

/* The assembly knows the order and the size of its fields. */
typedef struct {
    const int16_t *plane;
    int8_t *out;
    const int16_t *weights;
    int32_t bias;
    int32_t step;
    int32_t multiplier;
    int32_t addend;
    int32_t shift;
    int32_t height;
    int32_t width;
    int32_t row_skip; /* bytes from the end of a window's row to the start of the next */
    int32_t entry;    /* bytes of the code for a row */
    int32_t advance;  /* bytes from a pair of outputs to the next */
    int32_t kernel_h;
    int32_t line_skip; /* bytes from behind the last window of a line to the first of the next */
    int32_t clamped;
} to_depthwise_run;

void to_depthwise_s8_armv7em(const to_depthwise_run *d);

#define STEP_BYTES 16

/* Per row of the window the pairs for one output, and in turn those for its right neighbour: doubled. */
static void spread(const to_depthwise_planes_params *p, const int8_t *w, int32_t pairs, int16_t *to) {
    for (int32_t y = 0; y < p->kernel_h; y++, w += p->kernel_w, to += 4 * pairs) {
        memset(to, 0, (size_t)(4 * pairs) * sizeof *to);
        for (int32_t x = 0; x < p->kernel_w; x++) {
            const int32_t moved = x + p->stride_w;
            to[x / 2 * 4 + x % 2] = (int16_t)(2 * w[x]);
            to[moved / 2 * 4 + 2 + moved % 2] = (int16_t)(2 * w[x]);
        }
    }
}

static void core(const to_depthwise_planes_params *p, const to_depthwise_channel *channel, int16_t *plane,
                 int32_t height, int8_t *out) {
    const int32_t pairs = (p->kernel_w + p->stride_w + 1) / 2;
    int16_t *weights = plane + p->plane_rows * p->plane_pitch;
    spread(p, channel->weights, pairs, weights);
    const to_depthwise_run d = {plane,
                                out,
                                weights,
                                channel->bias,
                                p->channels,
                                channel->multiplier,
                                channel->addend,
                                channel->shift,
                                height,
                                p->out_w,
                                2 * p->plane_pitch - 4 * pairs,
                                STEP_BYTES * pairs,
                                4 * p->stride_w,
                                p->kernel_h,
                                2 * p->stride_h * p->plane_pitch - (p->out_w + 1) / 2 * 4 * p->stride_w,
                                p->clamped};
    to_depthwise_s8_armv7em(&d);
}

void to_depthwise_conv2d_window_s8_armv7em(const to_depthwise_planes_params *p, const int8_t *in,
                                           const int8_t *weights, const int32_t *table, int16_t *scratch,
                                           int8_t *out) {
    to_depthwise_planes(p, core, in, weights, p->kernel_h * p->kernel_w, table, scratch, out);
}
