#include "to_log_softmax_any_s8_c.h"

#include "to_reciprocal.h"
#include "to_requant.h"

#define SQRT_HALF 1518500250
#define SQRT_SQRT_HALF 1805811301

/* x * 2^bits, or INT32_MAX; x >= 0. */
static int32_t raise(int32_t x, int32_t bits) {
    return x > INT32_MAX >> bits ? INT32_MAX : (int32_t)((uint32_t)x << bits);
}

/* Leading zeros after the sign bit, of x > 0. */
static int32_t headroom(int32_t x) {
    int32_t bits = 0;
    for (; x < INT32_C(1) << 30; x *= 2) {
        bits++;
    }
    return bits;
}

/* TFLite log_x_for_x_greater_than_or_equal_to_1: from Q12.19, at least 1, to Q5.26. The argument is split
 * into a power of two and r near 2^(-1/4), of which there is a rational approximation. */
static int32_t logarithm(int32_t x) {
    const int32_t scaled = to_multiply_high(x, SQRT_HALF);
    const int32_t bits = headroom(x);
    const int32_t scaled_bits = headroom(scaled);
    const int32_t first = raise(to_multiply_high(raise(x, bits), SQRT_HALF), 1);
    const int32_t second = raise(x, scaled_bits);
    const int32_t r = first < second ? first : second;
    /* Q6.25: whole powers of two, and a quarter more or less. */
    const int32_t first_power = (11 - bits) * (INT32_C(1) << 25) + (INT32_C(1) << 23);
    const int32_t second_power = (12 - scaled_bits) * (INT32_C(1) << 25) - (INT32_C(1) << 23);
    const int32_t power = first_power > second_power ? first_power : second_power;
    const int32_t p = (int32_t)(((uint32_t)r + SQRT_SQRT_HALF + 1u) >> 1);
    const int32_t q = (r - SQRT_SQRT_HALF) * 2;
    const int32_t square = to_multiply_high(q, q);
    const int32_t numerator =
        to_multiply_high(q, r) + to_multiply_high(to_multiply_high(q, square), 117049297);
    const int32_t denominator = to_multiply_high(p, 1057819769 + q + to_multiply_high(square, 127690142)) +
                                to_multiply_high(q, 638450708);
    const int32_t fraction =
        to_multiply_high(to_rounding_shift(numerator, 6), to_one_over_one_plus(denominator));
    return (to_multiply_high(power, 1488522236) + fraction) * 2;
}

static void row(const to_log_softmax_s8_params *p, const int8_t *in, const int32_t *exp_table, int8_t *out) {
    int32_t largest = INT8_MIN;
    for (int32_t i = 0; i < p->depth; i++) {
        largest = in[i] > largest ? in[i] : largest;
    }
    int32_t sum = 0;
    for (int32_t i = 0; i < p->depth; i++) {
        sum += exp_table[largest - in[i]];
    }
    const int32_t log_sum = logarithm(sum);
    const int32_t end = to_requantize(INT32_MIN + log_sum, p->back_multiplier, p->back_shift);
    const int32_t lowest = end > -p->radius - 1 ? end : -p->radius - 1;
    for (int32_t i = 0; i < p->depth; i++) {
        const int32_t step = in[i] - largest;
        int32_t value = INT8_MIN;
        if (step > lowest) {
            const int32_t difference = to_requantize(step, p->multiplier, p->shift) - log_sum;
            value = to_clamp(to_rounding_shift(difference, 22) + 127, INT8_MIN, INT8_MAX);
        }
        out[i] = (int8_t)value;
    }
}

void to_log_softmax_any_s8_c(const to_log_softmax_s8_params *p, const int8_t *in, const int32_t *exp_table,
                             int8_t *out) {
    for (int32_t i = 0; i < p->rows; i++, in += p->depth, out += p->depth) {
        row(p, in, exp_table, out);
    }
}
