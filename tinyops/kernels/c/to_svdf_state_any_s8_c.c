#include "to_svdf_state_any_s8_c.h"

#include "to_dot.h"
#include "to_requant.h"

/* The newest activation of one filter. */
static int32_t newest(const to_svdf_state_s8_params *p, int32_t bias, const int8_t *x, const int8_t *w) {
    const int32_t scaled = to_requantize(to_dot_s8(bias, x, w, p->features), p->multiplier, p->shift);
    const int32_t low = p->state_is_int16 ? INT16_MIN : INT8_MIN;
    const int32_t high = p->state_is_int16 ? INT16_MAX : INT8_MAX;
    return p->state_zero_point + to_clamp(scaled, low, high);
}

/* Keeps the low bits of a value that the zero point moves out of range, as TFLite does. */
static void store_s8(const int8_t *from, int8_t *to, int32_t n, int32_t value) {
    for (int32_t i = 1; i < n; i++) {
        *to++ = from[i];
    }
    *to = (int8_t)(uint8_t)((uint32_t)value & 0xFFu);
}

static void store_s16(const int16_t *from, int16_t *to, int32_t n, int32_t value) {
    for (int32_t i = 1; i < n; i++) {
        *to++ = from[i];
    }
    *to = (int16_t)(uint16_t)((uint32_t)value & 0xFFFFu);
}

void to_svdf_state_any_s8_c(const to_svdf_state_s8_params *p, const int8_t *in, const int8_t *weights,
                            const int32_t *bias, const void *state, void *out) {
    int32_t at = 0;
    for (int32_t b = 0; b < p->batches; b++, in += p->features) {
        for (int32_t f = 0; f < p->filters; f++, at += p->memory) {
            const int32_t value = newest(p, bias[f], in, weights + f * p->features);
            if (p->state_is_int16) {
                store_s16((const int16_t *)state + at, (int16_t *)out + at, p->memory, value);
            } else {
                store_s8((const int8_t *)state + at, (int8_t *)out + at, p->memory, value);
            }
        }
    }
}
