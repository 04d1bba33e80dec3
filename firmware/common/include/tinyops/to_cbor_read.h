/* A strict reader of deterministically encoded CBOR (RFC 8949, section 4.2.1): definite lengths, shortest
 * integers, map keys unique and in bytewise order. Floats and simple values other than false, true and null
 * are refused.
 *
 * Nothing is copied: what is read is a span of the input. The first error sticks: from then on every call
 * returns zero or an empty span, so that a caller may read a whole structure and look at `error` once. No
 * count that the input claims is believed before as many bytes are there. */
#ifndef TINYOPS_TO_CBOR_READ_H
#define TINYOPS_TO_CBOR_READ_H

#include <stdint.h>

#include "tinyops/to_reason.h"

/* Arrays, maps and tags within one another that to_cbor_skip accepts. */
#define TO_CBOR_DEPTH_MAX 8u

typedef struct to_span {
    const uint8_t *bytes;
    uint32_t size;
} to_span;

typedef enum {
    TO_CBOR_UINT,
    TO_CBOR_NEGATIVE,
    TO_CBOR_BYTES,
    TO_CBOR_TEXT,
    TO_CBOR_ARRAY,
    TO_CBOR_MAP,
    TO_CBOR_TAG,
    TO_CBOR_SIMPLE,
    TO_CBOR_END /* no more bytes, or an error */
} to_cbor_type;

typedef struct to_cbor_reader {
    const uint8_t *at;
    const uint8_t *end;
    to_reason error; /* TO_REASON_OK, _TRUNCATED, _MALFORMED_CBOR, _NOT_DETERMINISTIC or _NESTING */
} to_cbor_reader;

static inline to_span to_span_of(const uint8_t *bytes, uint32_t size) {
    to_span span = {bytes, size};
    return span;
}

/* Whether both have the same bytes; not in constant time. */
int to_span_equal(to_span a, to_span b);

void to_cbor_read(to_cbor_reader *reader, to_span input);

/* The type of the next item. */
to_cbor_type to_cbor_next(const to_cbor_reader *reader);

uint64_t to_cbor_get_uint(to_cbor_reader *reader);
int32_t to_cbor_get_int(to_cbor_reader *reader); /* malformed outside of 32 bits */
to_span to_cbor_get_bytes(to_cbor_reader *reader);
to_span to_cbor_get_text(to_cbor_reader *reader); /* valid UTF-8 */
int to_cbor_get_bool(to_cbor_reader *reader);

/* The number of items that follow, of a map the number of pairs: at most the number of bytes that are left.
 */
uint32_t to_cbor_get_array(to_cbor_reader *reader);
uint32_t to_cbor_get_map(to_cbor_reader *reader);

uint64_t to_cbor_get_any_tag(to_cbor_reader *reader);

/* 1 and past it when the next item is null. */
int to_cbor_get_null(to_cbor_reader *reader);

/* The encoding of the next item, whatever it is, checked in full. */
to_span to_cbor_skip(to_cbor_reader *reader);

/* The key of a map's next pair. `previous` is the key before it, of no bytes for the first one: the order is
 * checked. The reader stands at the key afterwards as it did before. */
void to_cbor_key(to_cbor_reader *reader, to_span *previous);

/* An error of the caller's choice, unless there is one already. */
void to_cbor_fail(to_cbor_reader *reader, to_reason reason);

/* The end of the input must be reached: TO_REASON_OK, or the first error. */
to_reason to_cbor_done(to_cbor_reader *reader);

#endif
