/* Deltas between two images of the same structure, decoded as they arrive, in constant memory.
 *
 * A delta is a header and a stream of arithmetic-coded residuals:
 *
 *   0  "TOD1"
 *   4  method (1), lanes (1, 2 or 4), two zero bytes
 *   8  bytes of the base, bytes of the result: uint32, little-endian
 *   16 SHA-256 of the base, SHA-256 of the result
 *   80 the stream
 *
 * Byte i of the result is byte i of the base (0 behind its end) plus residual i modulo 256; residuals are in
 * -128..127. A residual is its class n, the number of bits of its magnitude, in unary (n ones, then a zero
 * unless n is 8), then the n - 1 bits below the magnitude's highest one, then its sign (1: negative); class 8
 * is -128 and has neither. The bits are coded by a binary range coder (G. N. N. Martin 1979; bit models and
 * carry propagation as in LZMA, with 15 bits of probability and rate 1/32): class bit k has one model for
 * each (i modulo lanes, class of the residual before, at most 3, k); the bit after the class has one for each
 * class; all others are equally likely. The last four bytes of the stream leave the decoder's code at exactly
 * 0.
 *
 * The decoder refuses a delta for another base, a result over the limit, and everything that the encoder does
 * not write: bytes behind the end, a stream that ends early or elsewhere. It does not hash: the caller
 * compares to_delta_digest with what is in flash in the end. */
#ifndef TINYOPS_TO_DELTA_H
#define TINYOPS_TO_DELTA_H

#include <stdint.h>

#define TO_DELTA_HEADER_BYTES 80u
#define TO_DELTA_BLOCK 32u /* bytes of the result that are handed over at once */
#define TO_DELTA_LANES 4u
#define TO_DELTA_HISTORY 4u
#define TO_DELTA_MODELS (8u * (TO_DELTA_LANES * TO_DELTA_HISTORY + 1u))

typedef enum {
    TO_DELTA_OK,
    TO_DELTA_MALFORMED,
    TO_DELTA_BASE,  /* it was made for another base */
    TO_DELTA_SIZE,  /* the result is empty or larger than the limit */
    TO_DELTA_SHORT, /* to_delta_end: the stream is not complete */
    TO_DELTA_OUTPUT /* the callback failed */
} to_delta_result;

/* Takes `size` (at most TO_DELTA_BLOCK) bytes of the result at `offset`, in order; 0: success. */
typedef int (*to_delta_output)(void *context, uint32_t offset, const uint8_t *data, uint32_t size);

typedef struct {
    const uint8_t *base;
    const uint8_t *base_digest;
    uint32_t base_bytes;
    uint32_t limit;
    to_delta_output output;
    void *context;

    uint32_t received; /* bytes of the delta */
    uint32_t size;     /* of the result; 0 until the header is complete */
    uint32_t position; /* bytes of the result that are decoded */
    uint32_t range;
    uint32_t code;
    uint8_t result; /* to_delta_result: a failure is for ever */
    uint8_t lane_mask;
    uint8_t history;    /* class of the last residual, at most 3 */
    uint8_t class_bits; /* ones of the present residual's class so far */
    uint8_t missing;    /* bits of its magnitude and sign that are missing; 0: the class is not complete */
    uint8_t magnitude;
    uint8_t block[TO_DELTA_HEADER_BYTES]; /* the header; then up to TO_DELTA_BLOCK bytes of the result */
    uint8_t digest[32];                   /* of the result */
    uint16_t models[TO_DELTA_MODELS];     /* probabilities of zeros, in 1 / 32768 */
} to_delta;

/* Begins a delta for the image of `base_bytes` bytes at `base`, whose SHA-256 is the 32 bytes at
 * `base_digest` (both stay with the caller until the end), with a result of at most `limit` bytes. */
void to_delta_start(to_delta *delta, const uint8_t *base, uint32_t base_bytes, const uint8_t *base_digest,
                    uint32_t limit, to_delta_output output, void *context);

/* Takes the next bytes of the delta. */
to_delta_result to_delta_feed(to_delta *delta, const uint8_t *data, uint32_t size);

/* After the last byte: OK when the whole result was handed over. */
to_delta_result to_delta_end(const to_delta *delta);

/* SHA-256 of the result and its size as the delta promises them; 0 while the header is not complete. */
static inline uint32_t to_delta_size(const to_delta *delta) { return delta->size; }
static inline const uint8_t *to_delta_digest(const to_delta *delta) { return delta->digest; }

#endif
