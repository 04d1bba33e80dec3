#include "to_binary_any_b_c.h"

#include "to_elements.h"
#include "to_requant.h"

static int32_t output(const to_binary_params *p, int32_t value, int32_t multiplier, int32_t shift) {
    const uint32_t scaled = (uint32_t)to_requantize(value, multiplier, shift);
    return to_clamp((int32_t)(scaled + (uint32_t)p->output_offset), p->activation_min, p->activation_max);
}

static int32_t arithmetic(const to_binary_params *p, int32_t x, int32_t y) {
    int32_t value;
    switch (p->mode) {
    case TO_BINARY_ADD:
        value = x + y;
        break;
    case TO_BINARY_SUB:
        value = x - y;
        break;
    case TO_BINARY_SQUARED_DIFFERENCE:
        value = (x - y) * (x - y);
        break;
    case TO_BINARY_PRELU:
        if (x >= 0) {
            return output(p, x, p->a_multiplier, p->a_shift);
        }
        value = x * y;
        break;
    default:
        value = x * y;
        break;
    }
    return output(p, value, p->output_multiplier, p->output_shift);
}

static int32_t function(const to_binary_params *p, int32_t x, int32_t y) {
    switch (p->mode) {
    case TO_BINARY_MINIMUM:
        return x < y ? x : y;
    case TO_BINARY_MAXIMUM:
        return x > y ? x : y;
    case TO_BINARY_EQUAL:
        return x == y;
    case TO_BINARY_NOT_EQUAL:
        return x != y;
    case TO_BINARY_LESS:
        return x < y;
    case TO_BINARY_LESS_EQUAL:
        return x <= y;
    default:
        return arithmetic(p, x, y);
    }
}

static int32_t element(const to_binary_params *p, int32_t x, int32_t y) {
    x += p->a_offset;
    y += p->b_offset;
    if (p->scaled) {
        x = to_requantize(x * (INT32_C(1) << p->left_shift), p->a_multiplier, p->a_shift);
        y = to_requantize(y * (INT32_C(1) << p->left_shift), p->b_multiplier, p->b_shift);
    }
    return function(p, x, y);
}

void to_binary_any_b_c(const to_binary_params *p, const void *a, const void *b, void *out) {
    int32_t at = 0;
    for (int32_t i = 0; i < p->extents[0]; i++) {
        for (int32_t j = 0; j < p->extents[1]; j++) {
            for (int32_t k = 0; k < p->extents[2]; k++) {
                int32_t at_a = i * p->a_stride[0] + j * p->a_stride[1] + k * p->a_stride[2];
                int32_t at_b = i * p->b_stride[0] + j * p->b_stride[1] + k * p->b_stride[2];
                for (int32_t n = p->extents[3]; n > 0; n--) {
                    const int32_t x = to_load(a, at_a, p->a_size);
                    const int32_t y = to_load(b, at_b, p->b_size);
                    to_store(out, at++, p->output_size, element(p, x, y));
                    at_a += p->a_stride[3];
                    at_b += p->b_stride[3];
                }
            }
        }
    }
}
