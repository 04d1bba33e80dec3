/* Runs the SUIT receiver over many envelopes and tells what it decides, to compare it with another receiver.
 *
 *   suit_check OPTION... < ENVELOPES
 *
 *   --key KID:ALGORITHM:ROLES:KEY[:revoked]
 *       KID and KEY in hexadecimal, ALGORITHM the COSE number of to_cose_algorithm, ROLES the sum of
 *       1 signer, 2 root, 4 decrypt
 *   --component ID:VENDOR:CLASS:CAPACITY:COUNTER:ROLES[:IMAGE]
 *       ID the component id as CBOR, VENDOR, CLASS and IMAGE (what is installed) in hexadecimal
 *   --sequence COUNTER:LAST      --device UUID      --now SECONDS       --battery MILLIWATT_HOURS
 *   --authorized HIGHEST_PRIORITY_NUMBER            --slot SLOT         --version N,N,...
 *   --payload URI:CONTENT        what a fetch of this URI gets (CONTENT in hexadecimal, the part after the
 * last colon)
 *   --invoke                     the procedure of an invocation (validate, load, invoke) instead of an update
 *
 * Standard input: each envelope is its length in 4 bytes, big-endian, and its bytes. All start from the same
 * state. Without an option the device lacks the property; a fetch of an unknown URI fails as payload-missing.
 *
 * Standard output: one line for each envelope, fields separated by one space:
 *
 *   REASON SEQUENCE SIGNER ACTION...
 *
 * REASON is the code of the outcome. SEQUENCE and SIGNER (the index of the key) are numbers when the envelope
 * was accepted by to_suit_open, else "-". ACTIONs come in the order in which they happen; components are
 * indexes of the
 * --component options:
 *
 *   fetch:COMPONENT:URI          a payload is asked for (integrated ones are not); URI in hexadecimal
 *   begin:COMPONENT:SIZE         an image begins; SIZE as the manifest tells it, else 0
 *   end:COMPONENT:BYTES:DIGEST   the image is complete: bytes that were written, and the first 8 bytes of
 * their SHA-256 in hexadecimal swap:COMPONENT:SOURCE invoke:COMPONENT:ARGUMENTS   in hexadecimal
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinyops/to_suit.h"

#define KEYS 16u
#define COMPONENTS 8u
#define PAYLOADS 16u
#define IMAGE_MAX (1u << 17)
#define ENVELOPE_MAX (1u << 20)
#define HEX_MAX (1u << 18)

typedef struct {
    uint8_t installed[IMAGE_MAX];
    uint32_t installed_size;
    uint8_t stored[IMAGE_MAX];
    uint32_t stored_size;
    int has_stored;
    int has_installed;
} storage;

typedef struct {
    const char *uri;
    uint32_t uri_size;
    to_span content;
} payload;

static to_cose_key key_table[KEYS];
static to_cose_keys keys = {key_table, 0, 0};
static to_suit_component components[COMPONENTS];
static storage images[COMPONENTS];
static uint8_t place_of[COMPONENTS]; /* of each component in `images`: swapping exchanges these */
static payload payloads[PAYLOADS];
static uint32_t payload_count;
static uint32_t last_sequence[32];
static int has_sequence[32];
static uint64_t clock_seconds;
static uint64_t battery_left;
static int32_t lowest_priority;
static uint32_t active_slot;
static int32_t version[8];
static uint32_t version_count;
static uint8_t hex_memory[HEX_MAX];
static uint32_t hex_used;

static void usage(const char *what) {
    fprintf(stderr, "suit_check: %s\n", what);
    exit(2);
}

static unsigned digit(char c) {
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0');
    }
    if (c >= 'a' && c <= 'f') {
        return (unsigned)(c - 'a' + 10);
    }
    usage("not hexadecimal (digits and a to f)");
    return 0;
}

static to_span from_hex(const char *text) {
    size_t size = strlen(text) / 2u;
    if (size > HEX_MAX - hex_used || strlen(text) % 2u != 0) {
        usage("too much hexadecimal, or an odd number of digits");
    }
    to_span span = to_span_of(hex_memory + hex_used, (uint32_t)size);
    for (size_t i = 0; i < size; i++) {
        hex_memory[hex_used++] = (uint8_t)(digit(text[2u * i]) << 4 | digit(text[2u * i + 1u]));
    }
    return span;
}

/* What happened, told after the reason. */
static char actions[1u << 16];
static size_t actions_size;

static void say(const char *format, ...) {
    va_list values;
    va_start(values, format);
    int n = vsnprintf(actions + actions_size, sizeof actions - actions_size, format, values);
    va_end(values);
    if (n < 0 || (size_t)n >= sizeof actions - actions_size) {
        usage("too many actions");
    }
    actions_size += (size_t)n;
}

static void say_hex(const uint8_t *bytes, uint32_t size) {
    for (uint32_t i = 0; i < size; i++) {
        say("%02x", bytes[i]);
    }
}

/* The next part of an option, up to a colon; NULL at the end. */
static char *part(char **rest) {
    char *start = *rest;
    if (start == NULL) {
        return NULL;
    }
    char *colon = strchr(start, ':');
    *rest = NULL;
    if (colon != NULL) {
        *colon = 0;
        *rest = colon + 1;
    }
    return start;
}

static char *needed(char **rest) {
    char *found = part(rest);
    if (found == NULL) {
        usage("an option lacks a part");
    }
    return found;
}

static void add_key(char *text) {
    if (keys.count == KEYS) {
        usage("too many keys");
    }
    to_cose_key *key = &key_table[keys.count];
    key->kid = from_hex(needed(&text));
    key->algorithm = (int16_t)atoi(needed(&text));
    key->roles = (uint8_t)atoi(needed(&text));
    to_span content = from_hex(needed(&text));
    key->key = content.bytes;
    key->size = (uint16_t)content.size;
    if (part(&text) != NULL) {
        keys.revoked |= UINT32_C(1) << keys.count;
    }
    keys.count++;
}

static void add_component(char *text, uint32_t *count) {
    if (*count == COMPONENTS) {
        usage("too many components");
    }
    to_suit_component *component = &components[*count];
    storage *image = &images[*count];
    component->id = from_hex(needed(&text));
    component->vendor = from_hex(needed(&text)).bytes;
    component->class_id = from_hex(needed(&text)).bytes;
    component->capacity = (uint32_t)strtoul(needed(&text), NULL, 10);
    component->counter = (uint8_t)atoi(needed(&text));
    component->roles = (uint8_t)atoi(needed(&text));
    char *installed = part(&text);
    if (installed != NULL) {
        to_span content = from_hex(installed);
        if (content.size > IMAGE_MAX) {
            usage("an installed image is too large");
        }
        if (content.size > 0) {
            memcpy(image->installed, content.bytes, content.size);
        }
        image->installed_size = content.size;
        image->has_installed = 1;
    }
    ++*count;
}

static void add_payload(char *text) {
    char *colon = strrchr(text, ':');
    if (payload_count == PAYLOADS || colon == NULL) {
        usage("too many payloads, or one without content");
    }
    payload *one = &payloads[payload_count++];
    one->uri = text;
    one->uri_size = (uint32_t)(colon - text);
    one->content = from_hex(colon + 1);
}

static void set_version(char *text) {
    for (char *number = strtok(text, ","); number != NULL && version_count < 8u; number = strtok(NULL, ",")) {
        version[version_count++] = atoi(number);
    }
}

static int get_sequence(void *context, uint32_t counter, uint32_t *last) {
    (void)context;
    *last = last_sequence[counter];
    return has_sequence[counter];
}

static int get_time(void *context, uint64_t *seconds) {
    (void)context;
    *seconds = clock_seconds;
    return 1;
}

static to_reason get_image(void *context, uint32_t component, uint32_t size, to_span *image) {
    const storage *from = &images[place_of[component]];
    (void)context;
    (void)size;
    if (!from->has_stored && !from->has_installed) {
        return TO_REASON_IMAGE_DIGEST;
    }
    *image = from->has_stored ? to_span_of(from->stored, from->stored_size)
                              : to_span_of(from->installed, from->installed_size);
    return TO_REASON_OK;
}

static to_reason begin(void *context, uint32_t component, uint32_t size) {
    (void)context;
    images[place_of[component]].stored_size = 0;
    images[place_of[component]].has_stored = 0;
    say(" begin:%u:%u", (unsigned)component, (unsigned)size);
    return TO_REASON_OK;
}

static to_reason write_bytes(void *context, uint32_t component, const uint8_t *bytes, uint32_t size) {
    storage *to = &images[place_of[component]];
    (void)context;
    if (size > IMAGE_MAX - to->stored_size || size > components[component].capacity - to->stored_size) {
        return TO_REASON_SLOT_TOO_SMALL;
    }
    memcpy(to->stored + to->stored_size, bytes, size);
    to->stored_size += size;
    return TO_REASON_OK;
}

static to_reason end(void *context, uint32_t component) {
    uint8_t digest[TO_SHA256_BYTES];
    storage *to = &images[place_of[component]];
    (void)context;
    to->has_stored = 1;
    to_sha256_of(to->stored, to->stored_size, digest);
    say(" end:%u:%u:", (unsigned)component, (unsigned)to->stored_size);
    say_hex(digest, 8);
    return TO_REASON_OK;
}

static to_reason swap(void *context, uint32_t component, uint32_t source) {
    (void)context;
    uint8_t other = place_of[component];
    place_of[component] = place_of[source];
    place_of[source] = other;
    say(" swap:%u:%u", (unsigned)component, (unsigned)source);
    return TO_REASON_OK;
}

static to_reason invoke(void *context, uint32_t component, to_span arguments) {
    (void)context;
    say(" invoke:%u:", (unsigned)component);
    say_hex(arguments.bytes, arguments.size);
    return TO_REASON_OK;
}

static to_reason check_slot(void *context, uint32_t component, uint32_t slot) {
    (void)context;
    (void)component;
    return slot == active_slot ? TO_REASON_OK : TO_REASON_SLOT_MISMATCH;
}

static to_reason check_battery(void *context, uint64_t wanted) {
    (void)context;
    return wanted <= battery_left ? TO_REASON_OK : TO_REASON_BATTERY;
}

static to_reason check_authorized(void *context, int32_t priority) {
    (void)context;
    return priority <= lowest_priority ? TO_REASON_OK : TO_REASON_UNAUTHORIZED;
}

static to_reason get_version(void *context, uint32_t component, int32_t numbers[8], uint32_t *count) {
    (void)context;
    (void)component;
    memcpy(numbers, version, sizeof version);
    *count = version_count;
    return TO_REASON_OK;
}

static void read_options(int count, char **words, to_suit_platform *platform, to_suit_procedure *procedure) {
    for (int i = 1; i < count; i++) {
        const char *name = words[i];
        if (strcmp(name, "--invoke") == 0) {
            *procedure = TO_SUIT_INVOKE;
            continue;
        }
        if (i + 1 == count) {
            usage("an option lacks its value, or is not known");
        }
        char *value = words[++i];
        if (strcmp(name, "--key") == 0) {
            add_key(value);
        } else if (strcmp(name, "--component") == 0) {
            add_component(value, &platform->component_count);
        } else if (strcmp(name, "--payload") == 0) {
            add_payload(value);
        } else if (strcmp(name, "--sequence") == 0) {
            uint32_t counter = (uint32_t)atoi(needed(&value)) % 32u;
            last_sequence[counter] = (uint32_t)strtoul(needed(&value), NULL, 10);
            has_sequence[counter] = 1;
        } else if (strcmp(name, "--device") == 0) {
            platform->device_id = from_hex(value).bytes;
        } else if (strcmp(name, "--now") == 0) {
            clock_seconds = strtoull(value, NULL, 10);
            platform->now = get_time;
        } else if (strcmp(name, "--battery") == 0) {
            battery_left = strtoull(value, NULL, 10);
            platform->battery = check_battery;
        } else if (strcmp(name, "--authorized") == 0) {
            lowest_priority = (int32_t)strtol(value, NULL, 10);
            platform->authorized = check_authorized;
        } else if (strcmp(name, "--slot") == 0) {
            active_slot = (uint32_t)strtoul(value, NULL, 10);
            platform->slot = check_slot;
        } else if (strcmp(name, "--version") == 0) {
            set_version(value);
            platform->version = get_version;
        } else {
            usage("an option is not known");
        }
    }
}

/* The whole payload in pieces that do not fit any block size. */
static to_reason feed(to_suit *suit, to_span content) {
    for (uint32_t at = 0; at < content.size;) {
        uint32_t n = content.size - at < 37u ? content.size - at : 37u;
        to_reason reason = to_suit_data(suit, content.bytes + at, n);
        if (reason != TO_REASON_OK) {
            return reason;
        }
        at += n;
    }
    return TO_REASON_OK;
}

static to_reason get_payload(to_suit *suit) {
    say(" fetch:%u:", (unsigned)suit->fetch.component);
    say_hex(suit->fetch.uri.bytes, suit->fetch.uri.size);
    for (uint32_t i = 0; i < payload_count; i++) {
        to_span uri = to_span_of((const uint8_t *)payloads[i].uri, payloads[i].uri_size);
        if (to_span_equal(uri, suit->fetch.uri)) {
            return feed(suit, payloads[i].content);
        }
    }
    return TO_REASON_PAYLOAD_MISSING;
}

static void check(const to_suit_platform *platform, to_suit_procedure procedure, const uint8_t *bytes,
                  uint32_t size) {
    static to_suit suit;
    for (uint32_t i = 0; i < platform->component_count; i++) {
        images[i].has_stored = 0;
        place_of[i] = (uint8_t)i;
    }
    to_reason reason = to_suit_open(&suit, platform, bytes, size);
    if (reason != TO_REASON_OK) {
        printf("%d - -\n", (int)reason);
        return;
    }
    actions_size = 0;
    actions[0] = 0;
    to_suit_start(&suit, procedure);
    to_suit_step step = to_suit_run(&suit);
    while (step == TO_SUIT_FETCH) {
        step = to_suit_fetched(&suit, get_payload(&suit));
    }
    reason = step == TO_SUIT_DONE ? TO_REASON_OK : suit.reason;
    printf("%d %u %u%s\n", (int)reason, (unsigned)suit.sequence, (unsigned)suit.signer, actions);
}

int main(int count, char **words) {
    static to_suit_platform platform;
    to_suit_procedure procedure = TO_SUIT_UPDATE;
    uint8_t head[4];
    platform.components = components;
    platform.keys = &keys;
    platform.sequence = get_sequence;
    platform.image = get_image;
    platform.begin = begin;
    platform.write = write_bytes;
    platform.end = end;
    platform.swap = swap;
    platform.invoke = invoke;
    read_options(count, words, &platform, &procedure);
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        uint32_t size = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
        /* Memory of exactly this size, so that a sanitizer sees every read beyond it. */
        uint8_t *envelope = size <= ENVELOPE_MAX ? malloc(size + (size == 0)) : NULL;
        if (envelope == NULL || fread(envelope, 1, size, stdin) != size) {
            usage("an envelope is cut off or too large");
        }
        check(&platform, procedure, envelope, size);
        free(envelope);
    }
    return 0;
}
