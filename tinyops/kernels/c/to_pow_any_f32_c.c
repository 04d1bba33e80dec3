#include "to_pow_any_f32_c.h"

#include <math.h>

void to_pow_any_f32_c(const to_binary_f32_params *p, const float *a, const float *b, float *out) {
    for (int32_t i = 0; i < p->extents[0]; i++) {
        for (int32_t j = 0; j < p->extents[1]; j++) {
            for (int32_t k = 0; k < p->extents[2]; k++) {
                const float *x = to_row_f32(a, p->a_stride, i, j, k);
                const float *y = to_row_f32(b, p->b_stride, i, j, k);
                for (int32_t n = 0; n < p->extents[3]; n++) {
                    *out++ = powf(x[n * p->a_stride[3]], y[n * p->b_stride[3]]);
                }
            }
        }
    }
}
