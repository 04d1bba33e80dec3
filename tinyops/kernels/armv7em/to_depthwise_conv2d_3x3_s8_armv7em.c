#include "to_depthwise_conv2d_3x3_s8_armv7em.h"

/* The assembly knows the order and the size of its fields. */
typedef struct {
    const int16_t *rows[3];
    int8_t *out;
    uint32_t weights[6]; /* (w0, w1) and (w1, w2) of each row */
    int32_t bias;
    int32_t step;
    int32_t multiplier;
    int32_t addend;
    int32_t shift;
    int32_t pair_bytes; /* of the outputs that are computed in pairs, from the first to behind the last */
    int32_t skip;       /* bytes from the end of a row to the start of the next */
    int32_t height;
    int32_t odd;
    int32_t wide;
    int32_t clamped;
} to_depthwise3;

void to_depthwise3_s8_armv7em(const to_depthwise3 *d);

static void core(const to_depthwise_planes_params *p, const to_depthwise_channel *channel, int16_t *plane,
                 int32_t height, int8_t *out) {
    const int32_t paired = p->out_w / 2 * 2;
    const int8_t *w = channel->weights;
    to_depthwise3 d;
    for (int32_t k = 0; k < 3; k++, w += 3) {
        const uint32_t a = (uint32_t)(2 * w[0]) & 0xffffu, b = (uint32_t)(2 * w[1]) & 0xffffu;
        d.rows[k] = plane + k * p->plane_pitch;
        d.weights[2 * k] = a | b << 16;
        d.weights[2 * k + 1] = b | (uint32_t)(2 * w[2]) << 16;
    }
    d.out = out;
    d.bias = channel->bias;
    d.step = p->channels;
    d.multiplier = channel->multiplier;
    d.addend = channel->addend;
    d.shift = channel->shift;
    d.pair_bytes = paired * p->channels;
    d.skip = 2 * (p->stride_h * p->plane_pitch - paired * p->stride_w);
    d.height = height;
    d.odd = p->out_w % 2;
    d.wide = p->stride_w == 2;
    d.clamped = p->clamped;
    to_depthwise3_s8_armv7em(&d);
}

void to_depthwise_conv2d_3x3_s8_armv7em(const to_depthwise_planes_params *p, const int8_t *in,
                                        const int8_t *weights, const int32_t *table, int16_t *scratch,
                                        int8_t *out) {
    to_depthwise_planes(p, core, in, weights, 12, table, scratch, out);
}
