#include "to_div_any_s8_c.h"

#include "to_reciprocal.h"

/* The bits of x, 0 <= x < 2^31. */
static int32_t width(int32_t x) {
    int32_t bits = 0;
    for (; x > 0; x >>= 1) {
        bits++;
    }
    return bits;
}

/* x / y in units of the output, |x| and |y| below 2^9: the reciprocal of y, scaled to 1 to 2, times x, scaled
 * up as far as it fits. */
static int32_t quotient(const to_div_s8_params *p, int32_t x, int32_t y) {
    if (y < 0) {
        x = -x;
        y = -y;
    }
    y = y > 0 ? y : 1;
    const int32_t bits = width(y);
    const int32_t headroom = 31 - width(x < 0 ? -1 - x : x);
    const uint32_t fraction = ((uint32_t)y << (32 - bits)) - (UINT32_C(1) << 31);
    const int32_t raised = (int32_t)((uint32_t)x << headroom);
    const int32_t unscaled = to_multiply_high(raised, to_one_over_one_plus((int32_t)fraction));
    const int32_t exponent = bits - 1 + headroom - p->output_shift;
    return exponent > 31 ? 0 : to_rounding_shift(to_multiply_high(unscaled, p->output_multiplier), exponent);
}

void to_div_any_s8_c(const to_div_s8_params *p, const int8_t *a, const int8_t *b, int8_t *out) {
    for (int32_t i = 0; i < p->extents[0]; i++) {
        for (int32_t j = 0; j < p->extents[1]; j++) {
            for (int32_t k = 0; k < p->extents[2]; k++) {
                const int8_t *x = a + i * p->a_stride[0] + j * p->a_stride[1] + k * p->a_stride[2];
                const int8_t *y = b + i * p->b_stride[0] + j * p->b_stride[1] + k * p->b_stride[2];
                for (int32_t n = p->extents[3]; n > 0; n--) {
                    *out++ = to_output_s8(quotient(p, *x + p->a_offset, *y + p->b_offset), p->output_offset,
                                          p->activation_min, p->activation_max);
                    x += p->a_stride[3];
                    y += p->b_stride[3];
                }
            }
        }
    }
}
