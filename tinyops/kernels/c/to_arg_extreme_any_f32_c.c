#include "to_arg_extreme_any_f32_c.h"

void to_arg_extreme_any_f32_c(const to_arg_extreme_f32_params *p, const float *in, int32_t *out) {
    for (int32_t i = 0; i < p->outer; i++, in += p->axis * p->inner) {
        for (int32_t j = 0; j < p->inner; j++) {
            float found = in[j];
            int32_t position = 0;
            for (int32_t k = 1; k < p->axis; k++) {
                const float value = in[k * p->inner + j];
                if (p->smallest ? value < found : value > found) {
                    found = value;
                    position = k;
                }
            }
            *out++ = position;
        }
    }
}
