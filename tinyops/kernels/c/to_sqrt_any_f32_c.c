#include "to_sqrt_any_f32_c.h"

#include <math.h>

void to_sqrt_any_f32_c(const to_unary_f32_params *p, const float *in, float *out) {
    for (int32_t i = 0; i < p->n; i++) {
        const float root = sqrtf(in[i]);
        out[i] = p->mode == TO_UNARY_F32_SQRT ? root : 1.0f / root;
    }
}
