/* URIs of the scheme coap (RFC 7252, 6): taken apart, and written as options of a request. */
#ifndef TINYOPS_TO_URI_H
#define TINYOPS_TO_URI_H

#include "tinyops/to_coap.h"

#define TO_URI_MAX 127u /* bytes of a URI */
#define TO_URI_HOST_MAX 63u
#define TO_URI_PORT 5683u

typedef struct {
    char host[TO_URI_HOST_MAX + 1]; /* a name or a literal address without brackets; "" when there is none */
    uint8_t is_name;
    uint16_t port;
    to_coap_slice path; /* into the text: path and query without the first slash */
} to_uri;

/* Takes coap://HOST[:PORT][/PATH][?QUERY], or [/]PATH[?QUERY] of the same server; HOST may be [IPv6].
 * Printable ASCII alone, no fragment, no user. Returns 1 when it is well-formed, else 0. */
int to_uri_parse(to_uri *uri, const uint8_t *text, size_t length);

/* The options Uri-Path, or Uri-Query, of a path that to_uri_parse has checked. */
void to_uri_put_path(to_coap_writer *writer, to_coap_slice path);
void to_uri_put_query(to_coap_writer *writer, to_coap_slice path);

#endif
