/* The thread of tinyops_update_pull in this process: RIOT's functions are called back, the update is a record
 * of what it was given. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "irq.h"
#include "net/nanocoap_sock.h"
#include "net/sock/util.h"
#include "thread_flags.h"
#include "tinyops.h"
#include "tinyops/to_pull.h"
#include "tinyops_update.h"
#include "ztimer.h"

/* A request goes out: what comes back, its length in the result; 0: nothing, -1: it cannot be sent. */
typedef int (*exchange_function)(const uint8_t *request, uint32_t size, const char *to, uint8_t *answer);

/* The thread sleeps for so many milliseconds at most: the test may do something; 0: that was all. */
typedef int (*sleep_function)(uint32_t milliseconds);

static exchange_function exchange;
static sleep_function sleeps;
static jmp_buf end;
static thread_task_func_t task;
static uint64_t now = 1000;
static uint64_t wake_at;
static thread_t thread;
static int locks, flags, priority, posted, interrupts_off;
static char connected[80];
static unsigned connections, open_sockets;
static tinyops_link *links;

to_device tinyops_device;
event_queue_t tinyops_queue;
static uint8_t class_id[16];
const to_update_config to_device_update = {.class_id = class_id};

/* The device */

void tinyops_lock(void) { locks++; }
void tinyops_unlock(void) { locks--; }
void tinyops_add_link(tinyops_link *link) { links = link; }
void event_post(event_queue_t *queue, event_t *event) {
    posted++;
    event->handler(event);
    (void)queue;
}
void tinyops_update_device_id(uint8_t id[16]) { memset(id, 0x42, 16); }

uint64_t to_port_now_ms(void) { return now; }
void to_port_random(uint8_t *bytes, size_t n) {
    static uint8_t next;
    while (n-- > 0) {
        *bytes++ = next++;
    }
}
void to_port_send(const to_endpoint *to, const uint8_t *message, size_t length) {
    if (links == NULL || to->kind < links->first_kind || to->kind > links->last_kind) {
        abort();
    }
    links->send(to, message, length);
}

/* RIOT */

kernel_pid_t thread_create(char *stack, int size, uint8_t priority_of, int options,
                           thread_task_func_t function, void *argument, const char *name) {
    (void)stack, (void)size, (void)options, (void)argument, (void)name;
    priority = priority_of;
    task = function;
    return 1;
}
kernel_pid_t thread_getpid(void) { return 1; }
thread_t *thread_get(kernel_pid_t pid) { return pid == 1 ? &thread : NULL; }
thread_t *thread_get_active(void) { return &thread; }
unsigned irq_disable(void) { return (unsigned)interrupts_off++; }
void irq_restore(unsigned state) { interrupts_off = (int)state; }
void sched_change_priority(thread_t *of, uint8_t to) {
    if (of != &thread || !interrupts_off) {
        abort();
    }
    priority = to;
}
void thread_flags_set(thread_t *of, thread_flags_t mask) {
    if (of != &thread) {
        abort();
    }
    flags |= mask;
}
static ztimer_clock_t milliseconds;
ztimer_clock_t *const ZTIMER_MSEC = &milliseconds;
void ztimer_set_timeout_flag(ztimer_clock_t *clock, ztimer_t *timer, uint32_t timeout) {
    (void)clock, (void)timer;
    wake_at = now + timeout;
}
void ztimer_remove(ztimer_clock_t *clock, ztimer_t *timer) { (void)clock, (void)timer; }

thread_flags_t thread_flags_wait_any(thread_flags_t mask) {
    (void)mask;
    if (locks != 0) {
        abort();
    }
    if (!flags && !sleeps((uint32_t)(wake_at - now))) {
        longjmp(end, 1);
    }
    if (!flags) {
        now = wake_at;
    }
    flags = 0;
    return 1;
}

int sock_udp_name2ep(sock_udp_ep_t *endpoint, const char *text) {
    memset(endpoint, 0, sizeof *endpoint);
    endpoint->family = strncmp(text, "ipv4:", 5) == 0 ? AF_INET : AF_INET6;
    strncpy((char *)endpoint->addr.ipv6, text, 15); /* enough to tell hosts apart */
    const char *colon = strrchr(text, ':');
    endpoint->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    endpoint->netif = 0x1234;
    return strncmp(text, "unknown:", 8) == 0 ? -1 : 0;
}

int nanocoap_sock_connect(nanocoap_sock_t *sock, const sock_udp_ep_t *local, const sock_udp_ep_t *remote) {
    if (local != NULL || remote->netif != 0x1234 || sock->is_open) {
        abort();
    }
    strncpy(connected, (const char *)remote->addr.ipv6, sizeof connected - 1);
    sock->is_open = 1;
    connections++;
    open_sockets++;
    return 0;
}
void nanocoap_sock_close(nanocoap_sock_t *sock) {
    sock->is_open = 0;
    open_sockets--;
}

ssize_t coap_parse_udp(coap_pkt_t *packet, uint8_t *bytes, size_t length) {
    packet->buf = bytes;
    packet->payload = bytes + 4;
    packet->payload_len = (uint16_t)(length - 4);
    return 0;
}
unsigned coap_get_total_len(const coap_pkt_t *packet) {
    return (unsigned)(packet->payload - packet->buf) + packet->payload_len;
}

ssize_t nanocoap_sock_request_cb(nanocoap_sock_t *sock, coap_pkt_t *packet, coap_request_cb_t take,
                                 void *argument) {
    static uint8_t answer[1500];
    coap_pkt_t response;
    if (locks != 0 || !sock->is_open) {
        abort(); /* others would wait for the server, too */
    }
    int length = exchange(packet->buf, coap_get_total_len(packet), connected, answer);
    if (length <= 0) {
        now += length == 0 ? 60000 : 0;
        return -110;
    }
    coap_parse_udp(&response, answer, (size_t)length);
    int result = take(argument, &response);
    if (locks != 0) {
        abort();
    }
    return result;
}

/* The update: takes any manifest, and then `payload_bytes` of the payload. */

static uint8_t manifest[1024], payload[4096];
static uint32_t manifest_bytes, payload_bytes, payload_received, want_from;
static int wants, cancelled;
static char want_uri[64];

static void need_lock(void) {
    if (locks == 0) {
        abort();
    }
}

int to_update_manifest_part(to_update *update, uint32_t offset, const uint8_t *bytes, uint32_t size, int last,
                            uint32_t *wanted) {
    (void)update, (void)wanted;
    need_lock();
    memcpy(manifest + offset, bytes, size);
    manifest_bytes = offset + size;
    wants = last;
    payload_received = want_from;
    return TO_REASON_OK;
}
int to_update_wants(const to_update *update, to_update_want *want) {
    (void)update;
    *want = (to_update_want){"model", (const uint8_t *)want_uri, (uint16_t)strlen(want_uri), payload_received,
                             payload_bytes};
    return wants;
}
int to_update_data(to_update *update, uint32_t offset, const uint8_t *bytes, uint32_t size, int last) {
    (void)update;
    need_lock();
    if (offset > payload_received || offset + size > sizeof payload) {
        return TO_UPDATE_WRONG_OFFSET;
    }
    memcpy(payload + offset, bytes, size);
    payload_received = offset + size;
    wants = !last;
    return TO_REASON_OK;
}
to_reason to_update_etag(to_update *update, const uint8_t *etag, uint8_t length) {
    (void)update, (void)etag, (void)length;
    return TO_REASON_OK;
}
void to_update_cancel(to_update *update, to_reason reason) {
    (void)update;
    need_lock();
    cancelled = (int)reason;
    wants = 0;
}
void to_update_get_status(const to_update *update, to_update_status *status) {
    static const uint8_t digest[32];
    (void)update;
    memset(status, 0, sizeof *status);
    status->state = wants ? TO_UPDATE_DOWNLOADING : TO_UPDATE_IDLE;
    status->model = digest;
}
int to_update_is_due(const to_update *update) {
    (void)update;
    return 0;
}
void to_update_set_time(to_update *update, uint64_t seconds) { (void)update, (void)seconds; }
uint32_t to_update_describe_report(const to_update *update, uint8_t *window, uint32_t skip, uint32_t size) {
    (void)update, (void)window, (void)skip, (void)size;
    return 0;
}
const char *to_update_state_name(to_update_state state) {
    return state == TO_UPDATE_IDLE ? "idle" : "downloading";
}

/* Plain calls */

extern void (*const __start_auto_init[])(void) __attribute__((visibility("hidden")));

/* Runs the thread until `sleep` returns 0; the payload is wanted from `from` on. */
void tool_run(exchange_function requests, sleep_function sleep, const char *uri, uint32_t bytes,
              uint32_t from) {
    exchange = requests;
    sleeps = sleep;
    strncpy(want_uri, uri, sizeof want_uri - 1);
    payload_bytes = bytes;
    want_from = from;
    __start_auto_init[0]();
    if (setjmp(end) == 0) {
        task(NULL);
    }
}

int tool_trigger(const char *uri) {
    tinyops_lock();
    int reason = (int)tinyops_device.trigger(tinyops_device.trigger_context, (const uint8_t *)uri,
                                             (uint32_t)strlen(uri));
    tinyops_unlock();
    return reason;
}
void tool_server(const char *server) { tinyops_update_set_server(server); }
const uint8_t *tool_manifest(uint32_t *bytes) {
    *bytes = manifest_bytes;
    return manifest;
}
const uint8_t *tool_payload(uint32_t *bytes) {
    *bytes = payload_received;
    return payload;
}
int tool_cancelled(void) { return cancelled; }
int tool_priority(void) { return priority; }
int tool_posted(void) { return posted; }
unsigned tool_connections(void) { return connections; }
unsigned tool_open_sockets(void) { return open_sockets; }
