/* The delta decoder. The first byte says how the rest is fed: its upper bits the size of the pieces, bit 0
 * whether the header is made to fit the base, without which no fuzzer gets any further. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tinyops/to_delta.h"

#define BASE_BYTES 300u
#define LIMIT 5000u

typedef struct {
    uint32_t position;
    uint32_t sum;
} sink;

static int take(void *context, uint32_t offset, const uint8_t *data, uint32_t size) {
    sink *out = context;
    if (offset != out->position || size == 0 || size > TO_DELTA_BLOCK || size > LIMIT - offset) {
        abort();
    }
    for (uint32_t i = 0; i < size; i++) {
        out->sum = out->sum * 31u + data[i];
    }
    out->position += size;
    return 0;
}

static to_delta_result decode(const uint8_t *base, const uint8_t *digest, const uint8_t *data, uint32_t size,
                              uint32_t piece, sink *out) {
    static to_delta delta;
    memset(out, 0, sizeof *out);
    to_delta_start(&delta, base, BASE_BYTES, digest, LIMIT, take, out);
    to_delta_result result = TO_DELTA_OK;
    for (uint32_t at = 0; at < size; at += piece) {
        uint32_t count = size - at < piece ? size - at : piece;
        uint8_t *exact = malloc(count); /* so that a read behind the end is found */
        if (exact == NULL) {
            abort();
        }
        memcpy(exact, data + at, count);
        result = to_delta_feed(&delta, exact, count);
        free(exact);
    }
    to_delta_result end = to_delta_end(&delta);
    if ((result != TO_DELTA_OK && end != result) ||
        (end == TO_DELTA_OK && (out->position == 0 || out->position != to_delta_size(&delta)))) {
        abort();
    }
    return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t base[BASE_BYTES];
    static uint8_t digest[32];
    sink pieces, whole;
    if (size < 1) {
        return 0;
    }
    for (uint32_t i = 0; i < BASE_BYTES; i++) {
        base[i] = (uint8_t)(i * 37u);
    }
    memset(digest, 0x5A, sizeof digest);
    uint32_t length = (uint32_t)(size - 1);
    uint8_t *delta = malloc(length + 1u);
    if (delta == NULL) {
        abort();
    }
    memcpy(delta, data + 1, length);
    if ((data[0] & 1u) && length >= TO_DELTA_HEADER_BYTES) {
        static const uint8_t start[8] = {'T', 'O', 'D', '1', 1, 1, 0, 0};
        uint8_t lanes = delta[5];
        memcpy(delta, start, sizeof start);
        delta[5] = lanes;
        delta[8] = BASE_BYTES & 0xFFu;
        delta[9] = BASE_BYTES >> 8;
        delta[10] = delta[11] = 0;
        memcpy(delta + 16, digest, sizeof digest);
    }
    to_delta_result first = decode(base, digest, delta, length, 1u + (data[0] >> 1), &pieces);
    if (decode(base, digest, delta, length, length + 1u, &whole) != first ||
        pieces.position != whole.position || pieces.sum != whole.sum) {
        abort();
    }
    free(delta);
    return 0;
}
