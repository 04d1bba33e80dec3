#include "to_l2_normalization_any_f32_c.h"

#include <math.h>

#define LEAST_NORM 1e-6f

void to_l2_normalization_any_f32_c(const to_l2_normalization_f32_params *p, const float *in, float *out) {
    for (int32_t r = 0; r < p->rows; r++, in += p->depth, out += p->depth) {
        float sum = 0.0f;
        for (int32_t i = 0; i < p->depth; i++) {
            sum += in[i] * in[i];
        }
        const float norm = sqrtf(sum);
        for (int32_t i = 0; i < p->depth; i++) {
            out[i] = in[i] / (norm < LEAST_NORM ? LEAST_NORM : norm);
        }
    }
}
