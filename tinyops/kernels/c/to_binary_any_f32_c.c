#include "to_binary_any_f32_c.h"

#include "to_f32.h"

static float function(int32_t mode, float x, float y) {
    switch (mode) {
    case TO_BINARY_F32_ADD:
        return x + y;
    case TO_BINARY_F32_SUB:
        return x - y;
    case TO_BINARY_F32_MUL:
        return x * y;
    case TO_BINARY_F32_DIV:
        return x / y;
    case TO_BINARY_F32_MINIMUM:
        return x < y ? x : y;
    case TO_BINARY_F32_MAXIMUM:
        return x > y ? x : y;
    case TO_BINARY_F32_SQUARED_DIFFERENCE:
        return (x - y) * (x - y);
    default:
        return x >= 0.0f ? x : x * y;
    }
}

void to_binary_any_f32_c(const to_binary_f32_params *p, const float *a, const float *b, float *out) {
    const int bounded = p->mode <= TO_BINARY_F32_DIV;
    for (int32_t i = 0; i < p->extents[0]; i++) {
        for (int32_t j = 0; j < p->extents[1]; j++) {
            for (int32_t k = 0; k < p->extents[2]; k++) {
                const float *x = to_row_f32(a, p->a_stride, i, j, k);
                const float *y = to_row_f32(b, p->b_stride, i, j, k);
                for (int32_t n = 0; n < p->extents[3]; n++) {
                    const float value = function(p->mode, x[n * p->a_stride[3]], y[n * p->b_stride[3]]);
                    *out++ = bounded ? to_clamp_f32(value, p->activation_min, p->activation_max) : value;
                }
            }
        }
    }
}
