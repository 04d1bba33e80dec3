#include "to_dequantize_any_f32_c.h"

#include "to_elements.h"

void to_dequantize_any_f32_c(const to_dequantize_f32_params *p, const void *in, float *out) {
    for (int32_t i = 0; i < p->n; i++) {
        const int32_t value = to_load(in, i, p->input_size) & p->mask;
        out[i] = p->scale * (float)(value - p->zero_point);
    }
}
