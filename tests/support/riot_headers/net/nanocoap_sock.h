/* RIOT's CoAP client that waits. */
#ifndef NET_NANOCOAP_SOCK_H
#define NET_NANOCOAP_SOCK_H

#include "net/gcoap.h"

#define CONFIG_COAP_ACK_TIMEOUT_MS 2000
#define CONFIG_COAP_SEPARATE_RESPONSE_TIMEOUT_MS 10000

typedef struct {
    int is_open;
} nanocoap_sock_t;

/* Both return 0 or more, or a negative number. */
typedef int (*coap_request_cb_t)(void *arg, coap_pkt_t *pkt);
ssize_t coap_parse_udp(coap_pkt_t *pkt, uint8_t *buf, size_t len);

unsigned coap_get_total_len(const coap_pkt_t *pkt);

int nanocoap_sock_connect(nanocoap_sock_t *sock, const sock_udp_ep_t *local, const sock_udp_ep_t *remote);
void nanocoap_sock_close(nanocoap_sock_t *sock);

/* Sends the request, again as often as need be, and calls `cb` with the response, which it has acknowledged.
 */
ssize_t nanocoap_sock_request_cb(nanocoap_sock_t *sock, coap_pkt_t *pkt, coap_request_cb_t cb, void *arg);

#endif
