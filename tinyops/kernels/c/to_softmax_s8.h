/* What the softmax kernels with int8 inputs share. */
#ifndef TINYOPS_TO_SOFTMAX_S8_H
#define TINYOPS_TO_SOFTMAX_S8_H

#include "to_reciprocal.h"
#include "to_requant.h"

typedef struct {
    int32_t rows;
    int32_t depth;
} to_softmax_s8_params;

/* The sum of a row's exps as its reciprocal: probability = scale * exp / 2^(exponent + 31), in units of 1. */
typedef struct {
    int32_t largest;
    int32_t scale;
    int32_t exponent;
} to_softmax_sum;

/* exp_table as the kernels have it; depth < 2^12, so that the sum in Q12.19 is below 2^31. */
static inline to_softmax_sum to_softmax_sum_s8(const int8_t *in, int32_t depth, const int32_t *exp_table) {
    int32_t largest = INT8_MIN;
    for (int32_t i = 0; i < depth; i++) {
        largest = in[i] > largest ? in[i] : largest;
    }
    uint32_t sum = 0; /* Q12.19, at least 1.0: the largest value's own term */
    for (int32_t i = 0; i < depth; i++) {
        sum += (uint32_t)to_rounding_shift(exp_table[largest - in[i]], 12);
    }
    int32_t exponent = 12;
    for (; sum < UINT32_C(1) << 31; sum <<= 1) {
        exponent--;
    }
    const to_softmax_sum result = {largest, to_one_over_one_plus((int32_t)(sum - (UINT32_C(1) << 31))),
                                   exponent};
    return result;
}

#endif
