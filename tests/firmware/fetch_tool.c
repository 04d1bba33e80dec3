/* A client for tests: GET of one URI into a file, from an offset on; with a payload, POST. At the end it
 * prints the result, the last response's code and the number of parts. usage: fetch_tool URI OFFSET LIMIT SZX
 * ACK-TIMEOUT FILE [PAYLOAD] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "tinyops/to_fetch.h"
#include "tinyops/to_port.h"

static unsigned parts;
static uint32_t expected;

static int store(void *context, const to_fetch_part *part) {
    if (part->offset != expected) { /* not in order, or a gap */
        abort();
    }
    expected += part->size;
    parts++;
    return part->size > 0 && fwrite(part->bytes, 1, part->size, context) != part->size;
}

void host_fail(const char *where, const char *what) {
    fprintf(stderr, "error: %s: %s\n", where, what);
    exit(1);
}

/* The network has its faults elsewhere. */
int host_faults_lose(void) { return 0; }
int host_faults_double(void) { return 0; }

void to_port_exit(int code) { exit(code); }

int main(int argc, char **argv) {
    static const char *const names[] = {"ok",   "timeout",   "reset",     "refused",
                                        "etag", "malformed", "too-large", "sink"};
    static to_fetch fetch;
    static uint8_t bytes[TO_SLIPMUX_MESSAGE_MAX + 1];
    to_fetch_request request;
    to_endpoint from;
    to_coap_message message;
    memset(&request, 0, sizeof request);
    if (argc < 7 || !to_uri_parse(&request.uri, (const uint8_t *)argv[1], strlen(argv[1]))) {
        return 2;
    }
    host_udp_open(strchr(request.uri.host, ':') != NULL ? "[::1]:0" : "127.0.0.1:0");
    if (to_port_resolve(request.uri.host, request.uri.port, &request.server) != 0) {
        return 2;
    }
    request.method = argc > 7 ? TO_COAP_POST : TO_COAP_GET;
    if (argc > 7) {
        request.payload.bytes = (const uint8_t *)argv[7];
        request.payload.length = (uint16_t)strlen(argv[7]);
    }
    request.offset = expected = (uint32_t)strtoul(argv[2], NULL, 10);
    request.limit = (uint32_t)strtoul(argv[3], NULL, 10);
    request.sink = store;
    request.context = fopen(argv[6], "wb");
    to_fetch_link link = {(uint16_t)atoi(argv[5]), 4, (uint8_t)atoi(argv[4]), 2};
    to_fetch_init(&fetch, &link, NULL);
    to_fetch_start(&fetch, &request);
    for (;;) {
        uint64_t next = to_fetch_poll(&fetch);
        if (!to_fetch_is_running(&fetch)) {
            break;
        }
        size_t length = host_udp_receive(&from, bytes, sizeof bytes, next);
        if (length > 0 && to_coap_parse(&message, bytes, length) == TO_COAP_OK) {
            to_fetch_receive(&fetch, &from, &message);
        }
    }
    fclose(request.context);
    printf("%s %u.%02u %u\n", names[fetch.result], fetch.code >> 5, fetch.code & 31u, parts);
    return 0;
}
