#ifndef TINYOPS_TO_DEPTHWISE_CONV2D_3X3_S8_ARMV7EM_H
#define TINYOPS_TO_DEPTHWISE_CONV2D_3X3_S8_ARMV7EM_H

#include "to_depthwise_planes_armv7em.h"

/* DEPTHWISE_CONV_2D with a 3x3 window.
 *
 * in [batches, in_h, in_w, channels], out [batches, out_h, out_w, channels]. weights: per channel its nine
 * and three bytes of padding. table: per channel twice the bias with the zero point folded in, multiplier,
 * addend (rounding and zero point) and right shift, which is >= 1. scratch: plane_rows * plane_pitch of
 * int16, 4-byte aligned.
 *
 * Canonical order: none, as channels are computed one by one. out may be apart from in, or start where in
 * starts: an output then lies on an element of its own channel, which was read before. */
void to_depthwise_conv2d_3x3_s8_armv7em(const to_depthwise_planes_params *p, const int8_t *in,
                                        const int8_t *weights, const int32_t *table, int16_t *scratch,
                                        int8_t *out);

#endif
