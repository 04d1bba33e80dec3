#ifndef TINYOPS_TO_FULLY_CONNECTED_GEMV_S8_ARMV7EM_H
#define TINYOPS_TO_FULLY_CONNECTED_GEMV_S8_ARMV7EM_H

#include <stdint.h>

typedef struct {
    int32_t batches;
    int32_t in_n;
    int32_t out_n;
    int32_t multiplier;
    int32_t addend; /* rounding and zero point */
    int32_t shift;  /* to the right, >= 1 */
    int8_t activation_min;
    int8_t activation_max;
    int8_t clamped; /* output_zero_point <= activation_min: less rounding gives the same */
} to_fully_connected_gemv_s8_params;

/* FULLY_CONNECTED with one scale for all channels.
 *
 * in [batches, in_n], out [batches, out_n]. weights: per four channels a to d and four taps 16 bytes, the
 * halfwords 256 b + a + 128 of taps 0 and 2, 256 d + c + 128 of these, then both of taps 1 and 3; a and c are
 * -128 where there is no tap. bias: of the channels rounded up to four, with the zero point folded in.
 * scratch: in_n rounded up to four of int16. weights, bias and scratch are 4-byte aligned.
 *
 * Canonical order: a batch is read before its outputs are stored. */
void to_fully_connected_gemv_s8_armv7em(const to_fully_connected_gemv_s8_params *p, const int8_t *in,
                                        const int8_t *weights, const int32_t *bias, int16_t *scratch,
                                        int8_t *out);

#endif
