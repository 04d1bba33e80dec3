#include "to_conv2d_gemm_s8_armv7em.h"

#include "to_windows_armv7em.h"

static inline uint32_t *expand(uint32_t *to, const uint32_t *words, int32_t *sums) {
    for (int32_t k = 0; k < 3; k++) {
        to[0] = to_even(words[k]);
        to[1] = to_odd(words[k]);
        sums[k] = to_add_pair(to_add_pair(sums[k], to[0]), to[1]);
        to += 2;
    }
    return to;
}

static const to_gemm_core core = {3, 4, 72, 4, expand, to_gemm_s8_armv7em};

void to_conv2d_gemm_s8_armv7em(const to_conv2d_gemm_params *p, const int8_t *in, const int8_t *weights,
                               const int32_t *channels, int16_t *scratch, int8_t *out) {
    to_convolve(p, &core, in, weights, channels, scratch, out);
}
