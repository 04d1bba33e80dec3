/* RIOT's gcoap, as far as resources and separate responses need it. */
#ifndef NET_GCOAP_H
#define NET_GCOAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define COAP_TYPE_CON 0
#define COAP_TYPE_NON 1
#define COAP_TYPE_ACK 2
#define COAP_TYPE_RST 3
#define COAP_CODE_REQUEST_ENTITY_TOO_LARGE 0x8D

typedef enum {
    COAP_GET = 0x01,
    COAP_POST = 0x02,
    COAP_PUT = 0x04,
    COAP_DELETE = 0x08,
    COAP_FETCH = 0x10,
    COAP_PATCH = 0x20,
    COAP_IPATCH = 0x40
} coap_method_flags_t;

typedef struct {
    int family;
    union {
        uint8_t ipv6[16];
        uint8_t ipv4[4];
    } addr;
    uint16_t netif;
    uint16_t port;
} sock_udp_ep_t;

typedef struct {
    uint8_t *buf;
    uint8_t *payload;
    uint16_t payload_len;
} coap_pkt_t;

typedef struct {
    sock_udp_ep_t *remote_udp;
    sock_udp_ep_t *local_udp;
    uint32_t tl_type;
} coap_request_ctx_t;

/* Returns the bytes of the answer in `buf`; 0: none. */
typedef ssize_t (*coap_handler_t)(coap_pkt_t *pdu, uint8_t *buf, size_t len, coap_request_ctx_t *context);

typedef struct {
    const char *path;
    unsigned methods;
    coap_handler_t handler;
    void *context;
} coap_resource_t;

typedef enum { GCOAP_SOCKET_TYPE_UNDEF, GCOAP_SOCKET_TYPE_UDP, GCOAP_SOCKET_TYPE_DTLS } gcoap_socket_type_t;

typedef struct gcoap_listener gcoap_listener_t;
struct gcoap_listener {
    const coap_resource_t *resources;
    size_t resources_len;
    gcoap_socket_type_t tl_type;
    gcoap_listener_t *next;
};

void gcoap_register_listener(gcoap_listener_t *listener);
ssize_t gcoap_response(coap_pkt_t *pdu, uint8_t *buf, size_t len, unsigned code);
ssize_t gcoap_req_send(const uint8_t *buf, size_t len, const sock_udp_ep_t *remote,
                       const sock_udp_ep_t *local, void (*handler)(void), void *context,
                       gcoap_socket_type_t tl_type);

#endif
