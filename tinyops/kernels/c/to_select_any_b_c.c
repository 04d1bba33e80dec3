#include "to_select_any_b_c.h"

#include "to_elements.h"

static int32_t start(const int32_t *stride, int32_t i, int32_t j, int32_t k) {
    return i * stride[0] + j * stride[1] + k * stride[2];
}

void to_select_any_b_c(const to_select_b_params *p, const uint8_t *condition, const void *a, const void *b,
                       void *out) {
    int32_t at = 0;
    for (int32_t i = 0; i < p->extents[0]; i++) {
        for (int32_t j = 0; j < p->extents[1]; j++) {
            for (int32_t k = 0; k < p->extents[2]; k++) {
                const uint8_t *holds = condition + start(p->condition_stride, i, j, k);
                const int32_t at_a = start(p->a_stride, i, j, k);
                const int32_t at_b = start(p->b_stride, i, j, k);
                for (int32_t n = 0; n < p->extents[3]; n++) {
                    const int32_t value = holds[n * p->condition_stride[3]]
                                              ? to_load(a, at_a + n * p->a_stride[3], p->element_size)
                                              : to_load(b, at_b + n * p->b_stride[3], p->element_size);
                    to_store(out, at++, p->element_size, value);
                }
            }
        }
    }
}
