#include "to_svdf_any_f32_c.h"

#include "to_f32.h"

static float dot(const float *x, const float *w, int32_t n) {
    float acc = 0.0f;
    for (int32_t i = 0; i < n; i++) {
        acc += x[i] * w[i];
    }
    return acc;
}

void to_svdf_any_f32_c(const to_svdf_f32_params *p, const float *in, const float *feature, const float *time,
                       const float *bias, const float *state_in, float *state, float *out) {
    for (int32_t b = 0; b < p->batches; b++, in += p->features) {
        const float *w = feature;
        const float *t = time;
        for (int32_t u = 0; u < p->units; u++) {
            float acc = bias[u];
            for (int32_t r = 0; r < p->rank; r++, w += p->features, t += p->memory) {
                for (int32_t i = 1; i < p->memory; i++) {
                    state[i - 1] = state_in[i];
                }
                state[p->memory - 1] = dot(in, w, p->features);
                acc += dot(state, t, p->memory);
                state += p->memory;
                state_in += p->memory;
            }
            *out++ = to_clamp_f32(acc, p->activation_min, p->activation_max);
        }
    }
}
