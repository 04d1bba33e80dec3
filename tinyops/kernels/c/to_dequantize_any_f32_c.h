/* DEQUANTIZE of integers of 8 or 16 bits to float32; generic C. */
#ifndef TINYOPS_TO_DEQUANTIZE_ANY_F32_C_H
#define TINYOPS_TO_DEQUANTIZE_ANY_F32_C_H

#include <stdint.h>

/* input_size is the bytes of an input: 1 or 2; mask is 255 where inputs are unsigned bytes and -1 otherwise.
 */
typedef struct {
    int32_t n;
    float scale;
    int32_t zero_point;
    int32_t mask;
    int32_t input_size;
} to_dequantize_f32_params;

/* out[i] = scale * (in[i] - zero_point), rounded once.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_dequantize_any_f32_c(const to_dequantize_f32_params *p, const void *in, float *out);

#endif
