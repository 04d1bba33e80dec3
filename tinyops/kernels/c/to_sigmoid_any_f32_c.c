#include "to_sigmoid_any_f32_c.h"

#include <math.h>

void to_sigmoid_any_f32_c(const to_sigmoid_f32_params *p, const float *in, float *out) {
    for (int32_t i = 0; i < p->n; i++) {
        out[i] = p->is_tanh ? tanhf(in[i]) : 1.0f / (1.0f + expf(-in[i]));
    }
}
