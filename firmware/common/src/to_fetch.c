#include "tinyops/to_fetch.h"

#include <string.h>

#include "tinyops/to_port.h"

#define BLOCK_NUMBERS (UINT32_C(1) << 20)

#ifdef TO_NETWORK

enum { IDLE, AWAIT_ACK, AWAIT_RESPONSE };

void to_fetch_init(to_fetch *fetch, const to_fetch_link *link, const to_fetch_security *security) {
    memset(fetch, 0, sizeof *fetch);
    fetch->link = *link;
    fetch->security = security;
    uint8_t random[4];
    to_port_random(random, sizeof random);
    fetch->id = (uint16_t)(random[0] << 8 | random[1]);
    fetch->id_step = (uint16_t)(random[2] << 8 | random[3] | 1);
}

int to_fetch_is_running(const to_fetch *fetch) { return fetch->state != IDLE; }

void to_fetch_stop(to_fetch *fetch) { fetch->state = IDLE; }

static void finish(to_fetch *fetch, to_fetch_result result) {
    fetch->state = IDLE;
    fetch->result = result;
}

/* Requests */

static uint32_t block_start(const to_fetch *fetch) {
    return fetch->offset & ~(to_coap_block_bytes(fetch->szx) - 1u);
}

static int write_request(to_fetch *fetch) {
    const to_fetch_request *request = &fetch->request;
    const to_uri *uri = &request->uri;
    uint32_t number = block_start(fetch) / to_coap_block_bytes(fetch->szx);
    if (number >= BLOCK_NUMBERS) {
        return 0;
    }
    to_coap_writer out;
    to_coap_start(&out, fetch->frame, sizeof fetch->frame, TO_COAP_CON, request->method, fetch->id,
                  fetch->token, sizeof fetch->token);
    if (uri->is_name && fetch->security == NULL) {
        to_coap_put_bytes(&out, TO_COAP_OPTION_URI_HOST, (const uint8_t *)uri->host,
                          (uint16_t)strlen(uri->host));
    }
    to_uri_put_path(&out, uri->path);
    if (request->method == TO_COAP_POST) {
        to_coap_put_uint(&out, TO_COAP_OPTION_CONTENT_FORMAT, request->format);
    }
    to_uri_put_query(&out, uri->path);
    if (request->method == TO_COAP_GET) {
        to_coap_put_block(&out, TO_COAP_OPTION_BLOCK2, block_start(fetch) / to_coap_block_bytes(fetch->szx),
                          0, fetch->szx);
    }
    if (fetch->echo_length > 0) {
        to_coap_put_bytes(&out, TO_COAP_OPTION_ECHO, fetch->echo, fetch->echo_length);
    }
    uint16_t length = request->payload.length;
    uint8_t *payload = length > 0 ? to_coap_put_payload(&out, length) : NULL;
    if (payload != NULL) {
        memcpy(payload, request->payload.bytes, length);
    }
    if (!out.overflow && fetch->security != NULL &&
        !fetch->security->protect(fetch->security->context, &out)) {
        return 0;
    }
    fetch->frame_length = out.length;
    return !out.overflow;
}

static void transmit(to_fetch *fetch) {
    to_port_send(&fetch->request.server, fetch->frame, fetch->frame_length);
    fetch->deadline = to_port_now_ms() + fetch->timeout_ms;
}

/* A token that is not the last one, whatever the source of randomness does. */
static void draw_token(to_fetch *fetch) {
    uint8_t last[TO_COAP_TOKEN_MAX];
    memcpy(last, fetch->token, sizeof last);
    to_port_random(fetch->token, sizeof fetch->token);
    if (memcmp(last, fetch->token, sizeof last) == 0) {
        fetch->token[0] ^= 1u;
    }
}

static int send_next(to_fetch *fetch) {
    fetch->id = (uint16_t)(fetch->id + fetch->id_step);
    draw_token(fetch);
    if (!write_request(fetch)) {
        finish(fetch, TO_FETCH_MALFORMED);
        return 0;
    }
    /* ACK_RANDOM_FACTOR is 1.5 */
    uint8_t random;
    to_port_random(&random, 1);
    fetch->timeout_ms = fetch->link.ack_timeout_ms + (uint32_t)fetch->link.ack_timeout_ms * random / 510u;
    fetch->retransmissions = 0;
    fetch->state = AWAIT_ACK;
    transmit(fetch);
    return 1;
}

int to_fetch_start(to_fetch *fetch, const to_fetch_request *request) {
    fetch->request = *request;
    fetch->result = TO_FETCH_OK;
    fetch->code = TO_COAP_EMPTY;
    fetch->offset = request->offset;
    fetch->szx = fetch->link.szx < TO_COAP_BLOCK_SZX ? fetch->link.szx : TO_COAP_BLOCK_SZX;
    fetch->has_etag = 0;
    fetch->etag_length = 0;
    fetch->echo_length = 0;
    fetch->acknowledged = 0;
    if (request->payload.length > TO_FETCH_PAYLOAD_MAX || request->offset >= request->limit ||
        (request->method != TO_COAP_GET && request->offset > 0)) {
        finish(fetch, TO_FETCH_MALFORMED);
        return 0;
    }
    return send_next(fetch);
}

uint64_t to_fetch_poll(to_fetch *fetch) {
    if (fetch->state != IDLE && to_port_now_ms() >= fetch->deadline) {
        if (fetch->state == AWAIT_RESPONSE || fetch->retransmissions == fetch->link.max_retransmit) {
            finish(fetch, TO_FETCH_TIMEOUT);
        } else {
            fetch->retransmissions++;
            fetch->timeout_ms *= 2;
            transmit(fetch);
        }
    }
    return fetch->state == IDLE ? UINT64_MAX : fetch->deadline;
}

/* Responses */

static int is_same_etag(to_fetch *fetch, to_coap_slice etag) {
    if (!fetch->has_etag) {
        fetch->has_etag = 1;
        fetch->etag_length = (uint8_t)etag.length;
        if (etag.length > 0) {
            memcpy(fetch->etag, etag.bytes, etag.length);
        }
        return 1;
    }
    return etag.length == fetch->etag_length &&
           (etag.length == 0 || memcmp(etag.bytes, fetch->etag, etag.length) == 0);
}

/* Whether the block is the one that was asked for: it may be smaller, but starts at the same byte. */
static int is_wanted_block(const to_fetch *fetch, const to_coap_message *message) {
    const to_coap_block *block = &message->block2;
    uint32_t length = message->payload.length;
    if (!block->present) {
        return length > fetch->offset || fetch->offset == 0;
    }
    if (block->szx > fetch->szx || (block->more && fetch->request.method != TO_COAP_GET)) {
        return 0;
    }
    uint32_t size = to_coap_block_bytes(block->szx);
    uint32_t start = block_start(fetch);
    if (block->number * size != start || (block->more ? length != size : length > size)) {
        return 0;
    }
    return start + length > fetch->offset || (!block->more && fetch->offset == 0);
}

static void take_content(to_fetch *fetch, const to_coap_message *message) {
    uint32_t start = message->block2.present ? block_start(fetch) : 0;
    uint32_t length = message->payload.length;
    if (length > fetch->request.limit || start > fetch->request.limit - length) {
        finish(fetch, TO_FETCH_TOO_LARGE);
        return;
    }
    uint32_t skip = fetch->offset - start;
    to_fetch_part part = {fetch->offset, length - skip, NULL, message->etag, !message->block2.more};
    part.bytes = part.size > 0 ? message->payload.bytes + skip : NULL;
    if (fetch->request.sink(fetch->request.context, &part) != 0) {
        finish(fetch, TO_FETCH_SINK);
    } else if (part.last) {
        finish(fetch, TO_FETCH_OK);
    } else if (start + length >= fetch->request.limit) { /* more without an end */
        finish(fetch, TO_FETCH_TOO_LARGE);
    } else {
        fetch->offset = start + length;
        fetch->szx = message->block2.szx;
        send_next(fetch);
    }
}

/* The server wants to know that the request is fresh. */
static void return_echo(to_fetch *fetch, to_coap_slice echo) {
    fetch->echo_length = (uint8_t)echo.length;
    memcpy(fetch->echo, echo.bytes, echo.length);
    send_next(fetch);
}

static void take_response(to_fetch *fetch, const to_coap_message *message) {
    fetch->code = message->code;
    if (message->code == TO_COAP_UNAUTHORIZED && message->echo.length > 0 && fetch->echo_length == 0) {
        return_echo(fetch, message->echo);
        return;
    }
    uint8_t wanted = fetch->request.method == TO_COAP_GET ? TO_COAP_CONTENT : TO_COAP_CHANGED;
    if (message->code >> 5 >= 4 && message->code >> 5 <= 5) {
        finish(fetch, TO_FETCH_REFUSED);
    } else if (message->code != wanted || message->bad_option != 0 || !is_wanted_block(fetch, message)) {
        finish(fetch, TO_FETCH_MALFORMED);
    } else if (!is_same_etag(fetch, message->etag)) {
        finish(fetch, TO_FETCH_ETAG);
    } else {
        take_content(fetch, message);
    }
}

static void acknowledge(to_fetch *fetch, const to_coap_message *message) {
    uint8_t bytes[4];
    to_coap_writer writer;
    to_coap_start(&writer, bytes, sizeof bytes, TO_COAP_ACK, TO_COAP_EMPTY, message->id, NULL, 0);
    to_port_send(&fetch->request.server, bytes, writer.length);
    fetch->acknowledged = 1;
    fetch->acknowledged_id = message->id;
}

static int take_empty(to_fetch *fetch, const to_coap_message *message) {
    if (fetch->state == IDLE || message->id != fetch->id) {
        return 0;
    }
    if (message->type == TO_COAP_RST) {
        finish(fetch, TO_FETCH_RESET);
        return 1;
    }
    if (message->type == TO_COAP_ACK && fetch->state == AWAIT_ACK) {
        fetch->state = AWAIT_RESPONSE;
        fetch->deadline = to_port_now_ms() + fetch->link.response_seconds * UINT64_C(1000);
    }
    return 1;
}

int to_fetch_receive(to_fetch *fetch, const to_endpoint *from, const to_coap_message *message) {
    if (!to_endpoint_equal(from, &fetch->request.server)) {
        return 0;
    }
    if (message->code == TO_COAP_EMPTY) {
        return take_empty(fetch, message);
    }
    if (message->type == TO_COAP_CON && fetch->acknowledged && message->id == fetch->acknowledged_id) {
        acknowledge(fetch, message); /* the first acknowledgement was lost */
        return 1;
    }
    if (fetch->state == IDLE || message->type == TO_COAP_RST ||
        message->token_length != sizeof fetch->token ||
        memcmp(message->token, fetch->token, sizeof fetch->token) != 0 ||
        (message->type == TO_COAP_ACK && message->id != fetch->id)) {
        return 0;
    }
    to_coap_message inner;
    if (fetch->security != NULL) {
        if (!fetch->security->unprotect(fetch->security->context, message, &inner)) {
            return 1;
        }
    }
    if (message->type == TO_COAP_CON) {
        acknowledge(fetch, message);
    }
    take_response(fetch, fetch->security != NULL ? &inner : message);
    return 1;
}

#else

typedef int to_fetch_needs_a_network; /* ISO C forbids an empty translation unit */

#endif
