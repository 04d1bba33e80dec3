/* The cores of convolutions and dense layers on Armv7E-M with DSP: up to four rows of activations times
 * packed weights. */
#ifndef TINYOPS_TO_GEMM_ARMV7EM_H
#define TINYOPS_TO_GEMM_ARMV7EM_H

#include <stdint.h>
#include <string.h>

#define TO_GEMM_ROWS_MAX 4

/* The assembly knows the order and the size of its fields. */
typedef struct {
    const int16_t *patch; /* the rows, interleaved and expanded to int16 */
    const int16_t *patch_end;
    const int32_t *channels;
    const void *weights;
    int8_t *out;
    int32_t row[TO_GEMM_ROWS_MAX -
                1];  /* offset of the outputs of each row but the first: 0 where there is none */
    int32_t pairs;   /* of channels */
    int32_t entry;   /* bytes of the loop's first pass */
    int32_t odd;     /* one more channel */
    int32_t clamped; /* the zero point is not above the lower bound */
    int32_t start[TO_GEMM_ROWS_MAX]; /* of each row -128 times the sum of its taps; of int8 weights alone */
} to_gemm;

/* One way to multiply: how many rows at a time, how they are laid out, and the core. */
typedef struct {
    int32_t rows;
    int32_t step_taps;  /* taps of one step of the loop */
    int32_t step_bytes; /* its code */
    int32_t unrolled;   /* steps of a pass */
    uint32_t *(*expand)(uint32_t *to, const uint32_t *words, int32_t *sums);
    void (*multiply)(const to_gemm *g);
} to_gemm_core;

void to_gemm_s8_armv7em(const to_gemm *g);
void to_gemm16_s8_armv7em(const to_gemm *g);

/* Of four int8 the first and the third, and the second and the fourth, as pairs of int16. */
static inline uint32_t to_even(uint32_t word) {
    uint32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(word));
    return pair;
}

static inline uint32_t to_odd(uint32_t word) {
    uint32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
}

/* sum + the two int16 of a pair */
static inline int32_t to_add_pair(int32_t sum, uint32_t pair) {
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(pair), "r"(0x00010001u));
    return sum;
}

static inline uint32_t to_load_word(const int8_t *from) {
    uint32_t word;
    memcpy(&word, from, 4);
    return word;
}

static inline uint32_t to_load_bytes(const int8_t *from, int32_t n) {
    uint32_t word = 0;
    for (int32_t i = 0; i < n; i++) {
        word |= (uint32_t)(uint8_t)from[i] << 8 * i;
    }
    return word;
}

#endif
