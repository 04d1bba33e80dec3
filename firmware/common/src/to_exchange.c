#include "to_exchange.h"

#include <string.h>

#include "tinyops/to_port.h"

/* Of the responses that the device sends by itself (RFC 7252, 4.8). */
#ifndef TO_DEVICE_ACK_TIMEOUT_MS
#define TO_DEVICE_ACK_TIMEOUT_MS 2000u
#endif
#define MAX_RETRANSMIT 4u

static void send_message(const to_endpoint *to, const uint8_t *bytes, size_t length) {
#ifdef TO_NETWORK
    if (to->kind != TO_ENDPOINT_LINE) {
        to_port_send(to, bytes, length);
        return;
    }
#endif
    (void)to;
#ifndef TO_NO_LINE
    to_slipmux_send_coap(bytes, length);
#else
    (void)bytes;
    (void)length;
#endif
}

static void send_empty(const to_endpoint *to, uint8_t type, uint16_t id) {
    uint8_t bytes[4];
    to_coap_writer writer;
    to_coap_start(&writer, bytes, sizeof bytes, type, TO_COAP_EMPTY, id, NULL, 0);
    send_message(to, bytes, writer.length);
}

static void send_reply(const to_device_peer *peer) {
    if (peer->reply_length > 0) {
        send_message(&peer->endpoint, peer->reply, peer->reply_length);
    }
}

/* The peer at an endpoint, or NULL. */
static to_device_peer *find_peer(to_device *device, const to_endpoint *endpoint) {
    for (unsigned i = 0; i < TO_DEVICE_PEERS; i++) {
        to_device_peer *peer = &device->peers[i];
        if (peer->last_use > 0 && to_endpoint_equal(&peer->endpoint, endpoint)) {
            return peer;
        }
    }
    return NULL;
}

/* The peer at an endpoint; a new one takes the place of the one that was silent for longest. */
/* Whether `a` is missed less than `b`: one whose client has its answer, then the one that was silent longer.
 */
static int is_missed_less(const to_device_peer *a, const to_device_peer *b) {
    return a->unacknowledged != b->unacknowledged ? !a->unacknowledged : a->last_use < b->last_use;
}

static to_device_peer *claim_peer(to_device *device, const to_endpoint *endpoint) {
    to_device_peer *peer = find_peer(device, endpoint);
    if (peer == NULL) {
        peer = &device->peers[0];
        for (unsigned i = 1; i < TO_DEVICE_PEERS; i++) {
            if (is_missed_less(&device->peers[i], peer)) {
                peer = &device->peers[i];
            }
        }
        memset(peer, 0, sizeof *peer);
        peer->endpoint = *endpoint;
    }
    if (++device->uses == 0) { /* the count has wrapped: all are as old as one another */
        for (unsigned i = 0; i < TO_DEVICE_PEERS; i++) {
            device->peers[i].last_use = device->peers[i].last_use > 0;
        }
        device->uses = 2;
    }
    peer->last_use = device->uses;
    return peer;
}

void to_device_answer_separately(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    to_device_peer *peer = device->peer;
    uint8_t type = TO_COAP_NON;
    if (request->type == TO_COAP_CON) {
        send_empty(&peer->endpoint, TO_COAP_ACK, request->id);
        type = TO_COAP_CON;
        peer->separate = 1;
        peer->unacknowledged = 1;
    }
    uint16_t id = device->next_id++;
    to_coap_start(reply, reply->bytes, reply->capacity, type, TO_COAP_EMPTY, id, request->token,
                  request->token_length);
}

static int is_request(const to_device_request *known, const to_coap_message *request) {
    return known->id == request->id && known->token_length == request->token_length &&
           memcmp(known->token, request->token, request->token_length) == 0;
}

/* A serial line keeps the order: there an id comes again because the client has begun anew. */
static int is_old(const to_device_peer *peer, const to_coap_message *request) {
    if (peer->endpoint.kind == TO_ENDPOINT_LINE) {
        return 0;
    }
    for (uint8_t i = 0; i < peer->recent_count; i++) {
        if (is_request(&peer->recent[i], request)) {
            return 1;
        }
    }
    return 0;
}

static void answer_repeated(const to_device_peer *peer, const to_coap_message *request) {
    if (request->type != TO_COAP_CON) {
        return;
    }
    if (peer->separate) {
        send_empty(&peer->endpoint, TO_COAP_ACK, request->id);
    }
    if (!peer->separate || peer->unacknowledged) {
        send_reply(peer);
    }
}

static void remember(to_device_peer *peer, const to_coap_message *request) {
    if (peer->has_request) {
        peer->recent[peer->recent_next] = peer->request;
        peer->recent_next = (uint8_t)((peer->recent_next + 1u) % TO_DEVICE_RECENT);
        peer->recent_count = (uint8_t)(peer->recent_count + (peer->recent_count < TO_DEVICE_RECENT));
    }
    peer->has_request = 1;
    peer->request.id = request->id;
    peer->request.token_length = request->token_length;
    memcpy(peer->request.token, request->token, sizeof peer->request.token);
    peer->separate = 0;
    peer->unacknowledged = 0;
    peer->reply_length = 0;
}

static void begin_retransmission(to_device_peer *peer) {
#ifdef TO_NETWORK
    peer->retransmissions = 0;
    peer->retransmit_at = to_port_now_ms() + TO_DEVICE_ACK_TIMEOUT_MS;
#else
    (void)peer;
#endif
}

#ifdef TO_OSCORE

/* Whoever returns the challenge has not recorded its request before the last reset (RFC 8613, B.1.2). */
static void challenge(to_oscore *context, to_coap_writer *reply) {
    if (!context->has_echo) {
        to_port_random(context->echo, sizeof context->echo);
        context->has_echo = 1;
    }
    to_coap_set_code(reply, TO_COAP_UNAUTHORIZED);
    to_coap_put_bytes(reply, TO_COAP_OPTION_ECHO, context->echo, sizeof context->echo);
}

static void refuse_unprotected(to_coap_writer *reply, to_oscore_result result) {
    static const struct {
        uint8_t code;
        const char *text;
    } refusals[] = {
        [TO_OSCORE_NO_CONTEXT] = {TO_COAP_UNAUTHORIZED, "Security context not found"},
        [TO_OSCORE_REPLAYED] = {TO_COAP_UNAUTHORIZED, "Replay detected"},
        [TO_OSCORE_MALFORMED] = {TO_COAP_BAD_OPTION, "Failed to decode COSE"},
        [TO_OSCORE_DECRYPT] = {TO_COAP_BAD_REQUEST, "Decryption failed"},
    };
    to_coap_set_code(reply, refusals[result].code);
    to_coap_put_text(reply, refusals[result].text);
}

static void answer_protected(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    to_coap_message inner;
    to_oscore_binding binding;
    if (device->oscore_count == 0) {
        to_device_answer(device, request, reply);
        return;
    }
    if (!request->has_oscore) {
        to_coap_set_code(reply, TO_COAP_UNAUTHORIZED);
        to_coap_put_text(reply, "OSCORE is required");
        return;
    }
    to_oscore_result result = to_oscore_open_request(device->oscore, device->oscore_count, request,
                                                     device->plain, sizeof device->plain, &inner, &binding);
    if (result == TO_OSCORE_CHALLENGE) {
        challenge(binding.context, reply);
    } else if (result == TO_OSCORE_OK) {
        to_device_answer(device, &inner, reply);
    } else {
        refuse_unprotected(reply, result);
        return;
    }
    if (!to_oscore_seal_response(&binding, reply, TO_DEVICE_REPLY_MAX)) {
        reply->length = 0; /* nothing goes out unprotected */
    }
}

#else

static void answer_protected(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    to_device_answer(device, request, reply);
}

#endif

static void handle_request(to_device *device, const to_endpoint *from, const to_coap_message *request) {
    if (request->type != TO_COAP_CON && request->type != TO_COAP_NON) {
        return;
    }
    to_device_peer *peer = claim_peer(device, from);
    device->peer = peer;
    if (peer->has_request && is_request(&peer->request, request)) {
        answer_repeated(peer, request);
        return;
    }
    if (is_old(peer, request)) {
        return;
    }
    remember(peer, request);
    /* RFC 7252, 5.4.1: a non-confirmable message with an unknown critical option is rejected silently. */
    if (request->bad_option != 0 && request->type == TO_COAP_NON) {
        return;
    }
    to_coap_writer reply;
    int confirmable = request->type == TO_COAP_CON;
    to_coap_start(&reply, peer->reply, TO_DEVICE_REPLY_PLAIN, confirmable ? TO_COAP_ACK : TO_COAP_NON,
                  TO_COAP_EMPTY, confirmable ? request->id : device->next_id++, request->token,
                  request->token_length);
    answer_protected(device, request, &reply);
    peer->reply_length = reply.length;
    send_reply(peer);
    begin_retransmission(peer);
    to_device_idle(device);
}

static void handle_empty(to_device *device, const to_endpoint *from, const to_coap_message *message) {
    to_device_peer *peer = find_peer(device, from);
    if (message->type == TO_COAP_CON) { /* a ping */
        send_empty(from, TO_COAP_RST, message->id);
        if (peer != NULL && peer->unacknowledged) {
            send_reply(peer);
        }
    } else if (peer != NULL && (message->type == TO_COAP_ACK || message->type == TO_COAP_RST)) {
        uint16_t reply_id = (uint16_t)(peer->reply[2] << 8 | peer->reply[3]);
        if (peer->unacknowledged && message->id == reply_id) {
            peer->unacknowledged = 0;
        }
    }
}

/* An acknowledgement, a reset, or a response: does the client on this device wait for it? */
static int take_response(to_device *device, const to_endpoint *from, const to_coap_message *message) {
    int request = message->code >> 5 == 0 && message->code != TO_COAP_EMPTY;
    int ping = message->code == TO_COAP_EMPTY && message->type == TO_COAP_CON;
    return !request && !ping && device->take_response != NULL &&
           device->take_response(device->take_response_context, from, message);
}

void to_device_datagram(to_device *device, const to_endpoint *from, const uint8_t *data, size_t length) {
    to_coap_message message;
    to_coap_result result = to_coap_parse(&message, data, length);
    if (result == TO_COAP_IGNORE || (result == TO_COAP_OK && take_response(device, from, &message))) {
        return;
    }
    if (result == TO_COAP_OK && message.code == TO_COAP_EMPTY) {
        handle_empty(device, from, &message);
    } else if (result == TO_COAP_OK && message.code >> 5 == 0) {
        handle_request(device, from, &message);
    } else if (message.type == TO_COAP_CON) { /* malformed, or a response that nobody waits for */
        send_empty(from, TO_COAP_RST, message.id);
    }
}

#ifdef TO_NETWORK
uint64_t to_exchange_poll(to_device *device) {
    uint64_t now = to_port_now_ms(), next = UINT64_MAX;
    for (unsigned i = 0; i < TO_DEVICE_PEERS; i++) {
        to_device_peer *peer = &device->peers[i];
        if (!peer->unacknowledged) {
            continue;
        }
        if (now >= peer->retransmit_at) {
            if (peer->retransmissions++ == MAX_RETRANSMIT) {
                peer->unacknowledged = 0;
                continue;
            }
            send_reply(peer);
            peer->retransmit_at = now + ((uint64_t)TO_DEVICE_ACK_TIMEOUT_MS << peer->retransmissions);
        }
        next = peer->retransmit_at < next ? peer->retransmit_at : next;
    }
    return next;
}
#endif
