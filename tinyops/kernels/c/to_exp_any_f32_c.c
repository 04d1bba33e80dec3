#include "to_exp_any_f32_c.h"

#include <math.h>

static float function(int32_t mode, float x) {
    switch (mode) {
    case TO_UNARY_F32_EXP:
        return expf(x);
    case TO_UNARY_F32_ELU:
        return x < 0.0f ? expf(x) - 1.0f : x;
    default:
        /* 0.5 * (1 + tanh(u)) = 1 / (1 + exp(-2 * u)), u = sqrt(2 / pi) * (x + 0.044715 * x^3) */
        return x / (1.0f + expf(-1.59576912f * (x + 0.044715f * x * x * x)));
    }
}

void to_exp_any_f32_c(const to_unary_f32_params *p, const float *in, float *out) {
    for (int32_t i = 0; i < p->n; i++) {
        out[i] = function(p->mode, in[i]);
    }
}
