/* QUANTIZE from float32 to integers of 8 or 16 bits; generic C. */
#ifndef TINYOPS_TO_QUANTIZE_ANY_F32_C_H
#define TINYOPS_TO_QUANTIZE_ANY_F32_C_H

#include <stdint.h>

/* |zero_point|, |low| and |high| are at most 2^16, scale > 0; output_size is the bytes of an output: 1 or 2.
 */
typedef struct {
    int32_t n;
    float scale;
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t output_size;
} to_quantize_f32_params;

/* out[i] = round(in[i] / scale) + zero_point, ties away from zero, clamped to low .. high; NaN gives low.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_quantize_any_f32_c(const to_quantize_f32_params *p, const float *in, void *out);

#endif
