/* Arithmetic that float32 kernels share. */
#ifndef TINYOPS_TO_F32_H
#define TINYOPS_TO_F32_H

/* NaN stays NaN. */
static inline float to_clamp_f32(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
}

#endif
