#include "to_clamp_any_f32_c.h"

#include "to_f32.h"

void to_clamp_any_f32_c(const to_clamp_f32_params *p, const float *in, float *out) {
    for (int32_t i = 0; i < p->n; i++) {
        out[i] = to_clamp_f32(in[i], p->low, p->high);
    }
}
