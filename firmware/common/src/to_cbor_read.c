#include "tinyops/to_cbor_read.h"

#include <string.h>

/* What is open in to_cbor_skip. */
typedef struct {
    const uint8_t *start;
    to_span key; /* of a map: the last one */
    uint32_t left;
    uint8_t map;
} level;

int to_span_equal(to_span a, to_span b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}

void to_cbor_read(to_cbor_reader *reader, to_span input) {
    reader->at = input.bytes;
    reader->end = input.size == 0 ? input.bytes : input.bytes + input.size;
    reader->error = TO_REASON_OK;
}

void to_cbor_fail(to_cbor_reader *reader, to_reason reason) {
    if (reader->error == TO_REASON_OK) {
        reader->error = reason;
    }
}

static uint32_t left(const to_cbor_reader *reader) { return (uint32_t)(reader->end - reader->at); }

static int is_at_end(const to_cbor_reader *reader) {
    return reader->error != TO_REASON_OK || reader->at == reader->end;
}

to_cbor_type to_cbor_next(const to_cbor_reader *reader) {
    return is_at_end(reader) ? TO_CBOR_END : (to_cbor_type)(*reader->at >> 5);
}

/* The argument of a head that is not in the initial byte. */
static uint64_t get_argument(to_cbor_reader *reader, unsigned info) {
    uint32_t bytes = UINT32_C(1) << (info - 24u);
    uint64_t value = 0;
    if (left(reader) < bytes) {
        to_cbor_fail(reader, TO_REASON_TRUNCATED);
        return 0;
    }
    unsigned upper = 0; /* the upper half: if it is zero, half as many bytes would do */
    for (uint32_t i = 0; i < bytes; i++) {
        upper |= i < bytes / 2u ? *reader->at : 0u;
        value = value << 8 | *reader->at++;
    }
    if (bytes == 1 ? value < 24u : upper == 0) {
        to_cbor_fail(reader, TO_REASON_NOT_DETERMINISTIC);
        return 0;
    }
    return value;
}

static to_cbor_type get_head(to_cbor_reader *reader, uint64_t *value) {
    *value = 0;
    if (is_at_end(reader)) {
        to_cbor_fail(reader, TO_REASON_TRUNCATED);
        return TO_CBOR_END;
    }
    to_cbor_type type = (to_cbor_type)(*reader->at >> 5);
    unsigned info = *reader->at++ & 31u;
    if (type == TO_CBOR_SIMPLE) {
        if (info < 20u || info > 22u) {
            to_cbor_fail(reader, TO_REASON_MALFORMED_CBOR);
        }
        *value = info;
    } else if (info < 24u) {
        *value = info;
    } else if (info < 28u) {
        *value = get_argument(reader, info);
    } else {
        int indefinite = info == 31u && type >= TO_CBOR_BYTES && type <= TO_CBOR_MAP;
        to_cbor_fail(reader, indefinite ? TO_REASON_NOT_DETERMINISTIC : TO_REASON_MALFORMED_CBOR);
    }
    return reader->error == TO_REASON_OK ? type : TO_CBOR_END;
}

/* The argument of the next head, which must be of this type. */
static uint64_t get_typed(to_cbor_reader *reader, to_cbor_type type) {
    uint64_t value;
    to_cbor_type next = get_head(reader, &value);
    if (next != type) {
        to_cbor_fail(reader, TO_REASON_MALFORMED_CBOR);
        return 0;
    }
    return value;
}

uint64_t to_cbor_get_uint(to_cbor_reader *reader) { return get_typed(reader, TO_CBOR_UINT); }

int32_t to_cbor_get_int(to_cbor_reader *reader) {
    uint64_t value;
    to_cbor_type type = get_head(reader, &value);
    if ((type != TO_CBOR_UINT && type != TO_CBOR_NEGATIVE) || value > INT32_MAX) {
        to_cbor_fail(reader, TO_REASON_MALFORMED_CBOR);
        return 0;
    }
    return type == TO_CBOR_UINT ? (int32_t)value : -1 - (int32_t)value;
}

int to_cbor_get_bool(to_cbor_reader *reader) {
    uint64_t value = get_typed(reader, TO_CBOR_SIMPLE);
    if (value != 20u && value != 21u) {
        to_cbor_fail(reader, TO_REASON_MALFORMED_CBOR);
    }
    return value == 21u;
}

int to_cbor_get_null(to_cbor_reader *reader) {
    if (is_at_end(reader) || *reader->at != 0xF6u) {
        return 0;
    }
    reader->at++;
    return 1;
}

uint64_t to_cbor_get_any_tag(to_cbor_reader *reader) { return get_typed(reader, TO_CBOR_TAG); }

static to_span take(to_cbor_reader *reader, uint64_t size) {
    to_span span = {NULL, 0};
    if (reader->error == TO_REASON_OK && size > left(reader)) {
        reader->error = TO_REASON_TRUNCATED;
    }
    if (reader->error == TO_REASON_OK) {
        span = to_span_of(reader->at, (uint32_t)size);
        reader->at += size;
    }
    return span;
}

to_span to_cbor_get_bytes(to_cbor_reader *reader) { return take(reader, get_typed(reader, TO_CBOR_BYTES)); }

/* Unicode Standard, table 3-7. */
static int is_utf8(to_span text) {
    uint32_t more = 0;
    uint8_t low = 0x80u;
    uint8_t high = 0xBFu;
    for (uint32_t i = 0; i < text.size; i++) {
        uint8_t byte = text.bytes[i];
        if (more > 0) {
            if (byte < low || byte > high) {
                return 0;
            }
            more--;
            low = 0x80u;
            high = 0xBFu;
        } else if (byte >= 0x80u) {
            if (byte < 0xC2u || byte > 0xF4u) {
                return 0;
            }
            more = byte < 0xE0u ? 1u : byte < 0xF0u ? 2u : 3u;
            low = byte == 0xE0u ? 0xA0u : byte == 0xF0u ? 0x90u : 0x80u;
            high = byte == 0xEDu ? 0x9Fu : byte == 0xF4u ? 0x8Fu : 0xBFu;
        }
    }
    return more == 0;
}

static to_span take_text(to_cbor_reader *reader, uint64_t size) {
    to_span text = take(reader, size);
    if (!is_utf8(text)) {
        to_cbor_fail(reader, TO_REASON_MALFORMED_CBOR);
        text.size = 0;
    }
    return text;
}

to_span to_cbor_get_text(to_cbor_reader *reader) {
    return take_text(reader, get_typed(reader, TO_CBOR_TEXT));
}

/* A count of items, each of which takes at least one byte. */
static uint32_t counted(to_cbor_reader *reader, uint64_t count, uint32_t bytes) {
    if (count > left(reader) / bytes) {
        to_cbor_fail(reader, TO_REASON_TRUNCATED);
    }
    return reader->error == TO_REASON_OK ? (uint32_t)count : 0;
}

uint32_t to_cbor_get_array(to_cbor_reader *reader) {
    return counted(reader, get_typed(reader, TO_CBOR_ARRAY), 1);
}

uint32_t to_cbor_get_map(to_cbor_reader *reader) {
    return counted(reader, get_typed(reader, TO_CBOR_MAP), 2);
}

/* Bytewise lexicographic order of encodings; a shorter one that is a prefix cannot occur. */
static void check_order(to_cbor_reader *reader, to_span previous, to_span key) {
    if (previous.size == 0 || key.size == 0) {
        return;
    }
    uint32_t shared = previous.size < key.size ? previous.size : key.size;
    int order = memcmp(previous.bytes, key.bytes, shared);
    if (order > 0 || (order == 0 && previous.size >= key.size)) {
        to_cbor_fail(reader, TO_REASON_NOT_DETERMINISTIC);
    }
}

/* An item's head and, of a string, its content; the number of items within it. */
static uint32_t enter(to_cbor_reader *reader, uint8_t *map) {
    uint64_t value;
    to_cbor_type type = get_head(reader, &value);
    *map = type == TO_CBOR_MAP;
    switch (type) {
    case TO_CBOR_BYTES:
        (void)take(reader, value);
        return 0;
    case TO_CBOR_TEXT:
        (void)take_text(reader, value);
        return 0;
    case TO_CBOR_ARRAY:
        return counted(reader, value, 1);
    case TO_CBOR_MAP:
        return 2u * counted(reader, value, 2);
    case TO_CBOR_TAG:
        return 1;
    default:
        return 0;
    }
}

/* An item that starts at `start` ends here; and so does all that it is the last of. The levels still open. */
static unsigned leave(to_cbor_reader *reader, level *open, unsigned depth, const uint8_t *start) {
    while (depth > 0) {
        level *in = &open[depth - 1];
        if (in->map && in->left % 2u == 0) {
            to_span key = to_span_of(start, (uint32_t)(reader->at - start));
            check_order(reader, in->key, key);
            in->key = key;
        }
        if (--in->left > 0) {
            break;
        }
        start = in->start;
        depth--;
    }
    return depth;
}

to_span to_cbor_skip(to_cbor_reader *reader) {
    level open[TO_CBOR_DEPTH_MAX];
    unsigned depth = 0;
    const uint8_t *first = reader->at;
    do {
        uint8_t map;
        const uint8_t *start = reader->at;
        uint32_t items = enter(reader, &map);
        if (items == 0) {
            depth = leave(reader, open, depth, start);
        } else if (depth < TO_CBOR_DEPTH_MAX) {
            level next = {start, {NULL, 0}, items, map};
            open[depth++] = next;
        } else {
            to_cbor_fail(reader, TO_REASON_NESTING);
        }
    } while (depth > 0 && reader->error == TO_REASON_OK);
    return reader->error == TO_REASON_OK ? to_span_of(first, (uint32_t)(reader->at - first))
                                         : to_span_of(NULL, 0);
}

void to_cbor_key(to_cbor_reader *reader, to_span *previous) {
    const uint8_t *start = reader->at;
    to_span key = to_cbor_skip(reader);
    check_order(reader, *previous, key);
    *previous = key;
    reader->at = start;
}

to_reason to_cbor_done(to_cbor_reader *reader) {
    if (reader->at != reader->end) {
        to_cbor_fail(reader, TO_REASON_MALFORMED_CBOR);
    }
    return reader->error;
}
