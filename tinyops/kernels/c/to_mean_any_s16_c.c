#include "to_mean_any_s16_c.h"

#include "to_requant.h"

/* p->offset + the averaged elements of one output; x is the first of them. */
static int32_t sum(const to_mean_s8_params *p, const int16_t *x) {
    const int32_t step = p->reduced_strides[2];
    int32_t acc = p->offset;
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

void to_mean_any_s16_c(const to_mean_s8_params *p, const int16_t *in, int16_t *out) {
    for (int32_t i = 0; i < p->kept_extents[0]; i++) {
        for (int32_t j = 0; j < p->kept_extents[1]; j++) {
            int32_t at = i * p->kept_strides[0] + j * p->kept_strides[1];
            for (int32_t k = p->kept_extents[2]; k > 0; k--, at += p->kept_strides[2]) {
                const int32_t scaled = to_requantize(sum(p, in + at), p->multiplier, p->shift);
                *out++ = (int16_t)to_clamp(scaled, INT16_MIN, INT16_MAX);
            }
        }
    }
}
