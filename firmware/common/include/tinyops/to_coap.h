/* CoAP messages (RFC 7252) with block-wise options (RFC 7959): a strict parser and a bounded writer. */
#ifndef TINYOPS_TO_COAP_H
#define TINYOPS_TO_COAP_H

#include <stddef.h>
#include <stdint.h>

#define TO_COAP_TOKEN_MAX 8u
#define TO_COAP_QUERY_MAX 4u
#define TO_COAP_PATH_MAX 2u
#define TO_COAP_ETAG_MAX 8u
#define TO_COAP_ECHO_MAX 40u /* RFC 9175 */

/* The largest block, 2^(szx + 4) bytes: 6, the largest of RFC 7959, or less where memory is short. */
#ifndef TO_COAP_BLOCK_SZX
#define TO_COAP_BLOCK_SZX 6
#endif
#define TO_COAP_BLOCK_MAX (16u << TO_COAP_BLOCK_SZX)

enum { TO_COAP_CON, TO_COAP_NON, TO_COAP_ACK, TO_COAP_RST };

/* Codes are class << 5 | detail. */
enum {
    TO_COAP_EMPTY = 0x00,
    TO_COAP_GET = 0x01,
    TO_COAP_POST = 0x02,
    TO_COAP_PUT = 0x03,
    TO_COAP_CHANGED = 0x44,
    TO_COAP_CONTENT = 0x45,
    TO_COAP_CONTINUE = 0x5F,
    TO_COAP_BAD_REQUEST = 0x80,
    TO_COAP_UNAUTHORIZED = 0x81,
    TO_COAP_BAD_OPTION = 0x82,
    TO_COAP_FORBIDDEN = 0x83,
    TO_COAP_NOT_FOUND = 0x84,
    TO_COAP_METHOD_NOT_ALLOWED = 0x85,
    TO_COAP_NOT_ACCEPTABLE = 0x86,
    TO_COAP_INCOMPLETE = 0x88,
    TO_COAP_CONFLICT = 0x89,
    TO_COAP_TOO_LARGE = 0x8D,
    TO_COAP_UNSUPPORTED_FORMAT = 0x8F,
    TO_COAP_TOO_MANY_REQUESTS = 0x9D, /* RFC 8516 */
    TO_COAP_INTERNAL_ERROR = 0xA0,
    TO_COAP_NOT_IMPLEMENTED = 0xA1
};

enum {
    TO_COAP_OPTION_URI_HOST = 3,
    TO_COAP_OPTION_ETAG = 4,
    TO_COAP_OPTION_URI_PORT = 7,
    TO_COAP_OPTION_OSCORE = 9,
    TO_COAP_OPTION_URI_PATH = 11,
    TO_COAP_OPTION_CONTENT_FORMAT = 12,
    TO_COAP_OPTION_URI_QUERY = 15,
    TO_COAP_OPTION_ACCEPT = 17,
    TO_COAP_OPTION_BLOCK2 = 23,
    TO_COAP_OPTION_BLOCK1 = 27,
    TO_COAP_OPTION_SIZE2 = 28,
    TO_COAP_OPTION_SIZE1 = 60,
    TO_COAP_OPTION_ECHO = 252
};

enum { TO_COAP_FORMAT_OCTETS = 42, TO_COAP_FORMAT_CBOR = 60, TO_COAP_FORMAT_SENML_CBOR = 112 };

typedef struct {
    const uint8_t *bytes; /* into the message */
    uint16_t length;
} to_coap_slice;

typedef struct {
    uint8_t present;
    uint8_t more;
    uint8_t szx; /* block of 2^(szx + 4) bytes; 7 is reserved and refused by the user of the message */
    uint32_t number;
} to_coap_block;

typedef struct {
    uint8_t present;
    uint32_t value;
} to_coap_uint;

typedef struct {
    uint8_t type;
    uint8_t code;
    uint8_t token_length;
    uint8_t token[TO_COAP_TOKEN_MAX];
    uint16_t id;
    uint16_t bad_option; /* the first critical option that is unknown, repeated or malformed; 0: none */
    uint8_t path_segments;
    uint8_t query_count;
    to_coap_slice path[TO_COAP_PATH_MAX]; /* the first segments */
    to_coap_slice etag;                   /* the first; without bytes where there is none */
    to_coap_slice echo;                   /* likewise */
    uint8_t has_oscore;                   /* only where it is compiled in (TO_OSCORE); else a bad option */
    to_coap_slice oscore;                 /* the option's value, which may be empty */
    to_coap_slice queries[TO_COAP_QUERY_MAX];
    to_coap_uint content_format;
    to_coap_uint accept;
    to_coap_uint size1;
    to_coap_block block1;
    to_coap_block block2;
    to_coap_slice payload;
} to_coap_message;

typedef enum {
    TO_COAP_OK,
    TO_COAP_IGNORE,   /* another version, or so short that it has no message id */
    TO_COAP_MALFORMED /* a format error; type and id are set, and a confirmable message is to be reset */
} to_coap_result;

to_coap_result to_coap_parse(to_coap_message *message, const uint8_t *data, size_t length);

static inline uint32_t to_coap_block_bytes(uint8_t szx) { return UINT32_C(16) << szx; }

int to_coap_slice_is(to_coap_slice slice, const char *text);

/* A message being written. Options must come in ascending order, payload last. Whatever does not fit sets
 * `overflow` and leaves the rest of the message out. */
typedef struct {
    uint8_t *bytes;
    uint16_t capacity;
    uint16_t length;
    uint16_t last_option;
    uint8_t has_payload;
    uint8_t overflow;
} to_coap_writer;

void to_coap_start(to_coap_writer *writer, uint8_t *bytes, size_t capacity, uint8_t type, uint8_t code,
                   uint16_t id, const uint8_t *token, uint8_t token_length);
void to_coap_set_code(to_coap_writer *writer, uint8_t code);
void to_coap_put_uint(to_coap_writer *writer, uint16_t option, uint32_t value);
void to_coap_put_bytes(to_coap_writer *writer, uint16_t option, const uint8_t *bytes, uint16_t length);
void to_coap_put_block(to_coap_writer *writer, uint16_t option, uint32_t number, int more, uint8_t szx);

/* Makes room for `length` more bytes of payload; NULL when they do not fit. */
uint8_t *to_coap_put_payload(to_coap_writer *writer, size_t length);

/* Diagnostic payload (RFC 7252, 5.5.2). */
void to_coap_put_text(to_coap_writer *writer, const char *text);
void to_coap_put_number(to_coap_writer *writer, uint32_t number);

#endif
