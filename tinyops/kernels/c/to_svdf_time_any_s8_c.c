#include "to_svdf_time_any_s8_c.h"

#include "to_requant.h"

/* acc + sum of (x[i] - zero) * w[i], i < n; a product is below 2^31. */
static uint32_t filter_s8(uint32_t acc, const int8_t *x, const int8_t *w, int32_t n, int32_t zero) {
    for (; n > 0; n--) {
        acc += (uint32_t)((*x++ - zero) * *w++);
    }
    return acc;
}

static uint32_t filter_s16(uint32_t acc, const int16_t *x, const int16_t *w, int32_t n, int32_t zero) {
    for (; n > 0; n--) {
        acc += (uint32_t)((*x++ - zero) * *w++);
    }
    return acc;
}

void to_svdf_time_any_s8_c(const to_svdf_time_s8_params *p, const void *state, const void *weights,
                           const int32_t *bias, int8_t *out) {
    /* The filters of a unit are neighbours: one run. */
    const int32_t run = p->rank * p->memory;
    int32_t x = 0;
    for (int32_t b = 0; b < p->batches; b++) {
        int32_t w = 0;
        for (int32_t u = 0; u < p->units; u++, x += run, w += run) {
            uint32_t acc = (uint32_t)bias[u];
            if (p->state_is_int16) {
                acc = filter_s16(acc, (const int16_t *)state + x, (const int16_t *)weights + w, run,
                                 p->state_zero_point);
            } else {
                acc = filter_s8(acc, (const int8_t *)state + x, (const int8_t *)weights + w, run,
                                p->state_zero_point);
            }
            *out++ = to_output_s8(to_requantize((int32_t)acc, p->multiplier, p->shift), p->output_zero_point,
                                  INT8_MIN, INT8_MAX);
        }
    }
}
