/* OSCORE (RFC 8613): requests and responses protected from end to end, with AES-CCM-16-64-128 and HKDF with
 * SHA-256. Code, options and payload are encrypted; type, id and token stay as they are, so that
 * acknowledgements and retransmissions need no key. Block-wise transfers are inside.
 *
 * A sender sequence number is never used twice, not even after a reset: numbers are reserved in strides,
 * durably, before the first of them is used. The replay window is lost in a reset; after one, the first
 * request is answered by 4.01 with Echo (RFC 8613, B.1.2), and the request that returns it is fresh. */
#ifndef TINYOPS_TO_OSCORE_H
#define TINYOPS_TO_OSCORE_H

#include "tinyops/to_fetch.h"

#define TO_OSCORE_ID_MAX 7u
#define TO_OSCORE_ID_CONTEXT_MAX 8u
#define TO_OSCORE_KEY_BYTES 16u
#define TO_OSCORE_NONCE_BYTES 13u
#define TO_OSCORE_PIV_MAX 5u
#define TO_OSCORE_ECHO_BYTES 8u

/* What protection adds to a message: option header, flags, Partial IV, id context, id; code, tag. */
#define TO_OSCORE_OVERHEAD                                                                                   \
    (2u + 1u + TO_OSCORE_PIV_MAX + 1u + TO_OSCORE_ID_CONTEXT_MAX + TO_OSCORE_ID_MAX + 2u + 8u)

/* Sequence numbers that are reserved at once. */
#ifndef TO_OSCORE_STRIDE
#define TO_OSCORE_STRIDE 64u
#endif

typedef struct {
    const uint8_t *bytes;
    uint8_t length;
} to_oscore_bytes;

/* What both sides have agreed on; ids at most TO_OSCORE_ID_MAX bytes, each the other's the other way round.
 */
typedef struct {
    to_oscore_bytes secret;
    to_oscore_bytes salt;       /* may be empty */
    to_oscore_bytes sender;     /* this device's id */
    to_oscore_bytes recipient;  /* the other side's */
    to_oscore_bytes id_context; /* `bytes` is NULL: none */
    uint64_t sequence;          /* the first number that was never reserved */

    /* Stores durably that all numbers below `next` count as used; 0 on success. */
    int (*reserve)(void *context, uint64_t next);
    void *context;
} to_oscore_settings;

typedef struct {
    uint8_t sender_key[TO_OSCORE_KEY_BYTES];
    uint8_t recipient_key[TO_OSCORE_KEY_BYTES];
    uint8_t common_iv[TO_OSCORE_NONCE_BYTES];
    uint8_t sender_length;
    uint8_t sender[TO_OSCORE_ID_MAX];
    uint8_t recipient_length;
    uint8_t recipient[TO_OSCORE_ID_MAX];
    uint8_t has_id_context;
    uint8_t id_context_length;
    uint8_t id_context[TO_OSCORE_ID_CONTEXT_MAX];

    uint64_t sequence; /* the next one to send */
    uint64_t reserved;
    int (*reserve)(void *context, uint64_t next);
    void *reserve_context;

    uint8_t has_window; /* a request was proved to be fresh since the start */
    uint64_t highest;   /* sequence number of a request */
    uint32_t window;    /* bit i: highest - i was received */
    uint8_t has_echo;
    uint8_t echo[TO_OSCORE_ECHO_BYTES];
} to_oscore;

/* What a response is bound to: the request it answers. */
typedef struct {
    to_oscore *context;
    uint8_t is_server;
    uint8_t piv_length;
    uint8_t piv[TO_OSCORE_PIV_MAX];
    uint8_t own_piv; /* the response has a nonce of its own */
} to_oscore_binding;

typedef enum {
    TO_OSCORE_OK,
    TO_OSCORE_NO_CONTEXT, /* 4.01 */
    TO_OSCORE_REPLAYED,   /* 4.01 */
    TO_OSCORE_CHALLENGE,  /* 4.01 with Echo, protected */
    TO_OSCORE_MALFORMED,  /* 4.02 */
    TO_OSCORE_DECRYPT     /* 4.00 */
} to_oscore_result;

/* Derives the keys; 0 when lengths are out of range, both ids are the same, or AES is not compiled in. */
int to_oscore_start(to_oscore *context, const to_oscore_settings *settings);

/* Opens a request with the one of `count` contexts that it names. `inner` points into `plain`, and has type,
 * id and token of `outer`. With TO_OSCORE_CHALLENGE the request is authentic, but not known to be fresh. */
to_oscore_result to_oscore_open_request(to_oscore *contexts, uint8_t count, const to_coap_message *outer,
                                        uint8_t *plain, size_t capacity, to_coap_message *inner,
                                        to_oscore_binding *binding);

/* Protects the finished response in `reply`, whose buffer has `capacity` bytes; 0 when it cannot. */
int to_oscore_seal_response(to_oscore_binding *binding, to_coap_writer *reply, size_t capacity);

/* The other way round: this device asks. A request must not have the options Uri-Host and Uri-Port. */
int to_oscore_seal_request(to_oscore *context, to_oscore_binding *binding, to_coap_writer *request,
                           size_t capacity);
to_oscore_result to_oscore_open_response(const to_oscore_binding *binding, const to_coap_message *outer,
                                         uint8_t *plain, size_t capacity, to_coap_message *inner);

/* Protection of the requests of a to_fetch; responses of at most TO_OSCORE_RESPONSE_MAX bytes. */
#define TO_OSCORE_RESPONSE_MAX 320u
typedef struct {
    to_oscore *context;
    to_oscore_binding binding;
    uint8_t plain[TO_OSCORE_RESPONSE_MAX];
} to_oscore_client;

void to_oscore_secure(to_fetch_security *security, to_oscore_client *client, to_oscore *context);

#endif
