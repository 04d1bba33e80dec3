#include "to_batch_matmul_any_s8_c.h"

#include "to_requant.h"

/* One product of two matrices; returns the end of the output. */
static int8_t *multiply(const to_batch_matmul_s8_params *p, const int8_t *a, const int8_t *b, int8_t *out) {
    const int32_t a_zero = p->a_zero_point;
    const int32_t b_zero = p->b_zero_point;
    for (int32_t r = 0; r < p->rows; r++) {
        for (int32_t c = 0; c < p->columns; c++) {
            int32_t acc = 0;
            int32_t i = r * p->a_row;
            int32_t j = c * p->b_column;
            for (int32_t n = p->depth; n > 0; n--, i += p->a_depth, j += p->b_depth) {
                acc += (a[i] - a_zero) * (b[j] - b_zero);
            }
            *out++ = to_output_s8(to_requantize(acc, p->multiplier, p->shift), p->output_zero_point, INT8_MIN,
                                  INT8_MAX);
        }
    }
    return out;
}

void to_batch_matmul_any_s8_c(const to_batch_matmul_s8_params *p, const int8_t *a, const int8_t *b,
                              int8_t *out) {
    for (int32_t i = 0; i < p->batch[0]; i++) {
        for (int32_t j = 0; j < p->batch[1]; j++) {
            for (int32_t k = 0; k < p->batch[2]; k++) {
                out = multiply(p, a + i * p->a_batch[0] + j * p->a_batch[1] + k * p->a_batch[2],
                               b + i * p->b_batch[0] + j * p->b_batch[1] + k * p->b_batch[2], out);
            }
        }
    }
}
