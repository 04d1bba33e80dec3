/* CAST from float32 to integers of 8, 16 or 32 bits; generic C. */
#ifndef TINYOPS_TO_TRUNCATE_ANY_F32_C_H
#define TINYOPS_TO_TRUNCATE_ANY_F32_C_H

#include <stdint.h>

/* output_size is the bytes of an output: 1, 2 or 4. */
typedef struct {
    int32_t n;
    int32_t output_size;
} to_truncate_f32_params;

/* out[i] = the low bytes of in[i] as int32: the fraction is cut off, beyond int32 its nearest value is taken,
 * and 0 for NaN. Canonical order: outputs are stored in ascending order, each after all that it needs was
 * read, so `out` may overlap `in` as far as Operator.overlap allows. */
void to_truncate_any_f32_c(const to_truncate_f32_params *p, const float *in, void *out);

#endif
