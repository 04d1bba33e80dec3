/* A model as a CoAP server on a serial line.
 *
 *   GET  /info     CBOR map: protocol, version, model, digest, sizes, tensors, layers
 *   POST /infer    all inputs in, all outputs out; with a feature front end and ?raw=1 raw data in
 *                  (?reset=1: initial state first, ?profile=1: count per layer)
 *   POST /reset    the state gets its initial value
 *   GET  /profile  CBOR map: counts of the last invocations, stack use, dropped frames
 *
 * and in updatable firmware /suit/... and /status (to_update_resources.c).
 *
 * A peer is a client that has one request outstanding (NSTART = 1 of RFC 7252): so its last request is the
 * only one whose answer it can still miss, and that answer is kept. Older requests that come again, as a
 * network may deliver them, are recognized by their message ids and dropped. There is room for
 * TO_DEVICE_PEERS peers; another one takes the place of the one that was silent for longest, of those
 * that have acknowledged their responses if there is one. /infer is
 * answered by an empty ACK at once and a separate confirmable response when the invocation is done. That
 * response is sent again when the client pings or repeats the request, and by the clock where there is one.
 */
#ifndef TINYOPS_TO_DEVICE_H
#define TINYOPS_TO_DEVICE_H

#include "tinyops/to_coap.h"
#include "tinyops/to_endpoint.h"
#include "tinyops/to_model.h"
#include "tinyops/to_oscore.h"
#include "tinyops/to_slipmux.h"
#ifdef TO_UPDATABLE
#include "tinyops/to_update.h"
#endif

#define TO_DEVICE_PROTOCOL 1

/* Layers whose counts are kept, 8 bytes each; a model with more refuses ?profile=1. */
#ifndef TO_DEVICE_LAYERS
#define TO_DEVICE_LAYERS 128
#endif

/* The feature front end, or NULL: what it needs takes no room where there is none. */
static inline const to_features *to_device_front_end(void) {
#ifdef TO_FEATURES
    return &to_device_features;
#else
    return NULL;
#endif
}

/* Peers that are served beside one another, about 1,150 bytes each where blocks have 1,024: one on a serial
 * line. */
#ifndef TO_DEVICE_PEERS
#define TO_DEVICE_PEERS 1
#endif

/* Requests before the last one that are recognized when they come again. */
#define TO_DEVICE_RECENT 8u

/* Header, token, 32 bytes of options, payload marker, one block; or the text of a refusal. */
#define TO_DEVICE_REPLY_TEXT 160u
#define TO_DEVICE_REPLY_PLAIN                                                                                \
    (4u + TO_COAP_TOKEN_MAX + 32u + 1u +                                                                     \
     (TO_COAP_BLOCK_MAX > TO_DEVICE_REPLY_TEXT ? TO_COAP_BLOCK_MAX : TO_DEVICE_REPLY_TEXT))
#ifdef TO_OSCORE
#define TO_DEVICE_REPLY_MAX (TO_DEVICE_REPLY_PLAIN + TO_OSCORE_OVERHEAD)
#else
#define TO_DEVICE_REPLY_MAX TO_DEVICE_REPLY_PLAIN
#endif

typedef struct {
    uint32_t received; /* bytes of the inputs, or raw bytes, that have arrived */
    uint32_t expected;
    uint8_t active;
    uint8_t flags;
    to_endpoint from; /* whose upload it is, and whose the outputs are */
} to_device_upload;

typedef struct {
    uint64_t invocation;               /* instructions of the last plain invocation */
    uint64_t layers[TO_DEVICE_LAYERS]; /* of the last observed invocation */
    uint64_t started;
    uint64_t invocation_overhead;
    uint64_t layer_overhead;
    uint8_t has_invocation;
    uint8_t has_layers;
} to_device_counts;

typedef struct {
    uint16_t id;
    uint8_t token_length;
    uint8_t token[TO_COAP_TOKEN_MAX];
} to_device_request;

typedef struct {
    to_endpoint endpoint;
    uint32_t last_use;         /* 0: never used */
    to_device_request request; /* the last one: a repetition is answered from `reply` */
    to_device_request recent[TO_DEVICE_RECENT];
    uint8_t recent_count;
    uint8_t recent_next;
    uint8_t has_request;
    uint8_t separate;       /* the last request was acknowledged before it was answered */
    uint8_t unacknowledged; /* `reply` is a confirmable response that the client has not acknowledged */
    uint8_t retransmissions;
    uint64_t retransmit_at; /* by to_port_now_ms, while `unacknowledged` */
    uint16_t reply_length;
    uint8_t reply[TO_DEVICE_REPLY_MAX];
} to_device_peer;

/* Takes a response, an acknowledgement or a reset; returns 0 when it belongs to no request of this client. */
typedef int (*to_device_response)(void *context, const to_endpoint *from, const to_coap_message *message);

typedef struct {
    const to_model *model;
#ifndef TO_NO_LINE
    to_slipmux_receiver receiver;
#endif
    to_device_upload upload;
    to_device_counts counts;
    uint8_t has_outputs;  /* the arena holds the outputs of the last invocation */
    uint8_t outputs_left; /* not all blocks of them were asked for yet */

    uint16_t next_id;
    uint32_t uses;
    to_device_peer *peer; /* whose message is being handled */
    to_device_peer peers[TO_DEVICE_PEERS];

    to_device_response take_response; /* of a client on this device, or NULL */
    void *take_response_context;

#ifdef TO_OSCORE
    to_oscore *oscore;                     /* when there are any, requests must be protected by one of them */
    uint8_t oscore_count;                  /* 0: as without OSCORE */
    uint8_t plain[TO_SLIPMUX_MESSAGE_MAX]; /* the request that was opened */
#endif
#ifdef TO_UPDATABLE
    to_update *update;
    uint8_t waited; /* requests that came while a new model waited for the end of an inference */
#ifdef TO_NETWORK
    uint64_t patience_ends; /* by to_port_now_ms, when such an inference is given up; 0: there is none */
    uint32_t patient_at;    /* bytes of its input that had arrived */
#endif
    to_reason (*trigger)(void *context, const uint8_t *uri,
                         uint32_t length); /* POST /suit/trigger, or NULL */
    void *trigger_context;
#endif
} to_device;

/* Sets the model's state to its initial value, calibrates the counter, greets on the console. Updatable
 * firmware starts its updates, and tries a model that waits for it. */
void to_device_start(to_device *device, const to_model *model);

/* Bytes from the line; all answers go out by to_port_write before it returns. Not with TO_NO_LINE, for
 * devices that are on networks alone. */
void to_device_receive(to_device *device, const uint8_t *data, size_t length);

/* One message from a network; its answers go back by to_port_send before it returns. */
void to_device_datagram(to_device *device, const to_endpoint *from, const uint8_t *message, size_t length);

/* With TO_NETWORK: sends again what is due, tries a new model that has come by other ways than a request, and
 * returns when it is to be called next, in to_port_now_ms. */
uint64_t to_device_poll(to_device *device);

/* For the resources: acknowledges the request now; `reply`, which the writer has begun, becomes a message of
 * its own that is sent when it is done. */
void to_device_answer_separately(to_device *device, const to_coap_message *request, to_coap_writer *reply);

/* Runs the model once, counted per layer when `observed`. */
void to_device_invoke(to_device *device, int observed);

/* Sets state and front end to their initial values. */
void to_device_reset(to_device *device);

/* Hands a complete step to the front end, counted. */
void to_device_push(to_device *device, const to_features *features);

/* The bodies of /info and /profile: both store the bytes [skip, skip + size) in `window`, and return the
 * bytes of the whole body. */
uint32_t to_describe_info(const to_device *device, uint8_t *window, uint32_t skip, uint32_t size);
uint32_t to_describe_profile(const to_device *device, uint8_t *window, uint32_t skip, uint32_t size);

/* Writes code, options and payload of the answer to `request`. */
void to_resources_answer(to_device *device, const to_coap_message *request, to_coap_writer *reply);

/* Serves the line until its end. */
void to_device_run(to_device *device);

#endif
