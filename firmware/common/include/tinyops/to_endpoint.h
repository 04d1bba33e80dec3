/* Where a message comes from or goes to. Only the port understands the address; the rest compares it. */
#ifndef TINYOPS_TO_ENDPOINT_H
#define TINYOPS_TO_ENDPOINT_H

#include <stdint.h>
#include <string.h>

enum { TO_ENDPOINT_LINE, TO_ENDPOINT_IPV4, TO_ENDPOINT_IPV6, TO_ENDPOINT_GATT, TO_ENDPOINT_L2CAP };

/* Bytes alone, so that there is no padding; all zero is the serial line. Of Bluetooth, `address` is the
 * peer's with its type behind it, `scope` counts connections, and `port` is the connection's handle. */
typedef struct {
    uint8_t kind;
    uint8_t address[16]; /* network byte order; IPv4 takes the first 4 */
    uint8_t scope[4];    /* interface of a link-local IPv6 address, as the port counts them */
    uint8_t port[2];     /* network byte order */
} to_endpoint;

static inline int to_endpoint_equal(const to_endpoint *a, const to_endpoint *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

#endif
