/* CBOR (RFC 8949), definite lengths and shortest integers; floats are always of single precision. */
#ifndef TINYOPS_TO_CBOR_H
#define TINYOPS_TO_CBOR_H

#include <stddef.h>
#include <stdint.h>

/* Of all bytes that are written only those in the window [skip, skip + size) are stored: a document is
 * produced again for every block of it, in constant memory. `size` may be 0 to learn the total. */
typedef struct {
    uint8_t *window;
    uint32_t skip;
    uint32_t size;
    uint32_t total;
} to_cbor;

void to_cbor_start(to_cbor *out, uint8_t *window, uint32_t skip, uint32_t size);
void to_cbor_uint(to_cbor *out, uint64_t value);
void to_cbor_int(to_cbor *out, int32_t value);
void to_cbor_float(to_cbor *out, float value);
void to_cbor_null(to_cbor *out);
void to_cbor_true(to_cbor *out);
void to_cbor_bytes(to_cbor *out, const uint8_t *bytes, size_t length);
void to_cbor_text(to_cbor *out, const char *text);
void to_cbor_utf8(to_cbor *out, const uint8_t *text, size_t length);
void to_cbor_item(to_cbor *out, const uint8_t *bytes, size_t length); /* encoded already */
void to_cbor_array(to_cbor *out, uint32_t items);
void to_cbor_map(to_cbor *out, uint32_t pairs);

#endif
