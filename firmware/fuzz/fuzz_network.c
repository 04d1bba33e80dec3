/* libFuzzer target: what comes from a network, to the client (to_fetch) and through OSCORE, and URIs.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -DTO_NETWORK -DTO_OSCORE -DTO_CRYPTO_AES=1 \
 *       -Ifirmware/common/include [-I of Mbed TLS] firmware/fuzz/fuzz_network.c \
 *       firmware/common/src/to_{aes,cbor,coap,fetch,hmac,oscore,sha256,text,uri}.c [Mbed TLS: aes.c,
 * platform_util.c]
 *
 * An input is a URI of up to 63 bytes behind its length, then datagrams: each a byte of instructions, a
 * length in two bytes, and its content. The instructions: let time pass; make the datagram an answer, with id
 * and token of the last request; protect it, so that the fuzzer need not find keys; take it as a request. */
#include <stdlib.h>
#include <string.h>

#include "tinyops/to_fetch.h"
#include "tinyops/to_oscore.h"
#include "tinyops/to_port.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LATER = 1, ANSWER = 2, PROTECT = 4, REQUEST = 8, FROM_ELSEWHERE = 16, CONFIRMABLE = 32 };

#define LIMIT 5000u

static const uint8_t secret[16] = {1, 2, 3}, server_id[1] = {0}, device_id[2] = {1, 1};
static uint64_t now;
static uint32_t drawn;
static uint8_t sent[1400];
static size_t sent_length;
static uint32_t stored;
static to_oscore device, server;

static void require(int condition) {
    if (!condition) {
        abort();
    }
}

uint64_t to_port_now_ms(void) { return now; }

void to_port_random(uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        drawn = drawn * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(drawn >> 24);
    }
}

/* Whatever the client sends is a well-formed request, or empty. */
void to_port_send(const to_endpoint *to, const uint8_t *message, size_t length) {
    to_coap_message parsed;
    require(to->kind == TO_ENDPOINT_IPV4 && length <= sizeof sent);
    require(to_coap_parse(&parsed, message, length) == TO_COAP_OK && parsed.code >> 5 == 0);
    if (parsed.code != TO_COAP_EMPTY) {
        memcpy(sent, message, length);
        sent_length = length;
    }
}

static int reserve(void *context, uint64_t next) {
    (void)context;
    return next > 4096;
}

static void start_contexts(void) {
    to_oscore_settings settings;
    memset(&settings, 0, sizeof settings);
    settings.secret.bytes = secret;
    settings.secret.length = sizeof secret;
    settings.sender.bytes = settings.id_context.bytes = device_id;
    settings.sender.length = sizeof device_id;
    settings.recipient.bytes = server_id;
    settings.recipient.length = sizeof server_id;
    settings.reserve = reserve;
    require(to_oscore_start(&device, &settings));
    to_oscore_bytes swapped = settings.sender;
    settings.sender = settings.recipient;
    settings.recipient = swapped;
    require(to_oscore_start(&server, &settings));
    device.has_window = server.has_window = 1;
}

/* The parts are in order, without gaps, and within the limit. */
static int take(void *context, const to_fetch_part *part) {
    (void)context;
    require(part->offset == stored && part->size <= LIMIT && stored + part->size <= LIMIT);
    uint8_t sum = 0;
    for (uint32_t i = 0; i < part->size; i++) {
        sum ^= part->bytes[i];
    }
    stored += part->size;
    return sum == 0xA5;
}

/* The protected answer to the last request that was sent. */
static size_t protect_answer(uint8_t *bytes, size_t length, size_t capacity) {
    static uint8_t plain[1400];
    to_coap_message outer, inner, parsed;
    to_oscore_binding binding;
    to_coap_writer writer;
    if (sent_length == 0 || to_coap_parse(&outer, sent, sent_length) != TO_COAP_OK || !outer.has_oscore ||
        to_coap_parse(&parsed, bytes, length) != TO_COAP_OK) {
        return length;
    }
    server.window = 0; /* the same request may be answered again */
    if (to_oscore_open_request(&server, 1, &outer, plain, sizeof plain, &inner, &binding) != TO_OSCORE_OK) {
        return length;
    }
    memset(&writer, 0, sizeof writer);
    writer.bytes = bytes;
    writer.length = (uint16_t)length;
    return to_oscore_seal_response(&binding, &writer, capacity) ? writer.length : length;
}

static void take_request(const uint8_t *bytes, size_t length) {
    static uint8_t plain[1400];
    to_coap_message outer, inner;
    to_oscore_binding binding;
    if (to_coap_parse(&outer, bytes, length) == TO_COAP_OK && outer.has_oscore) {
        to_oscore_open_request(&device, 1, &outer, plain, sizeof plain, &inner, &binding);
    }
}

/* Gives the datagram the id and the token of the last request, where there is room for them. */
static void make_answer(uint8_t *bytes, size_t length, int confirmable) {
    if (length >= 12 && sent_length >= 12) {
        bytes[0] = (uint8_t)(confirmable ? 0x48 : 0x68);
        memcpy(bytes + 2, sent + 2, 10);
    }
}

static void begin(to_fetch *fetch, to_fetch_request *request, const uint8_t *text, size_t length) {
    static to_fetch_security security;
    static to_oscore_client client;
    static const uint8_t body[] = "body";
    static const to_fetch_link link = {100, 2, 6, 1};
    memset(request, 0, sizeof *request);
    if (!to_uri_parse(&request->uri, text, length)) {
        require(to_uri_parse(&request->uri, (const uint8_t *)"coap://a/b/c?d", 14));
    }
    require(strlen(request->uri.host) <= TO_URI_HOST_MAX && request->uri.path.length <= length + 14);
    to_oscore_secure(&security, &client, &device);
    int posts = length % 3 == 2;
    request->server.kind = TO_ENDPOINT_IPV4;
    request->method = posts ? TO_COAP_POST : TO_COAP_GET;
    request->payload.bytes = body;
    request->payload.length = posts ? 4 : 0;
    request->offset = posts ? 0 : (uint32_t)(length * 40 % LIMIT);
    request->limit = LIMIT;
    request->sink = take;
    stored = request->offset;
    to_fetch_init(fetch, &link, length % 2 ? &security : NULL);
    to_fetch_start(fetch, request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static to_fetch fetch;
    static uint8_t bytes[1400];
    to_fetch_request request;
    to_coap_message message;
    if (size < 1 || (size_t)(data[0] & 63u) + 1 > size) {
        return 0;
    }
    now = 0;
    drawn = 7;
    sent_length = 0;
    start_contexts();
    begin(&fetch, &request, data + 1, data[0] & 63u);
    size_t at = 1 + (data[0] & 63u);
    while (at + 3 <= size) {
        uint8_t instructions = data[at];
        size_t length = (size_t)(data[at + 1] << 8 | data[at + 2]);
        at += 3;
        length = length < size - at ? length : size - at;
        length = length < 1300 ? length : 1300;
        memcpy(bytes, data + at, length);
        at += length;
        if (instructions & LATER) {
            uint64_t next = to_fetch_poll(&fetch);
            now = next == UINT64_MAX ? now + 1 : next;
            require(to_fetch_poll(&fetch) > now || !to_fetch_is_running(&fetch));
        }
        if (instructions & REQUEST) {
            take_request(bytes, length);
            continue;
        }
        if (instructions & ANSWER) {
            make_answer(bytes, length, instructions & CONFIRMABLE);
        }
        if (instructions & PROTECT) {
            length = protect_answer(bytes, length, sizeof bytes);
        }
        to_endpoint from = request.server;
        from.port[1] = (instructions & FROM_ELSEWHERE) != 0;
        int running = to_fetch_is_running(&fetch);
        if (to_coap_parse(&message, bytes, length) == TO_COAP_OK) {
            int taken = to_fetch_receive(&fetch, &from, &message);
            require(!taken || !(instructions & FROM_ELSEWHERE));
        }
        require(running || !to_fetch_is_running(&fetch));
    }
    return 0;
}
