#include "to_cumsum_any_f32_c.h"

void to_cumsum_any_f32_c(const to_cumsum_f32_params *p, const float *in, float *out) {
    const int32_t step = p->reverse ? -p->inner : p->inner;
    for (int32_t i = 0; i < p->outer; i++) {
        int32_t at = (i * p->axis + (p->reverse ? p->axis - 1 : 0)) * p->inner;
        for (int32_t k = 0; k < p->axis; k++, at += step) {
            for (int32_t j = at; j < at + p->inner; j++) {
                const float sum = k > 0 ? out[j - step] : 0.0f;
                const float term = !p->exclusive ? in[j] : k > 0 ? in[j - step] : 0.0f;
                out[j] = sum + term;
            }
        }
    }
}
