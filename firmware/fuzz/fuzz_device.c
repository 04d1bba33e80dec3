/* libFuzzer target: any bytes on the line, through slipmux, CoAP and the resources, with a model.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -DTINYOPS_VERSION='"fuzz"' -Ifirmware/common/include \
 *       firmware/fuzz/fuzz_device.c MODEL.c SOURCES
 *
 * where SOURCES are those of firmware/common/src that tinyops/device/firmware.py names, but for main.c.
 *
 * With -DTO_FEATURES and a front end beside the model, raw data go through that.
 *
 * The first byte of an input chooses: 0, the rest is the line as it is; else the rest is a list of messages,
 * each of a length in two bytes and its content, that are framed here, so that the fuzzer need not find the
 * checksum. With -DTO_NETWORK the upper bits of the length name one of four peers, and let time pass. */
#include <stdlib.h>
#include <string.h>

#include "tinyops/to_device.h"
#include "tinyops/to_port.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static to_device device;
static to_slipmux_receiver answers; /* what the device sends must be whole frames */
static uint64_t count;
#ifdef TO_NETWORK
static uint64_t now;
#endif

static void require(int condition) {
    if (!condition) {
        abort();
    }
}

void to_port_init(void) {}

int to_port_read(uint8_t *data, size_t n) {
    (void)data;
    (void)n;
    return -1;
}

/* Set while an input is framed: then bytes go to the device, not from it. */
static int framing;

/* Whatever the device sends is a message that it may send. */
static void check_answer(const uint8_t *data, size_t length) {
    to_coap_message message;
    require(to_coap_parse(&message, data, length) == TO_COAP_OK && message.code != TO_COAP_GET);
}

void to_port_write(const uint8_t *data, size_t n) {
    if (framing) {
        framing = 0;
        to_device_receive(&device, data, n);
        framing = 1;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (to_slipmux_feed(&answers, data[i]) == TO_SLIPMUX_COAP) {
            size_t length;
            const uint8_t *content = to_slipmux_content(&answers, &length);
            check_answer(content, length);
        }
    }
    require(answers.dropped == 0);
}

#ifdef TO_NETWORK

uint64_t to_port_now_ms(void) { return now; }

void to_port_random(uint8_t *bytes, size_t n) { memset(bytes, 7, n); }

void to_port_send(const to_endpoint *to, const uint8_t *message, size_t length) {
    require(to->kind == TO_ENDPOINT_IPV6 && to->port[1] < 4);
    check_answer(message, length);
}

/* One of the peers' messages; with the upper bit the time of the next retransmission has come. */
static void take_datagram(unsigned flags, const uint8_t *data, size_t length) {
    to_endpoint from;
    memset(&from, 0, sizeof from);
    from.kind = TO_ENDPOINT_IPV6;
    from.port[1] = flags & 3u;
    if (flags & 4u) {
        uint64_t next = to_device_poll(&device);
        now = next == UINT64_MAX ? now + 1 : next;
        require(to_device_poll(&device) > now);
    }
    to_device_datagram(&device, &from, data, length);
}

#endif

uint64_t to_port_count(void) { return count += 10; }

const char *to_port_count_kind(void) { return "emulated-instructions"; }

uint32_t to_port_count_hertz(void) { return 0; }

uint32_t to_port_stack_used(void) { return 0; }

void to_port_exit(int code) { exit(code); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    to_slipmux_reset(&answers);
    to_device_start(&device, &to_device_model);
    if (size == 0) {
        return 0;
    }
    if (data[0] == 0) {
        to_device_receive(&device, data + 1, size - 1);
        return 0;
    }
    for (size_t at = 1; at + 2 <= size;) {
        size_t length = (size_t)(data[at] << 8 | data[at + 1]);
        at += 2;
#ifdef TO_NETWORK
        unsigned flags = (unsigned)(length >> 13);
        length &= 0x1FFFu;
#endif
        length = length < size - at ? length : size - at;
#ifdef TO_NETWORK
        take_datagram(flags, data + at, length);
#else
        framing = 1;
        to_slipmux_send_coap(data + at, length);
        framing = 0;
#endif
        at += length;
    }
    return 0;
}
