/* LOG_SOFTMAX over the last dimension, float32; generic C with libm. */
#ifndef TINYOPS_TO_LOG_SOFTMAX_ANY_F32_C_H
#define TINYOPS_TO_LOG_SOFTMAX_ANY_F32_C_H

#include <stdint.h>

typedef struct {
    int32_t rows;
    int32_t depth; /* >= 1 */
} to_log_softmax_f32_params;

/* in, out: float[rows][depth]; out = in - largest of the row - log(sum of exp(in - largest)).
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_log_softmax_any_f32_c(const to_log_softmax_f32_params *p, const float *in, float *out);

#endif
