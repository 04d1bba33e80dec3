/* OSCORE for tests: reads commands from standard input, one a line, and prints one line for each. Bytes are
 * in hexadecimal, "-" for none, "." for an id context of no bytes.
 *
 *   context SECRET SALT SENDER RECIPIENT ID-CONTEXT SEQUENCE   keys and IV
 *   seal-request MESSAGE        the protected message
 *   open-request MESSAGE        the result, and code, options and payload inside
 *   seal-response MESSAGE       ... of the last opened request
 *   open-response MESSAGE       ... of the last sealed request
 *   forget                      the replay window, as a reset does
 *   echo BYTES                  the challenge that is expected */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinyops/to_oscore.h"

#define BYTES_MAX 1200u

static to_oscore context;
static to_oscore_binding asked, answered;
static uint8_t plain[BYTES_MAX];
static uint64_t stored;

static int reserve(void *unused, uint64_t next) {
    (void)unused;
    stored = next;
    return 0;
}

static size_t read_bytes(uint8_t *bytes) {
    static char text[2 * BYTES_MAX + 1];
    size_t length = 0;
    if (scanf("%2400s", text) != 1 || strcmp(text, "-") == 0 || strcmp(text, ".") == 0) {
        return 0;
    }
    for (; text[2 * length] != '\0'; length++) {
        char pair[3] = {text[2 * length], text[2 * length + 1], '\0'};
        bytes[length] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return length;
}

static to_oscore_bytes read_value(uint8_t *bytes) {
    to_oscore_bytes value = {bytes, 0};
    value.length = (uint8_t)read_bytes(bytes);
    return value;
}

static void print(const uint8_t *bytes, size_t length) {
    if (length == 0) {
        printf("-");
    }
    for (size_t i = 0; i < length; i++) {
        printf("%02x", bytes[i]);
    }
}

static void start(void) {
    static uint8_t bytes[5][256];
    to_oscore_settings settings;
    unsigned long sequence = 0;
    memset(&settings, 0, sizeof settings);
    settings.secret = read_value(bytes[0]);
    settings.salt = read_value(bytes[1]);
    settings.sender = read_value(bytes[2]);
    settings.recipient = read_value(bytes[3]);
    int next;
    while ((next = getchar()) == ' ') {
    }
    ungetc(next, stdin);
    settings.id_context = read_value(bytes[4]);
    settings.id_context.bytes = next == '-' ? NULL : bytes[4];
    if (scanf("%lu", &sequence) == 1) {
        settings.sequence = sequence;
    }
    settings.reserve = reserve;
    if (!to_oscore_start(&context, &settings)) {
        printf("refused\n");
        return;
    }
    context.has_window = 1; /* as if it had never been reset */
    context.window = 0;
    print(context.sender_key, sizeof context.sender_key);
    printf(" ");
    print(context.recipient_key, sizeof context.recipient_key);
    printf(" ");
    print(context.common_iv, sizeof context.common_iv);
    printf("\n");
}

static void seal(int request) {
    static uint8_t bytes[BYTES_MAX];
    to_coap_writer writer;
    memset(&writer, 0, sizeof writer);
    writer.bytes = bytes;
    writer.capacity = BYTES_MAX;
    writer.length = (uint16_t)read_bytes(bytes);
    int sealed = request ? to_oscore_seal_request(&context, &asked, &writer, BYTES_MAX)
                         : to_oscore_seal_response(&answered, &writer, BYTES_MAX);
    if (!sealed) {
        printf("refused\n");
        return;
    }
    print(bytes, writer.length);
    printf(" %lu %lu\n", (unsigned long)context.sequence, (unsigned long)stored);
}

static void open_message(int request) {
    static const char *const names[] = {"ok", "no-context", "replayed", "challenge", "malformed", "decrypt"};
    static uint8_t bytes[BYTES_MAX];
    to_coap_message outer, inner;
    size_t length = read_bytes(bytes);
    if (to_coap_parse(&outer, bytes, length) != TO_COAP_OK) {
        printf("not-coap\n");
        return;
    }
    to_oscore_result result =
        request ? to_oscore_open_request(&context, 1, &outer, plain, sizeof plain, &inner, &answered)
                : to_oscore_open_response(&asked, &outer, plain, sizeof plain, &inner);
    printf("%s", names[result]);
    if (result == TO_OSCORE_OK) {
        printf(" %02x ", inner.code);
        print(inner.path[0].bytes, inner.path[0].length);
        printf(" ");
        print(inner.payload.bytes, inner.payload.length);
    }
    printf("\n");
}

int main(void) {
    char command[32];
    while (scanf("%31s", command) == 1) {
        if (strcmp(command, "context") == 0) {
            start();
        } else if (strcmp(command, "seal-request") == 0 || strcmp(command, "seal-response") == 0) {
            seal(strcmp(command, "seal-request") == 0);
        } else if (strcmp(command, "open-request") == 0 || strcmp(command, "open-response") == 0) {
            open_message(strcmp(command, "open-request") == 0);
        } else if (strcmp(command, "forget") == 0) {
            context.has_window = 0;
            printf("forgotten\n");
        } else if (strcmp(command, "echo") == 0) {
            context.has_echo = 1;
            read_bytes(context.echo);
            printf("expected\n");
        } else {
            return 2;
        }
        fflush(stdout);
    }
    return 0;
}
