#include "to_batch_matmul_any_f32_c.h"

/* One product of two matrices; returns the end of the output. */
static float *multiply(const to_batch_matmul_f32_params *p, const float *a, const float *b, float *out) {
    for (int32_t r = 0; r < p->rows; r++) {
        for (int32_t c = 0; c < p->columns; c++) {
            float acc = 0.0f;
            int32_t i = r * p->a_row;
            int32_t j = c * p->b_column;
            for (int32_t n = p->depth; n > 0; n--, i += p->a_depth, j += p->b_depth) {
                acc += a[i] * b[j];
            }
            *out++ = acc;
        }
    }
    return out;
}

void to_batch_matmul_any_f32_c(const to_batch_matmul_f32_params *p, const float *a, const float *b,
                               float *out) {
    for (int32_t i = 0; i < p->batch[0]; i++) {
        for (int32_t j = 0; j < p->batch[1]; j++) {
            for (int32_t k = 0; k < p->batch[2]; k++) {
                out = multiply(p, a + i * p->a_batch[0] + j * p->a_batch[1] + k * p->a_batch[2],
                               b + i * p->b_batch[0] + j * p->b_batch[1] + k * p->b_batch[2], out);
            }
        }
    }
}
