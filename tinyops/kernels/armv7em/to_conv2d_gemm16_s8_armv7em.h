#ifndef TINYOPS_TO_CONV2D_GEMM16_S8_ARMV7EM_H
#define TINYOPS_TO_CONV2D_GEMM16_S8_ARMV7EM_H

#include "to_conv2d_gemm_armv7em.h"

/* CONV_2D on four pixels at a time, whose taps are made int16 once.
 *
 * in [batches, in_h, in_w, in_c], out [batches, out_h, out_w, out_c]. weights: pairs of channels, of each per
 * two taps two of the one and two of the other; of four taps first the first and the third, zeros beyond the
 * last tap and channel. channels: per pair the biases with the zero point folded in, then of each channel
 * multiplier, addend (rounding and zero point) and right shift, which is >= 1. scratch: with taps = kernel_h
 * * kernel_w * in_c rounded up to four, 4 * taps of int16 and, unless the window is 1x1 with stride 1, 4 *
 * taps bytes. weights, channels and scratch are 4-byte aligned.
 *
 * Canonical order: see to_conv2d_any_s8_c; a few pixels are read before their outputs are stored. */
void to_conv2d_gemm16_s8_armv7em(const to_conv2d_gemm_params *p, const int8_t *in, const int16_t *weights,
                                 const int32_t *channels, int16_t *scratch, int8_t *out);

#endif
