/* gcoap on UDP, as the module tinyops_coap sees it: handlers are called in its one thread, and confirmable
 * messages that are given to it are sent again until they are acknowledged. Says its port; ends with its
 * input. */
#include "net/gcoap.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "riot_threads.h"
#include "thread.h"
#include "tinyops.h"
#include "ztimer.h"

#define ACK_TIMEOUT_MS 400u
#define MAX_RETRANSMIT 4u
#define RESEND_BUFFERS 1

typedef struct {
    size_t length; /* 0: it is free */
    unsigned sent;
    uint32_t due;
    sock_udp_ep_t remote;
    uint8_t message[CONFIG_GCOAP_PDU_BUF_SIZE];
} resend;

static resend resends[RESEND_BUFFERS];
static gcoap_listener_t *listeners;
static int opened;

static void send_to(const sock_udp_ep_t *remote, const uint8_t *message, size_t length) {
    struct sockaddr_in6 address;
    memset(&address, 0, sizeof address);
    address.sin6_family = AF_INET6;
    memcpy(&address.sin6_addr, remote->addr.ipv6, 16);
    address.sin6_port = htons(remote->port);
    address.sin6_scope_id = remote->netif;
    (void)sendto(opened, message, length, 0, (struct sockaddr *)&address, sizeof address);
}

void gcoap_register_listener(gcoap_listener_t *listener) {
    listener->next = listeners;
    listeners = listener;
}

ssize_t gcoap_response(coap_pkt_t *pdu, uint8_t *buf, size_t len, unsigned code) {
    (void)len;
    buf[0] = (uint8_t)((pdu->buf[0] & 0x4Fu) | COAP_TYPE_ACK << 4);
    buf[1] = (uint8_t)code;
    return 4 + (pdu->buf[0] & 0xF);
}

ssize_t gcoap_req_send(const uint8_t *buf, size_t len, const sock_udp_ep_t *remote,
                       const sock_udp_ep_t *local, void (*handler)(void), void *context,
                       gcoap_socket_type_t tl_type) {
    int place = -1;
    unsigned type = buf[0] >> 4 & 3u;
    (void)local;
    if (handler != NULL || context != NULL || tl_type != GCOAP_SOCKET_TYPE_UDP ||
        len > CONFIG_GCOAP_PDU_BUF_SIZE) {
        abort();
    }
    riot_lock();
    for (int i = 0; type == COAP_TYPE_CON && i < RESEND_BUFFERS; i++) {
        if (resends[i].length == 0) {
            place = i;
        }
    }
    if (place >= 0) {
        resends[place].length = len;
        resends[place].sent = 0;
        resends[place].due = ztimer_now(ZTIMER_MSEC) + ACK_TIMEOUT_MS;
        resends[place].remote = *remote;
        memcpy(resends[place].message, buf, len);
    }
    riot_unlock();
    if (type == COAP_TYPE_CON && place < 0) {
        return 0;
    }
    send_to(remote, buf, len);
    return (ssize_t)len;
}

static void send_again(void) {
    uint32_t now = ztimer_now(ZTIMER_MSEC);
    riot_lock();
    for (int i = 0; i < RESEND_BUFFERS; i++) {
        resend *one = &resends[i];
        if (one->length > 0 && (int32_t)(now - one->due) >= 0) {
            if (one->sent++ == MAX_RETRANSMIT) {
                one->length = 0;
                continue;
            }
            one->due = now + (ACK_TIMEOUT_MS << one->sent);
            send_to(&one->remote, one->message, one->length);
        }
    }
    riot_unlock();
}

static void acknowledged(const to_coap_message *message) {
    riot_lock();
    for (int i = 0; i < RESEND_BUFFERS; i++) {
        if (resends[i].length > 0 && (resends[i].message[2] << 8 | resends[i].message[3]) == message->id) {
            resends[i].length = 0;
        }
    }
    riot_unlock();
}

static const coap_resource_t *find(const to_coap_message *message) {
    char path[64] = "";
    for (uint8_t i = 0; i < message->path_segments && i < TO_COAP_PATH_MAX; i++) {
        size_t end = strlen(path);
        (void)snprintf(path + end, sizeof path - end, "/%.*s", (int)message->path[i].length,
                       (const char *)message->path[i].bytes);
    }
    for (const gcoap_listener_t *listener = listeners; listener != NULL; listener = listener->next) {
        for (size_t i = 0; i < listener->resources_len; i++) {
            if (strcmp(listener->resources[i].path, path) == 0) {
                return &listener->resources[i];
            }
        }
    }
    return NULL;
}

static void receive(uint8_t *buffer, size_t length, sock_udp_ep_t *remote, sock_udp_ep_t *local) {
    to_coap_message message;
    coap_pkt_t packet = {.buf = buffer};
    if (to_coap_parse(&message, buffer, length) == TO_COAP_IGNORE) {
        return;
    }
    if (message.code == TO_COAP_EMPTY) {
        if (message.type == TO_COAP_ACK || message.type == TO_COAP_RST) {
            acknowledged(&message);
        } else if (message.type == TO_COAP_CON) {
            buffer[0] = 1u << 6 | COAP_TYPE_RST << 4;
            send_to(remote, buffer, 4);
        }
        return;
    }
    /* In RIOT the payload is told apart; a handler sees where both parts are. */
    packet.payload_len = message.payload.length;
    packet.payload = buffer + length - packet.payload_len;
    const coap_resource_t *resource = find(&message);
    coap_request_ctx_t context = {remote, local, GCOAP_SOCKET_TYPE_UDP};
    ssize_t answer = resource == NULL
                         ? gcoap_response(&packet, buffer, CONFIG_GCOAP_PDU_BUF_SIZE, TO_COAP_NOT_FOUND)
                         : resource->handler(&packet, buffer, CONFIG_GCOAP_PDU_BUF_SIZE, &context);
    if (answer > 0) {
        send_to(remote, buffer, (size_t)answer);
    }
}

static void open_socket(sock_udp_ep_t *local) {
    struct sockaddr_in6 address;
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    opened = socket(AF_INET6, SOCK_DGRAM, 0);
    if (opened < 0 || bind(opened, (struct sockaddr *)&address, size) != 0 ||
        getsockname(opened, (struct sockaddr *)&address, &size) != 0) {
        perror("socket");
        exit(1);
    }
    memset(local, 0, sizeof *local);
    local->family = AF_INET6;
    local->port = ntohs(address.sin6_port);
}

#ifdef TOOL_WORKLOAD
/* The application's own inferences, as fast as it gets to them; ends the program when one is wrong. */
static void *work(void *context) {
    uint8_t data[1500], loops[8] = {0};
    uint8_t sum[1500], total[8];
    const void *inputs[] = {data, loops};
    void *outputs[] = {sum, total};
    (void)context;
    for (uint32_t round = 0;; round++) {
        memset(data, (int)(round & 255u), sizeof data);
        if (tinyops_infer(inputs, outputs) != 0) {
            usleep(200);
            continue;
        }
        for (size_t i = 0; i < sizeof sum; i++) {
            if (sum[i] != (uint8_t)(data[i] + total[4])) {
                fprintf(stderr, "the application's outputs are wrong\n");
                _exit(1);
            }
        }
    }
    return NULL;
}

static void start_work(void) {
    static char stack[CONFIG_TINYOPS_STACK_BYTES];
    thread_create(stack, sizeof stack, 7, 0, work, NULL, "work");
}
#else
static void start_work(void) {}
#endif

int main(void) {
    static uint8_t buffer[CONFIG_GCOAP_PDU_BUF_SIZE];
    sock_udp_ep_t local;
    open_socket(&local);
    riot_start();
    start_work();
    printf("listening on %u\n", (unsigned)local.port);
    fflush(stdout);
    for (;;) {
        struct pollfd waited[] = {{opened, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        if (poll(waited, 2, 20) < 0 || waited[1].revents != 0) {
            _exit(0);
        }
        send_again();
        if (waited[0].revents == 0) {
            continue;
        }
        struct sockaddr_in6 from;
        socklen_t size = sizeof from;
        ssize_t length = recvfrom(opened, buffer, sizeof buffer, MSG_TRUNC, (struct sockaddr *)&from, &size);
        if (length <= 0) {
            continue;
        }
        sock_udp_ep_t remote;
        memset(&remote, 0, sizeof remote);
        remote.family = AF_INET6;
        memcpy(remote.addr.ipv6, &from.sin6_addr, 16);
        remote.port = ntohs(from.sin6_port);
        remote.netif = (uint16_t)from.sin6_scope_id;
        if ((size_t)length > sizeof buffer) {
            coap_pkt_t packet = {.buf = buffer};
            send_to(
                &remote, buffer,
                (size_t)gcoap_response(&packet, buffer, sizeof buffer, COAP_CODE_REQUEST_ENTITY_TOO_LARGE));
            continue;
        }
        receive(buffer, (size_t)length, &remote, &local);
    }
}
