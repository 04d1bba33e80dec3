#include "to_batch_matmul_any_s16_c.h"

#include "to_requant_s16.h"

/* One product of two matrices; returns the end of the output. */
static int16_t *multiply(const to_batch_matmul_s16_params *p, const int16_t *a, const int16_t *b,
                         int16_t *out) {
    for (int32_t r = 0; r < p->rows; r++) {
        for (int32_t c = 0; c < p->columns; c++) {
            int64_t acc = 0;
            int32_t i = r * p->a_row;
            int32_t j = c * p->b_column;
            for (int32_t n = p->depth; n > 0; n--, i += p->a_depth, j += p->b_depth) {
                acc += a[i] * b[j];
            }
            const int32_t value = to_requantize_s64(acc, p->multiplier, p->shift);
            *out++ = (int16_t)to_clamp(value, INT16_MIN, INT16_MAX);
        }
    }
    return out;
}

void to_batch_matmul_any_s16_c(const to_batch_matmul_s16_params *p, const int16_t *a, const int16_t *b,
                               int16_t *out) {
    for (int32_t i = 0; i < p->batch[0]; i++) {
        for (int32_t j = 0; j < p->batch[1]; j++) {
            for (int32_t k = 0; k < p->batch[2]; k++) {
                out = multiply(p, a + i * p->a_batch[0] + j * p->a_batch[1] + k * p->a_batch[2],
                               b + i * p->b_batch[0] + j * p->b_batch[1] + k * p->b_batch[2], out);
            }
        }
    }
}
