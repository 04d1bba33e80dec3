#include "to_extreme_any_s8_c.h"

/* The largest flipped element of those that make one output; x is the first of them. */
static int32_t largest(const to_extreme_s8_params *p, const int8_t *x) {
    int32_t found = INT8_MIN;
    for (int32_t i = 0; i < p->reduced_extents[0]; i++) {
        for (int32_t j = 0; j < p->reduced_extents[1]; j++) {
            int32_t at = i * p->reduced_strides[0] + j * p->reduced_strides[1];
            for (int32_t k = p->reduced_extents[2]; k > 0; k--, at += p->reduced_strides[2]) {
                const int32_t value = x[at] ^ p->flip;
                found = value > found ? value : found;
            }
        }
    }
    return found;
}

void to_extreme_any_s8_c(const to_extreme_s8_params *p, const int8_t *in, int8_t *out) {
    for (int32_t i = 0; i < p->kept_extents[0]; i++) {
        for (int32_t j = 0; j < p->kept_extents[1]; j++) {
            int32_t at = i * p->kept_strides[0] + j * p->kept_strides[1];
            for (int32_t k = p->kept_extents[2]; k > 0; k--, at += p->kept_strides[2]) {
                *out++ = (int8_t)(largest(p, in + at) ^ p->flip);
            }
        }
    }
}
