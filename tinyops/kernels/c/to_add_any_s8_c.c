#include "to_add_any_s8_c.h"

#include "to_requant.h"

#define INPUT_SCALE (INT32_C(1) << 20)

/* n outputs; inputs step by a_step and b_step. */
static void run(const to_add_s8_params *p, const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step,
                int8_t *out, int32_t n) {
    int32_t at_a = 0;
    int32_t at_b = 0;
    for (int32_t i = 0; i < n; i++, at_a += a_step, at_b += b_step) {
        const int32_t x = to_requantize((a[at_a] + p->a_offset) * INPUT_SCALE, p->a_multiplier, p->a_shift);
        const int32_t y = to_requantize((b[at_b] + p->b_offset) * INPUT_SCALE, p->b_multiplier, p->b_shift);
        out[i] = to_output_s8(to_requantize(x + y, p->output_multiplier, p->output_shift), p->output_offset,
                              p->activation_min, p->activation_max);
    }
}

void to_add_any_s8_c(const to_add_s8_params *p, const int8_t *a, const int8_t *b, int8_t *out) {
    const int32_t a_step = p->a_stride[3];
    const int32_t b_step = p->b_stride[3];
    int32_t outer[3] = {p->extents[0], p->extents[1], p->extents[2]};
    int32_t n = p->extents[3];
    /* Join outer dimensions to the run as long as both inputs go on evenly: all of them without broadcasting.
     */
    for (int32_t d = 2; d >= 0; d--) {
        if (outer[d] != 1 && (p->a_stride[d] != a_step * n || p->b_stride[d] != b_step * n)) {
            break;
        }
        n *= outer[d];
        outer[d] = 1;
    }
    for (int32_t i = 0; i < outer[0]; i++) {
        for (int32_t j = 0; j < outer[1]; j++) {
            for (int32_t k = 0; k < outer[2]; k++, out += n) {
                run(p, a + i * p->a_stride[0] + j * p->a_stride[1] + k * p->a_stride[2], a_step,
                    b + i * p->b_stride[0] + j * p->b_stride[1] + k * p->b_stride[2], b_step, out, n);
            }
        }
    }
}
