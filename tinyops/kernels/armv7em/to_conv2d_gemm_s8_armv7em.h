#ifndef TINYOPS_TO_CONV2D_GEMM_S8_ARMV7EM_H
#define TINYOPS_TO_CONV2D_GEMM_S8_ARMV7EM_H

#include "to_conv2d_gemm_armv7em.h"

/* CONV_2D on three pixels at a time, whose taps are made int16 once.
 *
 * in [batches, in_h, in_w, in_c], out [batches, out_h, out_w, out_c]. weights: pairs of channels a and b, per
 * four taps the halfwords 256 b + a + 128 of the taps 0, 2, 1 and 3; a and b are 0 beyond the last tap and
 * channel. channels: per pair the biases with the zero point folded in, that of a plus 256 times that of b,
 * then of each channel multiplier, addend (rounding and zero point) and right shift, which is >= 1. scratch:
 * with taps = kernel_h * kernel_w * in_c rounded up to four, 3 * taps of int16 and, unless the window is 1x1
 * with stride 1, 3 * taps bytes. weights, channels and scratch are 4-byte aligned.
 *
 * Canonical order: see to_conv2d_any_s8_c; a few pixels are read before their outputs are stored. */
void to_conv2d_gemm_s8_armv7em(const to_conv2d_gemm_params *p, const int8_t *in, const int8_t *weights,
                               const int32_t *channels, int16_t *scratch, int8_t *out);

#endif
