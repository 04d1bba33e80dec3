#include "to_convert_any_b_c.h"

#include "to_elements.h"
#include "to_requant.h"

void to_convert_any_b_c(const to_convert_b_params *p, const void *in, void *out) {
    for (int32_t i = 0; i < p->n; i++) {
        int32_t value = to_load(in, i, p->input_size);
        if (p->scaled) {
            const int32_t difference = (int32_t)((uint32_t)value - (uint32_t)p->input_zero_point);
            const uint32_t rescaled = (uint32_t)to_requantize(difference, p->multiplier, p->shift);
            value = to_clamp((int32_t)(rescaled + (uint32_t)p->output_zero_point), p->low, p->high);
        }
        to_store(out, i, p->output_size, value);
    }
}
