/* A CoAP client (RFC 7252, RFC 7959) with one request at a time: a GET in blocks, or a POST of one message.
 *
 * Each block is a request of its own: confirmable, with a fresh random token and a message id that does not
 * come again before 65,536 others, retransmitted with exponential back-off. Of what arrives only that counts
 * which comes from the server's endpoint and bears the id (acknowledgement, reset) or the token (response) of
 * the request that is under way. The entity tag must stay the same from block to block.
 *
 * It never blocks: to_fetch_receive takes what arrives, to_fetch_poll does what is due. */
#ifndef TINYOPS_TO_FETCH_H
#define TINYOPS_TO_FETCH_H

#include "tinyops/to_coap.h"
#include "tinyops/to_endpoint.h"
#include "tinyops/to_uri.h"

/* The longest payload of a POST. */
#ifndef TO_FETCH_PAYLOAD_MAX
#define TO_FETCH_PAYLOAD_MAX 512u
#endif

/* Header, token, host, path and query, other options, marker, payload; what protection adds. */
#define TO_FETCH_FRAME_MAX                                                                                   \
    (4u + TO_COAP_TOKEN_MAX + TO_COAP_ECHO_MAX + TO_URI_HOST_MAX + 2u + TO_URI_MAX + 32u + 1u +              \
     TO_FETCH_PAYLOAD_MAX + 32u)

/* How a link behaves. */
typedef struct {
    uint16_t ack_timeout_ms;   /* ACK_TIMEOUT of RFC 7252; 2000, and at least 10000 on NB-IoT */
    uint8_t max_retransmit;    /* 4 */
    uint8_t szx;               /* the largest block to ask for, 2^(szx + 4) bytes */
    uint16_t response_seconds; /* how long a response may take after the acknowledgement */
} to_fetch_link;

typedef enum {
    TO_FETCH_OK,
    TO_FETCH_TIMEOUT,   /* no answer to MAX_RETRANSMIT retransmissions, or no response after the ACK */
    TO_FETCH_RESET,     /* the server does not know what it is asked */
    TO_FETCH_REFUSED,   /* an error code, which is in `code` */
    TO_FETCH_ETAG,      /* the entity has changed: what was stored belongs to another one */
    TO_FETCH_MALFORMED, /* an answer that is none to this request */
    TO_FETCH_TOO_LARGE, /* above the limit */
    TO_FETCH_SINK       /* the sink has refused it */
} to_fetch_result;

/* The next bytes of the entity. */
typedef struct {
    uint32_t offset;
    uint32_t size;
    const uint8_t *bytes;
    to_coap_slice etag; /* may be empty */
    int last;
} to_fetch_part;

/* Takes a part, in order and without gaps; anything but 0 ends the fetch. It must not start another one. */
typedef int (*to_fetch_sink)(void *context, const to_fetch_part *part);

typedef struct {
    to_endpoint server;
    to_uri uri;            /* its path must stay valid until the end */
    uint8_t method;        /* TO_COAP_GET or TO_COAP_POST */
    uint16_t format;       /* Content-Format of the payload of a POST */
    to_coap_slice payload; /* of a POST, at most TO_FETCH_PAYLOAD_MAX bytes, valid until the end */
    uint32_t offset;       /* of a GET: the first byte that is wanted */
    uint32_t limit;        /* bytes of the whole entity */
    to_fetch_sink sink;
    void *context;
} to_fetch_request;

/* Changes messages on their way (OSCORE). `protect` turns the request in `frame` into the protected one in
 * its place, `unprotect` parses the protected response's content into `inner`; both return 0 when they
 * cannot. What `unprotect` refuses is ignored. */
typedef struct {
    int (*protect)(void *context, to_coap_writer *frame);
    int (*unprotect)(void *context, const to_coap_message *message, to_coap_message *inner);
    void *context;
} to_fetch_security;

typedef struct {
    to_fetch_link link;
    const to_fetch_security *security; /* or NULL */
    to_fetch_request request;
    uint8_t state;
    to_fetch_result result;
    uint8_t code; /* of the last response */

    uint32_t offset; /* the next byte that is wanted */
    uint8_t szx;
    uint8_t has_etag; /* the first block was there */
    uint8_t etag_length;
    uint8_t etag[TO_COAP_ETAG_MAX];
    uint8_t echo_length; /* what the server wants back (RFC 9175), once for each request */
    uint8_t echo[TO_COAP_ECHO_MAX];

    uint16_t id;
    uint16_t id_step; /* odd, so that ids come again after 65,536 */
    uint8_t token[TO_COAP_TOKEN_MAX];
    uint8_t acknowledged; /* `acknowledged_id` of `request.server` was acknowledged */
    uint16_t acknowledged_id;
    uint8_t retransmissions;
    uint32_t timeout_ms;
    uint64_t deadline;
    uint16_t frame_length;
    uint8_t frame[TO_FETCH_FRAME_MAX];
} to_fetch;

/* Draws the first message id. */
void to_fetch_init(to_fetch *fetch, const to_fetch_link *link, const to_fetch_security *security);

/* Sends the first request; 0 when it cannot be written. What was under way is forgotten. */
int to_fetch_start(to_fetch *fetch, const to_fetch_request *request);

void to_fetch_stop(to_fetch *fetch);

/* Whether an answer is awaited; when not, `result` tells how the last request has ended. */
int to_fetch_is_running(const to_fetch *fetch);

/* Takes a message that is no request; 0 when it is none of this client's. */
int to_fetch_receive(to_fetch *fetch, const to_endpoint *from, const to_coap_message *message);

/* Retransmits what is due; when it is to be called next, in to_port_now_ms (UINT64_MAX: not running). */
uint64_t to_fetch_poll(to_fetch *fetch);

#endif
