/* A model as a CoAP server on a serial line.
 *
 *   GET  /info     CBOR map: protocol, version, model, digest, sizes, tensors, layers
 *   POST /infer    all inputs in, all outputs out; with a feature front end and ?raw=1 raw data in
 *                  (?reset=1: initial state first, ?profile=1: count per layer)
 *   POST /reset    the state gets its initial value
 *   GET  /profile  CBOR map: counts of the last invocations, stack use, dropped frames
 *
 * The peer is one client that has one request outstanding (NSTART = 1 of RFC 7252), on a line that keeps
 * order: so the last request is the only one that can be repeated, and its answer the only one that is kept.
 * /infer is answered by an empty ACK at once and a separate confirmable response when the invocation is done.
 * The device has no clock: it sends an unacknowledged response again when the client pings or repeats the
 * request. */
#ifndef TINYOPS_TO_DEVICE_H
#define TINYOPS_TO_DEVICE_H

#include "tinyops/to_coap.h"
#include "tinyops/to_model.h"
#include "tinyops/to_slipmux.h"

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

/* Header, token, 32 bytes of options, payload marker, one block. */
#define TO_DEVICE_REPLY_MAX (4u + TO_COAP_TOKEN_MAX + 32u + 1u + 1024u)

typedef struct {
    uint32_t received; /* bytes of the inputs, or raw bytes, that have arrived */
    uint32_t expected;
    uint8_t active;
    uint8_t flags;
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
    const to_model *model;
    to_slipmux_receiver receiver;
    to_device_upload upload;
    to_device_counts counts;
    uint8_t has_outputs; /* the arena holds the outputs of the last invocation */

    uint8_t has_request; /* the last request: a repetition is answered from `reply` */
    uint8_t request_token_length;
    uint8_t request_token[TO_COAP_TOKEN_MAX];
    uint16_t request_id;
    uint8_t request_separate;

    uint8_t unacknowledged; /* `reply` is a confirmable response that the client has not acknowledged */
    uint16_t next_id;
    uint16_t reply_length;
    uint8_t reply[TO_DEVICE_REPLY_MAX];
} to_device;

/* Sets the model's state to its initial value, calibrates the counter, greets on the console. */
void to_device_start(to_device *device, const to_model *model);

/* Bytes from the line; all answers go out by to_port_write before it returns. */
void to_device_receive(to_device *device, const uint8_t *data, size_t length);

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
