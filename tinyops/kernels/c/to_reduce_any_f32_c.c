#include "to_reduce_any_f32_c.h"

#define LARGEST 3.40282347e+38f

static float combine(int32_t mode, float acc, float x) {
    switch (mode) {
    case TO_REDUCE_F32_MAX:
        return x > acc ? x : acc;
    case TO_REDUCE_F32_MIN:
        return x < acc ? x : acc;
    default:
        return acc + x;
    }
}

/* Of the elements of one output; x is the first of them. */
static float reduce(const to_reduce_f32_params *p, const float *x) {
    const int32_t step = p->reduced_strides[2];
    float acc = p->mode == TO_REDUCE_F32_MAX ? -LARGEST : p->mode == TO_REDUCE_F32_MIN ? LARGEST : 0.0f;
    for (int32_t i = 0; i < p->reduced_extents[0]; i++) {
        for (int32_t j = 0; j < p->reduced_extents[1]; j++) {
            int32_t at = i * p->reduced_strides[0] + j * p->reduced_strides[1];
            for (int32_t k = p->reduced_extents[2]; k > 0; k--, at += step) {
                acc = combine(p->mode, acc, x[at]);
            }
        }
    }
    return acc;
}

void to_reduce_any_f32_c(const to_reduce_f32_params *p, const float *in, float *out) {
    const int32_t elements = p->reduced_extents[0] * p->reduced_extents[1] * p->reduced_extents[2];
    const float count = p->mode == TO_REDUCE_F32_MEAN ? (float)elements : 1.0f;
    for (int32_t i = 0; i < p->kept_extents[0]; i++) {
        for (int32_t j = 0; j < p->kept_extents[1]; j++) {
            int32_t at = i * p->kept_strides[0] + j * p->kept_strides[1];
            for (int32_t k = p->kept_extents[2]; k > 0; k--, at += p->kept_strides[2]) {
                *out++ = reduce(p, in + at) / count;
            }
        }
    }
}
