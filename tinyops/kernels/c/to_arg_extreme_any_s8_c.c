#include "to_arg_extreme_any_s8_c.h"

void to_arg_extreme_any_s8_c(const to_arg_extreme_s8_params *p, const int8_t *in, int32_t *out) {
    for (int32_t i = 0; i < p->outer; i++, in += p->axis * p->inner) {
        for (int32_t j = 0; j < p->inner; j++) {
            int32_t found = in[j] ^ p->flip;
            int32_t position = 0;
            for (int32_t k = 1; k < p->axis; k++) {
                const int32_t value = in[k * p->inner + j] ^ p->flip;
                if (value > found) {
                    found = value;
                    position = k;
                }
            }
            *out++ = position;
        }
    }
}
