#include "to_unary_any_f32_c.h"

#include "to_f32.h"

/* Largest integer that is not above x: floats of 2^23 or more are integers. */
static float floor_f32(float x) {
    if (!(x > -8388608.0f && x < 8388608.0f)) {
        return x;
    }
    const float whole = (float)(int32_t)x;
    return whole > x ? whole - 1.0f : whole;
}

static float round_f32(float x) {
    const float low = floor_f32(x);
    const float rest = x - low;
    if (rest == 0.5f) {
        return low - 2.0f * floor_f32(0.5f * low) > 0.5f ? low + 1.0f : low;
    }
    return rest > 0.5f ? low + 1.0f : low;
}

static float function(int32_t mode, float alpha, float x) {
    switch (mode) {
    case TO_UNARY_F32_ABS:
        return x < 0.0f ? -x : x;
    case TO_UNARY_F32_NEG:
        return -x;
    case TO_UNARY_F32_SQUARE:
        return x * x;
    case TO_UNARY_F32_FLOOR:
        return floor_f32(x);
    case TO_UNARY_F32_CEIL:
        return -floor_f32(-x);
    case TO_UNARY_F32_ROUND:
        return round_f32(x);
    case TO_UNARY_F32_HARD_SWISH:
        return x * to_clamp_f32(x + 3.0f, 0.0f, 6.0f) / 6.0f;
    default:
        return x > 0.0f ? x : x * alpha;
    }
}

void to_unary_any_f32_c(const to_unary_f32_params *p, const float *in, float *out) {
    for (int32_t i = 0; i < p->n; i++) {
        out[i] = function(p->mode, p->alpha, in[i]);
    }
}
