/* libFuzzer target: SUIT envelopes, or manifests behind any authentication.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Ifirmware/common/include firmware/fuzz/fuzz_suit.c \
 *       firmware/common/src/to_suit*.c firmware/common/src/to_cbor_read.c ...      (and the libraries of the
 * features)
 *
 * An input is an envelope. With -DFUZZ_MANIFEST everything counts as authentic (leave out to_cose.c then): an
 * input is a length in two bytes, a manifest of that length, the number of members after it in one byte, and
 * those members; the envelope with the right digest is made of them, so that the fuzzer need not find it.
 *
 * What the platform answers depends on the input's length alone. It checks that images begin before they are
 * written and end once, and that every index is in range. */
#include <stdlib.h>
#include <string.h>

#include "tinyops/to_suit.h"

#define COMPONENTS 3u
#define CAPACITY 4096u
#define ENVELOPE_MAX 16384u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t uuid[TO_SUIT_UUID_BYTES] = {0};
static const uint8_t model[] = {0x81, 0x45, 'm', 'o', 'd', 'e', 'l'};
static const uint8_t firmware[] = {0x81, 0x48, 'f', 'i', 'r', 'm', 'w', 'a', 'r', 'e'};
static const uint8_t keys_id[] = {0x81, 0x44, 'k', 'e', 'y', 's'};

static const to_suit_component components[COMPONENTS] = {
    {{model, sizeof model}, uuid, uuid, CAPACITY, 0, TO_COSE_SIGNER},
    {{firmware, sizeof firmware}, uuid, uuid, CAPACITY, 1, TO_COSE_SIGNER | TO_COSE_ROOT},
    {{keys_id, sizeof keys_id}, uuid, uuid, 64, 2, TO_COSE_SIGNER | TO_COSE_ROOT},
};

/* The keys of make_suit_corpus.py. */
#include "suit_keys.h"

static uint8_t images[COMPONENTS][CAPACITY];
static uint32_t sizes[COMPONENTS];
static int writing; /* the component that has begun, plus one */
static size_t seed;

static void require(int condition) {
    if (!condition) {
        abort();
    }
}

static int get_sequence(void *context, uint32_t counter, uint32_t *last) {
    (void)context;
    require(counter < 3u);
    *last = 0;
    return counter == 0;
}

static int get_time(void *context, uint64_t *seconds) {
    (void)context;
    *seconds = 1000;
    return seed % 7u != 0;
}

static to_reason get_image(void *context, uint32_t component, uint32_t size, to_span *image) {
    (void)context;
    (void)size;
    require(component < COMPONENTS);
    *image = to_span_of(images[component], sizes[component]);
    return TO_REASON_OK;
}

static to_reason begin(void *context, uint32_t component, uint32_t size) {
    (void)context;
    require(component < COMPONENTS && size <= components[component].capacity);
    writing = (int)component + 1;
    sizes[component] = 0;
    return TO_REASON_OK;
}

static to_reason write_bytes(void *context, uint32_t component, const uint8_t *bytes, uint32_t size) {
    (void)context;
    require(writing == (int)component + 1 && size > 0);
    if (size > CAPACITY - sizes[component]) {
        return TO_REASON_SLOT_TOO_SMALL;
    }
    memmove(images[component] + sizes[component], bytes, size);
    sizes[component] += size;
    return TO_REASON_OK;
}

static to_reason end(void *context, uint32_t component) {
    (void)context;
    require(writing == (int)component + 1);
    writing = 0;
    return TO_REASON_OK;
}

static to_reason swap(void *context, uint32_t component, uint32_t source) {
    (void)context;
    require(component < COMPONENTS && source < COMPONENTS && component != source);
    return seed % 5u ? TO_REASON_OK : TO_REASON_FLASH;
}

static to_reason invoke(void *context, uint32_t component, to_span arguments) {
    (void)context;
    require(component < COMPONENTS && arguments.size <= ENVELOPE_MAX);
    return TO_REASON_OK;
}

static to_reason check_slot(void *context, uint32_t component, uint32_t slot) {
    (void)context;
    require(component < COMPONENTS);
    return slot % 2u == seed % 2u ? TO_REASON_OK : TO_REASON_SLOT_MISMATCH;
}

static to_reason check_battery(void *context, uint64_t wanted) {
    (void)context;
    return wanted < 100u ? TO_REASON_OK : TO_REASON_BATTERY;
}

static to_reason check_authorized(void *context, int32_t priority) {
    (void)context;
    return priority < 3 ? TO_REASON_OK : TO_REASON_UNAUTHORIZED;
}

static to_reason get_version(void *context, uint32_t component, int32_t numbers[8], uint32_t *count) {
    (void)context;
    require(component < COMPONENTS);
    numbers[0] = 1;
    numbers[1] = -2;
    *count = (uint32_t)(seed % 3u);
    return TO_REASON_OK;
}

static const to_suit_platform platform = {
    components,  COMPONENTS, &keys, uuid,   NULL,       get_sequence,  get_time,         get_image,   begin,
    write_bytes, end,        swap,  invoke, check_slot, check_battery, check_authorized, get_version,
};

#ifdef FUZZ_MANIFEST
to_reason to_cose_verify(const to_cose_keys *table, to_span object, to_span payload, uint32_t *signer) {
    (void)table;
    (void)object;
    (void)payload;
    *signer = 0;
    return TO_REASON_OK;
}

to_reason to_cose_more_telling(to_reason a, to_reason b) {
    (void)b;
    return a;
}

static uint32_t put_head(uint8_t *out, uint32_t major, uint32_t value) {
    if (value < 24u) {
        out[0] = (uint8_t)(major << 5 | value);
        return 1;
    }
    uint32_t bytes = value <= 0xFFu ? 1u : 2u;
    out[0] = (uint8_t)(major << 5 | (23u + bytes));
    for (uint32_t i = 0; i < bytes; i++) {
        out[1u + i] = (uint8_t)(value >> (8u * (bytes - 1u - i)));
    }
    return 1u + bytes;
}

/* The envelope of an input; 0: the input is too short. */
static uint32_t make_envelope(const uint8_t *data, size_t size, uint8_t *out) {
    static const uint8_t wrapper[] = {0x02, 0x58, 0x28, 0x82, 0x58, 0x24, 0x82, 0x2F, 0x58, 0x20};
    if (size < 3u || size > ENVELOPE_MAX / 2u) {
        return 0;
    }
    uint32_t length = (uint32_t)(data[0] << 8 | data[1]);
    length = length < size - 3u ? length : (uint32_t)size - 3u;
    uint32_t members = data[2u + length] % 16u;
    uint32_t at = 0;
    out[at++] = 0xD8;
    out[at++] = 107;
    at += put_head(out + at, 5, 2u + members);
    memcpy(out + at, wrapper, sizeof wrapper);
    uint32_t digest = at + (uint32_t)sizeof wrapper;
    at = digest + TO_SHA256_BYTES;
    out[at++] = 0x40; /* the block, which is not looked at */
    out[at++] = 0x03;
    uint32_t item = at;
    at += put_head(out + at, 2, length);
    memcpy(out + at, data + 2, length);
    at += length;
    to_sha256_of(out + item, at - item, out + digest);
    uint32_t rest = (uint32_t)size - 3u - length;
    memcpy(out + at, data + 3u + length, rest);
    return at + rest;
}
#endif

static void run(to_suit *suit, to_suit_procedure procedure, const uint8_t *data, size_t size) {
    unsigned steps = 0;
    to_suit_start(suit, procedure);
    to_suit_step step = to_suit_run(suit);
    while (step == TO_SUIT_FETCH) {
        require(suit->fetch.uri.size > 0 && suit->fetch.component < COMPONENTS && steps++ < 100000u);
        if (seed % 11u == 0) {
            (void)to_suit_resume(suit, 1);
        }
        uint32_t n = (uint32_t)(size < 200u ? size : 200u);
        to_reason reason = to_suit_data(suit, data, n);
        step = to_suit_fetched(suit, reason);
    }
    require(step == TO_SUIT_DONE ? suit->reason == TO_REASON_OK : suit->reason != TO_REASON_OK);
    require(to_suit_fetched(suit, TO_REASON_OK) == TO_SUIT_FAILED);
    require(to_suit_data(suit, data, 1) == TO_REASON_PAYLOAD_MISSING);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static to_suit suit;
    seed = size;
    memset(sizes, 0, sizeof sizes);
    writing = 0;
#ifdef FUZZ_MANIFEST
    static uint8_t buffer[ENVELOPE_MAX];
    uint32_t length = make_envelope(data, size, buffer);
#else
    const uint8_t *buffer = data;
    uint32_t length = (uint32_t)size;
#endif
    if (length == 0) {
        return 0;
    }
    /* Memory of exactly its size, so that a sanitizer sees every read beyond it. */
    uint8_t *envelope = malloc(length);
    require(envelope != NULL);
    memcpy(envelope, buffer, length);
    if (to_suit_open(&suit, &platform, envelope, length) == TO_REASON_OK) {
        require(suit.components > 0 && suit.components <= TO_SUIT_COMPONENTS);
        run(&suit, TO_SUIT_UPDATE, data, size);
        run(&suit, TO_SUIT_INVOKE, data, size);
    }
    free(envelope);
    return 0;
}
