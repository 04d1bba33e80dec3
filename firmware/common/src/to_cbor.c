#include "tinyops/to_cbor.h"

#include <string.h>

enum { MAJOR_UINT, MAJOR_NEGATIVE, MAJOR_BYTES, MAJOR_TEXT, MAJOR_ARRAY, MAJOR_MAP };

#define FLOAT32 0xFAu
#define TRUE 0xF5u
#define NIL 0xF6u

static void put(to_cbor *out, uint8_t byte) {
    if (out->total >= out->skip && out->total - out->skip < out->size) {
        out->window[out->total - out->skip] = byte;
    }
    out->total++;
}

static void put_big_endian(to_cbor *out, uint64_t value, unsigned bytes) {
    while (bytes-- > 0) {
        put(out, (uint8_t)(value >> (8 * bytes)));
    }
}

static void put_head(to_cbor *out, unsigned major, uint64_t value) {
    unsigned first = major << 5;
    if (value < 24) {
        put(out, (uint8_t)(first | (unsigned)value));
        return;
    }
    unsigned log2 = value <= UINT8_MAX ? 0u : value <= UINT16_MAX ? 1u : value <= UINT32_MAX ? 2u : 3u;
    put(out, (uint8_t)(first | (24u + log2)));
    put_big_endian(out, value, 1u << log2);
}

void to_cbor_start(to_cbor *out, uint8_t *window, uint32_t skip, uint32_t size) {
    out->window = window;
    out->skip = skip;
    out->size = size;
    out->total = 0;
}

void to_cbor_uint(to_cbor *out, uint64_t value) { put_head(out, MAJOR_UINT, value); }

void to_cbor_int(to_cbor *out, int32_t value) {
    if (value < 0) {
        put_head(out, MAJOR_NEGATIVE, (uint64_t)(-1 - (int64_t)value));
    } else {
        put_head(out, MAJOR_UINT, (uint64_t)value);
    }
}

void to_cbor_float(to_cbor *out, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put(out, FLOAT32);
    put_big_endian(out, bits, 4);
}

void to_cbor_null(to_cbor *out) { put(out, NIL); }

void to_cbor_true(to_cbor *out) { put(out, TRUE); }

void to_cbor_item(to_cbor *out, const uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        put(out, bytes[i]);
    }
}

static void put_string(to_cbor *out, unsigned major, const uint8_t *bytes, size_t length) {
    put_head(out, major, length);
    to_cbor_item(out, bytes, length);
}

void to_cbor_bytes(to_cbor *out, const uint8_t *bytes, size_t length) {
    put_string(out, MAJOR_BYTES, bytes, length);
}

void to_cbor_utf8(to_cbor *out, const uint8_t *text, size_t length) {
    put_string(out, MAJOR_TEXT, text, length);
}

void to_cbor_text(to_cbor *out, const char *text) { to_cbor_utf8(out, (const uint8_t *)text, strlen(text)); }

void to_cbor_array(to_cbor *out, uint32_t items) { put_head(out, MAJOR_ARRAY, items); }

void to_cbor_map(to_cbor *out, uint32_t pairs) { put_head(out, MAJOR_MAP, pairs); }
