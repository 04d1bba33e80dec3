#include "to_modulo_any_f32_c.h"

#include <math.h>

static float function(int32_t mode, float x, float y) {
    if (mode == TO_BINARY_F32_FLOOR_DIV) {
        return (float)floor((double)x / (double)y);
    }
    const float rest = fmodf(x, y);
    return rest != 0.0f && (y < 0.0f) != (rest < 0.0f) ? rest + y : rest;
}

void to_modulo_any_f32_c(const to_binary_f32_params *p, const float *a, const float *b, float *out) {
    for (int32_t i = 0; i < p->extents[0]; i++) {
        for (int32_t j = 0; j < p->extents[1]; j++) {
            for (int32_t k = 0; k < p->extents[2]; k++) {
                const float *x = to_row_f32(a, p->a_stride, i, j, k);
                const float *y = to_row_f32(b, p->b_stride, i, j, k);
                for (int32_t n = 0; n < p->extents[3]; n++) {
                    *out++ = function(p->mode, x[n * p->a_stride[3]], y[n * p->b_stride[3]]);
                }
            }
        }
    }
}
