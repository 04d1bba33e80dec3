#include "to_conv2d_gemm16_s8_armv7em.h"

#include "to_windows_armv7em.h"

static inline uint32_t *expand(uint32_t *to, const uint32_t *words, int32_t *sums) {
    (void)sums;
    for (int32_t k = 0; k < 4; k++) {
        to[k] = to_even(words[k]);
        to[4 + k] = to_odd(words[k]);
    }
    return to + 8;
}

static const to_gemm_core core = {4, 2, 44, 8, expand, to_gemm16_s8_armv7em};

void to_conv2d_gemm16_s8_armv7em(const to_conv2d_gemm_params *p, const int8_t *in, const int16_t *weights,
                                 const int32_t *channels, int16_t *scratch, int8_t *out) {
    to_convolve(p, &core, in, weights, channels, scratch, out);
}
