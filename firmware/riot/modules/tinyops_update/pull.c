/* Updates that the device fetches itself: the steps are those of to_pull.c, its requests go by nanocoap_sock,
 * which retransmits, acknowledges and waits for separate responses. The device is not locked meanwhile. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "auto_init_utils.h"
#include "irq.h"
#include "net/nanocoap_sock.h"
#include "net/sock/util.h"
#include "thread.h"
#include "thread_flags.h"
#include "tinyops.h"
#include "tinyops/to_port.h"
#include "tinyops/to_pull.h"
#include "tinyops_update.h"
#include "ztimer.h"

#define WAKE (1u << 0)

/* The kind of endpoints that are reached by nanocoap_sock, not by the socket of the device's own server. */
#define SERVER 0x80u
#define SLEEP_MAX_MS 60000u

/* "[" address "]:" port */
#define AUTHORITY_MAX (TO_URI_HOST_MAX + 9u)

static to_pull pull;
static to_pull_settings settings;
static uint8_t device_id[16];
static kernel_pid_t thread = KERNEL_PID_UNDEF;
static char stack[CONFIG_TINYOPS_UPDATE_STACK_BYTES];

/* The request that is to go out, in the buffer of `pull.fetch`. */
static size_t request_bytes;
static to_endpoint request_to;

/* Where the socket is connected to. */
static nanocoap_sock_t sock;
static to_endpoint connected;
static int is_connected;

/* A fetch sends, from within to_pull_poll or from within take_response: its request goes out thereafter. */
static void note_request(const to_endpoint *to, const uint8_t *message, size_t length) {
    if (message == pull.fetch.frame) {
        request_bytes = length;
        request_to = *to;
    }
}

/* Of an endpoint's scope, behind the interface. */
enum { IS_IPV4 = 3 };

int to_port_resolve(const char *host, uint16_t port, to_endpoint *endpoint) {
    char text[AUTHORITY_MAX];
    sock_udp_ep_t found;
    int is_literal = strchr(host, ':') != NULL;
    snprintf(text, sizeof text, is_literal ? "[%s]:%u" : "%s:%u", host, (unsigned)port);
    if (sock_udp_name2ep(&found, text) != 0 || (found.family != AF_INET6 && found.family != AF_INET)) {
        return -1;
    }
    memset(endpoint, 0, sizeof *endpoint);
    endpoint->kind = SERVER;
    memcpy(endpoint->address, &found.addr, found.family == AF_INET6 ? 16 : 4);
    memcpy(endpoint->scope, &found.netif, sizeof found.netif);
    endpoint->scope[IS_IPV4] = found.family == AF_INET;
    endpoint->port[0] = (uint8_t)(found.port >> 8);
    endpoint->port[1] = (uint8_t)(found.port & 0xFFu);
    return 0;
}

static int connect_to(const to_endpoint *endpoint) {
    sock_udp_ep_t remote;
    if (is_connected && to_endpoint_equal(&connected, endpoint)) {
        return 0;
    }
    if (is_connected) {
        nanocoap_sock_close(&sock);
        is_connected = 0;
    }
    memset(&remote, 0, sizeof remote);
    remote.family = endpoint->scope[IS_IPV4] ? AF_INET : AF_INET6;
    memcpy(&remote.addr, endpoint->address, endpoint->scope[IS_IPV4] ? 4 : 16);
    memcpy(&remote.netif, endpoint->scope, sizeof remote.netif);
    remote.port = (uint16_t)(endpoint->port[0] << 8 | endpoint->port[1]);
    int result = nanocoap_sock_connect(&sock, NULL, &remote);
    if (result == 0) {
        is_connected = 1;
        connected = *endpoint;
    }
    return result;
}

static int take_response(void *context, coap_pkt_t *packet) {
    const to_endpoint *from = context;
    to_coap_message message;
    if (to_coap_parse(&message, packet->buf, coap_get_total_len(packet)) != TO_COAP_OK) {
        return -EBADMSG;
    }
    if (message.type == TO_COAP_CON) {
        message.type = TO_COAP_NON; /* it was acknowledged */
    }
    tinyops_lock();
    to_fetch_receive(&pull.fetch, from, &message); /* may write the next request */
    tinyops_unlock();
    return 0;
}

/* Sends what was written and waits for the answer. Without one, the fetch comes to its end by the clock. */
static void exchange(void) {
    coap_pkt_t packet;
    to_endpoint to = request_to;
    size_t length = request_bytes;
    request_bytes = 0;
    memset(&packet, 0, sizeof packet);
    if (connect_to(&to) == 0 && coap_parse_udp(&packet, pull.fetch.frame, length) >= 0) {
        nanocoap_sock_request_cb(&sock, &packet, take_response, &to);
    }
}

static void sleep_until(uint64_t next) {
    static ztimer_t timer;
    uint64_t now = to_port_now_ms();
    uint64_t wait = next > now ? next - now : 0;
    if (wait > 0) {
        ztimer_set_timeout_flag(ZTIMER_MSEC, &timer, (uint32_t)(wait < SLEEP_MAX_MS ? wait : SLEEP_MAX_MS));
        thread_flags_wait_any(WAKE | THREAD_FLAG_TIMEOUT);
        ztimer_remove(ZTIMER_MSEC, &timer);
    }
}

static to_reason trigger(void *context, const uint8_t *uri, uint32_t length) {
    to_reason reason = to_pull_trigger(context, uri, length);
    thread_flags_set(thread_get(thread), WAKE);
    return reason;
}

/* For the thread that serves: a new model may wait for its trial. */
static void do_nothing(event_t *event) { (void)event; }

static void start_pull(void) {
    static tinyops_link link = {.first_kind = SERVER, .last_kind = SERVER, .send = note_request};
    tinyops_add_link(&link);
    tinyops_lock();
    tinyops_update_device_id(device_id);
    settings.check_in_seconds = CONFIG_TINYOPS_UPDATE_CHECK_IN_SECONDS;
    settings.device_id = device_id;
    settings.device_id_bytes = sizeof device_id;
    settings.class_id = to_device_update.class_id;
    settings.version = TINYOPS_VERSION;
    settings.link.ack_timeout_ms = CONFIG_COAP_ACK_TIMEOUT_MS;
    settings.link.max_retransmit = 0; /* nanocoap_sock does that */
    settings.link.szx = CONFIG_TINYOPS_UPDATE_BLOCK_SZX;
    settings.link.response_seconds = CONFIG_COAP_SEPARATE_RESPONSE_TIMEOUT_MS / 1000;
    to_pull_start(&pull, tinyops_device.update, &settings);
    tinyops_device.trigger = trigger;
    tinyops_device.trigger_context = &pull;
    tinyops_unlock();
}

static void *run(void *argument) {
    static event_t wake_server = {.handler = do_nothing};
    (void)argument;
    thread = thread_getpid();
    start_pull();
    unsigned state = irq_disable();
    sched_change_priority(thread_get_active(), CONFIG_TINYOPS_UPDATE_PRIORITY);
    irq_restore(state);
    for (;;) {
        tinyops_lock();
        uint64_t next = to_pull_poll(&pull);
        tinyops_unlock();
        if (request_bytes > 0) {
            exchange();
            event_post(&tinyops_queue, &wake_server);
        } else {
            sleep_until(next);
        }
    }
    return NULL;
}

static void start_tinyops_update(void) {
    if (CONFIG_TINYOPS_UPDATE_SERVER[0] != '\0') {
        settings.server = CONFIG_TINYOPS_UPDATE_SERVER;
    }
    thread_create(stack, sizeof stack, THREAD_PRIORITY_MAIN - 1, 0, run, NULL, "tinyops_update");
}

/* Behind networks and storage; by its first priority it is ready for a trigger before a request is served. */
AUTO_INIT(start_tinyops_update, 2001);

void tinyops_update_set_server(const char *server) {
    tinyops_lock();
    settings.server = server;
    tinyops_unlock();
    thread_flags_set(thread_get(thread), WAKE);
}
