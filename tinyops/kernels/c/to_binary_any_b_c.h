/* Elementwise function of two tensors with broadcasting, integers of 8, 16 and 32 bits; generic C. */
#ifndef TINYOPS_TO_BINARY_ANY_B_C_H
#define TINYOPS_TO_BINARY_ANY_B_C_H

#include <stdint.h>

/* Values of `mode`. The first four take elements less their zero points, PRELU takes the slope as b, the
 * others take operands as `scaled` says: a comparison gives 0 or 1, MINIMUM and MAXIMUM the element as it is.
 * DIV rounds towards 0, FLOOR_DIV down, FLOOR_MOD has the sign of b; b != 0, lowest / -1 wraps. */
enum {
    TO_BINARY_ADD = 0,
    TO_BINARY_SUB = 1,
    TO_BINARY_SQUARED_DIFFERENCE = 2,
    TO_BINARY_MUL = 3,
    TO_BINARY_PRELU = 4,
    TO_BINARY_MINIMUM = 5,
    TO_BINARY_MAXIMUM = 6,
    TO_BINARY_EQUAL = 7,
    TO_BINARY_NOT_EQUAL = 8,
    TO_BINARY_LESS = 9,
    TO_BINARY_LESS_EQUAL = 10,
    TO_BINARY_DIV = 11,
    TO_BINARY_FLOOR_DIV = 12,
    TO_BINARY_FLOOR_MOD = 13
};

/* Extents are >= 1, outermost first; strides are in elements, 0 where an input is broadcast; sizes are the
 * bytes of an element: 1, 2 or 4. Where `scaled` is not 0, an operand is (element + offset) * 2^left_shift,
 * rescaled by its multiplier and shift; otherwise it is element + offset. The result of the first five modes
 * is rescaled by output_multiplier and output_shift (PRELU: values >= 0 by those of a), output_offset is
 * added, and it is clamped. Multipliers and shifts as to_requantize takes them. An output of 4 bytes is not
 * rescaled: the low 32 bits of the result, clamped (of DIV, too). */
typedef struct {
    int32_t extents[4];
    int32_t a_stride[4];
    int32_t b_stride[4];
    int32_t a_multiplier;
    int32_t b_multiplier;
    int32_t output_multiplier;
    int32_t output_offset; /* zero point of the output */
    int32_t activation_min;
    int32_t activation_max;
    int16_t a_offset;
    int16_t b_offset;
    int8_t mode;
    int8_t scaled;
    int8_t left_shift;
    int8_t a_shift;
    int8_t b_shift;
    int8_t output_shift;
    int8_t a_size;
    int8_t b_size;
    int8_t output_size;
} to_binary_params;

/* out: [extents[0]][extents[1]][extents[2]][extents[3]].
 * Bound: rescaled elements have 8 or 16 bits, |element + offset| * 2^left_shift < 2^30 and scales of operands
 * are at most 1/2, so sums, differences, their squares and products fit in 32 bits.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `a` and `b` as far as Operator.overlap allows. */
void to_binary_any_b_c(const to_binary_params *p, const void *a, const void *b, void *out);

#endif
