#include "to_truncate_any_f32_c.h"

#include "to_elements.h"

/* 2^31; the floats below it are at most 2^31 - 128. */
#define LIMIT 2147483648.0f

static int32_t truncated(float x) {
    if (x >= LIMIT) {
        return INT32_MAX;
    }
    if (x < -LIMIT) {
        return INT32_MIN;
    }
    return x == x ? (int32_t)x : 0;
}

void to_truncate_any_f32_c(const to_truncate_f32_params *p, const float *in, void *out) {
    for (int32_t i = 0; i < p->n; i++) {
        to_store(out, i, p->output_size, truncated(in[i]));
    }
}
