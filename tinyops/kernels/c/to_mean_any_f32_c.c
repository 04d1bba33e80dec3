#include "to_mean_any_f32_c.h"

/* Sum of the averaged elements of one output; x is the first of them. */
static float sum(const to_mean_f32_params *p, const float *x) {
    const int32_t step = p->reduced_strides[2];
    float acc = 0.0f;
    for (int32_t i = 0; i < p->reduced_extents[0]; i++) {
        for (int32_t j = 0; j < p->reduced_extents[1]; j++) {
            int32_t at = i * p->reduced_strides[0] + j * p->reduced_strides[1];
            for (int32_t k = p->reduced_extents[2]; k > 0; k--, at += step) {
                acc += x[at];
            }
        }
    }
    return acc;
}

void to_mean_any_f32_c(const to_mean_f32_params *p, const float *in, float *out) {
    const float count = (float)(p->reduced_extents[0] * p->reduced_extents[1] * p->reduced_extents[2]);
    for (int32_t i = 0; i < p->kept_extents[0]; i++) {
        for (int32_t j = 0; j < p->kept_extents[1]; j++) {
            int32_t at = i * p->kept_strides[0] + j * p->kept_strides[1];
            for (int32_t k = p->kept_extents[2]; k > 0; k--, at += p->kept_strides[2]) {
                *out++ = sum(p, in + at) / count;
            }
        }
    }
}
