#include "to_log_any_f32_c.h"

#include <math.h>

void to_log_any_f32_c(const to_unary_f32_params *p, const float *in, float *out) {
    for (int32_t i = 0; i < p->n; i++) {
        out[i] = logf(in[i]);
    }
}
