#include "tinyops/to_uri.h"

#include <string.h>

#define SCHEME "coap://"
#define SCHEME_BYTES (sizeof SCHEME - 1)

static int hex(uint8_t digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    uint8_t lower = digit | 0x20u;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Printable ASCII without what a URI may not hold; every % with two digits. */
static int is_clean(const uint8_t *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7F || memchr("#\"<>\\^`{|}", text[i], 10) != NULL) {
            return 0;
        }
        if (text[i] == '%' && (length - i < 3 || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0)) {
            return 0;
        }
    }
    return 1;
}

static int parse_port(to_uri *uri, const uint8_t *text, size_t length) {
    uint32_t port = 0;
    if (length < 1 || length > 5) {
        return 0;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return 0;
        }
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    uri->port = (uint16_t)port;
    return port > 0 && port <= UINT16_MAX;
}

/* A name has a letter that no IPv4 address has. */
static int is_name(const uint8_t *host, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (host[i] != '.' && (host[i] < '0' || host[i] > '9')) {
            return 1;
        }
    }
    return 0;
}

static int is_in(const uint8_t *text, size_t length, int literal) {
    for (size_t i = 0; i < length; i++) {
        int alphanumeric =
            (text[i] >= '0' && text[i] <= '9') || ((text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z');
        if (!alphanumeric && memchr(literal ? "::." : ".-_", text[i], 3) == NULL) {
            return 0;
        }
    }
    return 1;
}

/* HOST[:PORT] or [IPv6][:PORT] */
static int parse_authority(to_uri *uri, const uint8_t *text, size_t length) {
    const uint8_t *host = text;
    const uint8_t *end = text + length;
    int literal = length > 0 && *text == '[';
    const uint8_t *host_end = length > 0 ? memchr(text, literal ? ']' : ':', length) : NULL;
    const uint8_t *after;
    if (literal) {
        if (host_end == NULL) {
            return 0;
        }
        host++;
        after = host_end + 1;
    } else {
        host_end = host_end == NULL ? end : host_end;
        after = host_end;
    }
    size_t size = (size_t)(host_end - host);
    if (size < 1 || size > TO_URI_HOST_MAX || !is_in(host, size, literal)) {
        return 0;
    }
    memcpy(uri->host, host, size);
    uri->is_name = (uint8_t)(!literal && is_name(host, size));
    return after == end || (*after == ':' && parse_port(uri, after + 1, (size_t)(end - after - 1)));
}

int to_uri_parse(to_uri *uri, const uint8_t *text, size_t length) {
    memset(uri, 0, sizeof *uri);
    uri->port = TO_URI_PORT;
    if (length > TO_URI_MAX || !is_clean(text, length)) {
        return 0;
    }
    const uint8_t *end = text + length;
    if (length >= SCHEME_BYTES && memcmp(text, SCHEME, SCHEME_BYTES) == 0) {
        text += SCHEME_BYTES;
        const uint8_t *path = text;
        while (path < end && *path != '/' && *path != '?') {
            path++;
        }
        if (!parse_authority(uri, text, (size_t)(path - text))) {
            return 0;
        }
        text = path;
    } else {
        const uint8_t *colon = length > 0 ? memchr(text, ':', length) : NULL;
        const uint8_t *slash = length > 0 ? memchr(text, '/', length) : NULL;
        if (colon != NULL && (slash == NULL || colon < slash)) { /* another scheme */
            return 0;
        }
    }
    if (text < end && *text == '/') {
        text++;
    }
    uri->path.bytes = text;
    uri->path.length = (uint16_t)(end - text);
    return 1;
}

/* One option for each part between the separators, with its escapes resolved. */
static void put_parts(to_coap_writer *writer, uint16_t option, const uint8_t *at, const uint8_t *end,
                      uint8_t separator) {
    while (at <= end) {
        uint8_t part[TO_URI_MAX];
        uint16_t length = 0;
        while (at < end && *at != separator) {
            if (*at == '%') {
                part[length++] = (uint8_t)(hex(at[1]) << 4 | hex(at[2]));
                at += 3;
            } else {
                part[length++] = *at++;
            }
        }
        to_coap_put_bytes(writer, option, part, length);
        at++;
    }
}

static const uint8_t *find_query(to_coap_slice path) {
    const uint8_t *mark = path.length > 0 ? memchr(path.bytes, '?', path.length) : NULL;
    return mark != NULL ? mark : path.bytes + path.length;
}

void to_uri_put_path(to_coap_writer *writer, to_coap_slice path) {
    const uint8_t *end = find_query(path);
    if (end > path.bytes) {
        put_parts(writer, TO_COAP_OPTION_URI_PATH, path.bytes, end, '/');
    }
}

void to_uri_put_query(to_coap_writer *writer, to_coap_slice path) {
    const uint8_t *mark = find_query(path);
    if (mark < path.bytes + path.length) {
        put_parts(writer, TO_COAP_OPTION_URI_QUERY, mark + 1, path.bytes + path.length, '&');
    }
}
