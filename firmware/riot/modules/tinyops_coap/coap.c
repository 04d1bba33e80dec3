/* The device's resources in gcoap, beside those of the application.
 *
 * gcoap calls handlers in its own thread, and they cannot answer later. So a request is copied and handed to
 * the thread that serves the device. Its first message (an answer, or the acknowledgement that precedes a
 * long inference) is what the handler returns; what follows is a confirmable message of its own, which gcoap
 * sends, and sends again until it is acknowledged. As long as an inference goes on, other requests are left
 * unanswered and come again; each holds gcoap and the resources of the application up for
 * CONFIG_TINYOPS_COAP_WAIT_MS at most. */
#include <string.h>

#include "auto_init_utils.h"
#include "mutex.h"
#include "net/gcoap.h"
#include "tinyops.h"
#include "ztimer.h"

#if CONFIG_GCOAP_PDU_BUF_SIZE < TO_SLIPMUX_MESSAGE_MAX
#error                                                                                                       \
    "CONFIG_GCOAP_PDU_BUF_SIZE is less than a block of 16 << CONFIG_TINYOPS_BLOCK_EXPONENT bytes and 100 bytes"
#endif

/* RFC 7252, section 3: type, token length, code, message id. */
#define HEADER_BYTES 4u

static struct {
    event_t event;
    mutex_t free;     /* held from the handing over until the device is done */
    mutex_t answered; /* the handler waits for it */
    mutex_t guard;    /* of what follows */
    uint8_t busy;
    uint8_t waiting; /* the handler takes the next message */
    uint8_t *answer;
    size_t room;
    size_t length;

    to_endpoint from;
    sock_udp_ep_t local; /* where the request came to; of no family: at a multicast address */
    size_t request_length;
    uint8_t request[TO_SLIPMUX_MESSAGE_MAX];
} handed;

/* Endpoints */

static void put_16(uint8_t bytes[2], uint16_t value) {
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)(value & 0xFFu);
}

static uint16_t get_16(const uint8_t bytes[2]) { return (uint16_t)(bytes[0] << 8 | bytes[1]); }

/* Of a network without IPv6 the stack's addresses have room for IPv4 alone. */
static size_t address_bytes(const to_endpoint *endpoint) {
    return endpoint->kind == TO_ENDPOINT_IPV6 ? sizeof((sock_udp_ep_t *)NULL)->addr : 4u;
}

/* The scope has the interface and gcoap's type of transport. */
static void from_remote(to_endpoint *endpoint, const sock_udp_ep_t *remote, uint32_t transport) {
    memset(endpoint, 0, sizeof *endpoint);
    endpoint->kind = remote->family == AF_INET6 ? TO_ENDPOINT_IPV6 : TO_ENDPOINT_IPV4;
    memcpy(endpoint->address, &remote->addr, address_bytes(endpoint));
    put_16(endpoint->scope, remote->netif);
    endpoint->scope[2] = (uint8_t)transport;
    put_16(endpoint->port, remote->port);
}

static void to_remote(sock_udp_ep_t *remote, const to_endpoint *endpoint) {
    memset(remote, 0, sizeof *remote);
    remote->family = endpoint->kind == TO_ENDPOINT_IPV6 ? AF_INET6 : AF_INET;
    memcpy(&remote->addr, endpoint->address, address_bytes(endpoint));
    remote->netif = get_16(endpoint->scope);
    remote->port = get_16(endpoint->port);
}

/* In the thread that serves, with the lock of the device */

static uint8_t serving; /* the request in `handed` */

/* Gives the handler a message to return, or none; 0 when it does not wait (any more). */
static int give(const uint8_t *message, size_t length) {
    mutex_lock(&handed.guard);
    int waits = handed.waiting;
    if (waits) {
        handed.waiting = 0;
        handed.length = length <= handed.room ? length : 0;
        if (handed.length > 0) {
            memcpy(handed.answer, message, handed.length);
        }
        mutex_unlock(&handed.answered);
    }
    mutex_unlock(&handed.guard);
    return waits;
}

static void serve(event_t *event) {
    (void)event;
    serving = 1;
    to_device_datagram(&tinyops_device, &handed.from, handed.request, handed.request_length);
    serving = 0;
    give(NULL, 0);
    mutex_lock(&handed.guard);
    handed.busy = 0;
    mutex_unlock(&handed.guard);
    mutex_unlock(&handed.free);
}

/* gcoap sends it again until it is acknowledged, so the device need not. */
static void leave_to_gcoap(const to_endpoint *to) {
    for (unsigned i = 0; i < TO_DEVICE_PEERS; i++) {
        to_device_peer *peer = &tinyops_device.peers[i];
        if (to_endpoint_equal(&peer->endpoint, to)) {
            peer->unacknowledged = 0;
        }
    }
}

/* gcoap has room for few messages that wait for an acknowledgement, which a client that is gone never sends.
 * Without room it sends none but non-confirmable ones, as which a response may come, too (RFC 7252,
 * section 5.2.3); that it comes again is left to the device. */
static void send_unkept(const uint8_t *message, size_t length, const sock_udp_ep_t *remote,
                        const sock_udp_ep_t *local, gcoap_socket_type_t transport) {
    static uint8_t copy[TO_SLIPMUX_MESSAGE_MAX];
    if (length <= sizeof copy) {
        memcpy(copy, message, length);
        copy[0] = (uint8_t)((copy[0] & 0xCFu) | COAP_TYPE_NON << 4);
        gcoap_req_send(copy, length, remote, local, NULL, NULL, transport);
    }
}

static void deliver(const to_endpoint *to, const uint8_t *message, size_t length) {
    int is_current = serving && to_endpoint_equal(to, &handed.from);
    uint8_t type = message[0] >> 4 & 3u;
    if (is_current && give(message, length)) {
        return;
    }
    if (type == COAP_TYPE_ACK || type == COAP_TYPE_RST) {
        return; /* came too late: the request will come again */
    }
    const sock_udp_ep_t *local = is_current && handed.local.family != AF_UNSPEC ? &handed.local : NULL;
    sock_udp_ep_t remote;
    to_remote(&remote, to);
    gcoap_socket_type_t transport = (gcoap_socket_type_t)to->scope[2];
    if (gcoap_req_send(message, length, &remote, local, NULL, NULL, transport) > 0) {
        leave_to_gcoap(to);
    } else {
        send_unkept(message, length, &remote, local, transport);
    }
}

/* In gcoap's thread */

/* A repetition of the request that is being answered is acknowledged again, when it was before. */
static size_t acknowledge_repeated(const to_endpoint *from, const uint8_t *request, uint8_t *answer) {
    size_t length = 0;
    mutex_lock(&handed.guard);
    if (handed.busy && !handed.waiting && handed.length == HEADER_BYTES &&
        (request[0] >> 4 & 3u) == COAP_TYPE_CON && to_endpoint_equal(from, &handed.from) &&
        memcmp(request + 2, handed.request + 2, 2) == 0) {
        answer[0] = 1u << 6 | COAP_TYPE_ACK << 4;
        answer[1] = TO_COAP_EMPTY; /* the message id stays */
        length = HEADER_BYTES;
    }
    mutex_unlock(&handed.guard);
    return length;
}

static ssize_t handle(coap_pkt_t *packet, uint8_t *buffer, size_t size, coap_request_ctx_t *context) {
    to_endpoint from;
    const uint8_t *request = packet->buf;
    size_t length = (size_t)(packet->payload - packet->buf) + packet->payload_len;
    from_remote(&from, context->remote_udp, context->tl_type);
    if (length > sizeof handed.request) {
        return gcoap_response(packet, buffer, size, COAP_CODE_REQUEST_ENTITY_TOO_LARGE);
    }
    size_t repeated = acknowledge_repeated(&from, request, buffer);
    if (repeated > 0) {
        return (ssize_t)repeated;
    }
    if (ztimer_mutex_lock_timeout(ZTIMER_MSEC, &handed.free, CONFIG_TINYOPS_COAP_WAIT_MS) != 0) {
        return 0;
    }
    memcpy(handed.request, request, length);
    handed.request_length = length;
    handed.from = from;
    memset(&handed.local, 0, sizeof handed.local);
    if (context->local_udp != NULL) {
        handed.local = *context->local_udp;
    }
    handed.answer = buffer;
    handed.room = size;
    handed.length = 0;
    handed.waiting = 1;
    handed.busy = 1;
    event_post(&tinyops_queue, &handed.event);

    int timeout = ztimer_mutex_lock_timeout(ZTIMER_MSEC, &handed.answered, CONFIG_TINYOPS_COAP_WAIT_MS);
    mutex_lock(&handed.guard);
    if (timeout != 0 && !handed.waiting) { /* it came in the last moment */
        mutex_lock(&handed.answered);
    }
    handed.waiting = 0;
    size_t answered = handed.length;
    mutex_unlock(&handed.guard);
    return (ssize_t)answered;
}

#define METHODS (COAP_GET | COAP_POST | COAP_PUT | COAP_DELETE | COAP_FETCH | COAP_PATCH | COAP_IPATCH)

/* In the order that gcoap wants; which methods there are, the resources themselves know. */
static const coap_resource_t resources[] = {
    {"/infer", METHODS, handle, NULL},         {"/info", METHODS, handle, NULL},
    {"/profile", METHODS, handle, NULL},       {"/reset", METHODS, handle, NULL},
#ifdef TO_UPDATABLE
    {"/status", METHODS, handle, NULL},        {"/suit/cancel", METHODS, handle, NULL},
    {"/suit/manifest", METHODS, handle, NULL}, {"/suit/payload", METHODS, handle, NULL},
    {"/suit/report", METHODS, handle, NULL},   {"/suit/state", METHODS, handle, NULL},
    {"/suit/trigger", METHODS, handle, NULL},
#endif
};

static void start_tinyops_coap(void) {
    static gcoap_listener_t listener = {
        .resources = resources,
        .resources_len = ARRAY_SIZE(resources),
        .tl_type = GCOAP_SOCKET_TYPE_UNDEF,
    };
    static tinyops_link link = {
        .first_kind = TO_ENDPOINT_IPV4, .last_kind = TO_ENDPOINT_IPV6, .send = deliver};
    mutex_init(&handed.free);
    mutex_init(&handed.guard);
    mutex_init_locked(&handed.answered);
    handed.event.handler = serve;
    tinyops_add_link(&link);
    gcoap_register_listener(&listener);
}

/* Before gcoap's thread is there (1240), which would answer that there are no such resources. */
AUTO_INIT(start_tinyops_coap, 1230);
