#include "to_binary_any_b_c.h"

#include "to_elements.h"
#include "to_requant.h"

/* The low 32 bits of a result to the output's integers. */
static int32_t output(const to_binary_params *p, uint32_t value, int32_t multiplier, int32_t shift) {
    if (p->output_size < 4) {
        value = (uint32_t)to_requantize((int32_t)value, multiplier, shift) + (uint32_t)p->output_offset;
    }
    return to_clamp((int32_t)value, p->activation_min, p->activation_max);
}

static int32_t arithmetic(const to_binary_params *p, int32_t x, int32_t y) {
    const uint32_t difference = (uint32_t)x - (uint32_t)y;
    uint32_t value;
    switch (p->mode) {
    case TO_BINARY_ADD:
        value = (uint32_t)x + (uint32_t)y;
        break;
    case TO_BINARY_SUB:
        value = difference;
        break;
    case TO_BINARY_SQUARED_DIFFERENCE:
        value = difference * difference;
        break;
    case TO_BINARY_PRELU:
        if (x >= 0) {
            return output(p, (uint32_t)x, p->a_multiplier, p->a_shift);
        }
        value = (uint32_t)x * (uint32_t)y;
        break;
    default:
        value = (uint32_t)x * (uint32_t)y;
        break;
    }
    return output(p, value, p->output_multiplier, p->output_shift);
}

static int32_t division(const to_binary_params *p, int32_t x, int32_t y) {
    if (y == -1) { /* the lowest / -1 overflows */
        const uint32_t negated = 0u - (uint32_t)x;
        return p->mode == TO_BINARY_FLOOR_MOD ? 0
               : p->mode == TO_BINARY_DIV     ? output(p, negated, 0, 0)
                                              : (int32_t)negated;
    }
    const int32_t remainder = x % y;
    const int32_t down = remainder != 0 && (remainder < 0) != (y < 0) ? 1 : 0;
    switch (p->mode) {
    case TO_BINARY_DIV:
        return output(p, (uint32_t)(x / y), 0, 0);
    case TO_BINARY_FLOOR_DIV:
        return x / y - down;
    default:
        return remainder + down * y;
    }
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
    case TO_BINARY_DIV:
    case TO_BINARY_FLOOR_DIV:
    case TO_BINARY_FLOOR_MOD:
        return division(p, x, y);
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
