#include "to_binary_any_f32_c.h"

#include "to_f32.h"

static float function(int32_t mode, float x, float y) {
    switch (mode) {
    case TO_BINARY_F32_ADD:
        return x + y;
    case TO_BINARY_F32_SUB:
        return x - y;
    default:
        return x * y;
    }
}

void to_binary_any_f32_c(const to_binary_f32_params *p, const float *a, const float *b, float *out) {
    for (int32_t i = 0; i < p->extents[0]; i++) {
        for (int32_t j = 0; j < p->extents[1]; j++) {
            for (int32_t k = 0; k < p->extents[2]; k++) {
                const float *x = a + i * p->a_stride[0] + j * p->a_stride[1] + k * p->a_stride[2];
                const float *y = b + i * p->b_stride[0] + j * p->b_stride[1] + k * p->b_stride[2];
                for (int32_t n = 0; n < p->extents[3]; n++) {
                    const float value = function(p->mode, x[n * p->a_stride[3]], y[n * p->b_stride[3]]);
                    *out++ = to_clamp_f32(value, p->activation_min, p->activation_max);
                }
            }
        }
    }
}
