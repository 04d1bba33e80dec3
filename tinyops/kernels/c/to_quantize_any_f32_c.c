#include "to_quantize_any_f32_c.h"

#include "to_elements.h"
#include "to_requant.h"

/* Beyond this all values are clamped, whatever the zero point. */
#define LARGEST 1048576.0f

/* Ties away from zero; exact, as the fraction of a float is a float. */
static int32_t rounded(float x) {
    const int32_t whole = (int32_t)x;
    const float fraction = x - (float)whole;
    return whole + (fraction >= 0.5f) - (fraction <= -0.5f);
}

void to_quantize_any_f32_c(const to_quantize_f32_params *p, const float *in, void *out) {
    for (int32_t i = 0; i < p->n; i++) {
        const float x = in[i] / p->scale;
        const float inside = x > -LARGEST ? (x < LARGEST ? x : LARGEST) : -LARGEST;
        to_store(out, i, p->output_size, to_clamp(rounded(inside) + p->zero_point, p->low, p->high));
    }
}
