/* HSS/LMS signature verification (RFC 8554), with SHA-256 of 32 bytes. Hash chains and Merkle paths are
 * followed in place: the signature is read once, in order, and nothing of it is copied. */
#include "tinyops/to_crypto.h"

#if TO_CRYPTO_HSSLMS
#include <string.h>

#define N TO_SHA256_BYTES
#define IDENTIFIER_BYTES 16u
#define PUBLIC_BYTES (4u + 4u + IDENTIFIER_BYTES + N)
#define LEVELS_MAX 8u

/* Domain separation, RFC 8554, 7.1 and 4.3. */
enum { D_PBLC = 0x8080, D_MESG = 0x8181, D_LEAF = 0x8282, D_INTR = 0x8383 };

/* LM-OTS parameter sets 1 to 4 (RFC 8554, 4.1): bits of a digit, hash chains, shift of the checksum. */
typedef struct {
    uint8_t w;
    uint16_t p;
    uint8_t ls;
} ots_set;

static const ots_set OTS[4] = {{1, 265, 7}, {2, 133, 6}, {4, 67, 4}, {8, 34, 0}};

/* LMS parameter sets 5 to 9 have trees of height 5, 10, 15, 20, 25. */
#define LMS_FIRST 5u
#define LMS_LAST 9u
#define HEIGHT_STEP 5u

/* The signature as it is used up. */
typedef struct {
    const uint8_t *at;
    uint32_t left;
    int bad;
} input;

static const uint8_t *take(input *in, uint32_t size) {
    static const uint8_t nothing[PUBLIC_BYTES];
    if (in->bad || in->left < size) {
        in->bad = 1;
        return nothing;
    }
    const uint8_t *bytes = in->at;
    in->at += size;
    in->left -= size;
    return bytes;
}

static uint32_t word(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint32_t take_word(input *in) { return word(take(in, 4)); }

/* Begins a hash of identifier || number || code. */
static void start_hash(to_sha256 *hash, const uint8_t *identifier, uint32_t number, uint32_t code) {
    uint8_t head[6];
    for (unsigned i = 0; i < 4; i++) {
        head[i] = (uint8_t)(number >> (24u - 8u * i));
    }
    head[4] = (uint8_t)(code >> 8);
    head[5] = (uint8_t)code;
    to_sha256_start(hash);
    to_sha256_update(hash, identifier, IDENTIFIER_BYTES);
    to_sha256_update(hash, head, sizeof head);
}

/* Digit i of `digits` (RFC 8554, 3.1.3). */
static uint32_t coefficient(const uint8_t *digits, uint32_t i, uint32_t w) {
    uint32_t per_byte = 8u / w;
    uint32_t shift = w * (per_byte - 1u - i % per_byte);
    return (uint32_t)digits[i / per_byte] >> shift & ((UINT32_C(1) << w) - 1u);
}

/* Appends the checksum to the message's hash (RFC 8554, 4.4). */
static void append_checksum(uint8_t digits[N + 2], const ots_set *set) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < N * 8u / set->w; i++) {
        sum += (UINT32_C(1) << set->w) - 1u - coefficient(digits, i, set->w);
    }
    sum <<= set->ls;
    digits[N] = (uint8_t)(sum >> 8);
    digits[N + 1] = (uint8_t)sum;
}

/* A hash chain from step `from` to its end (RFC 8554, algorithm 4b). */
static void end_chain(uint8_t value[N], const uint8_t *identifier, uint32_t leaf, uint32_t chain,
                      uint32_t from, uint32_t w) {
    to_sha256 hash;
    for (uint32_t j = from; j < (UINT32_C(1) << w) - 1u; j++) {
        uint8_t step = (uint8_t)j;
        start_hash(&hash, identifier, leaf, chain);
        to_sha256_update(&hash, &step, 1);
        to_sha256_update(&hash, value, N);
        to_sha256_finish(&hash, value);
    }
}

/* The candidate for the one-time public key (RFC 8554, algorithm 4b). */
static void ots_candidate(input *in, uint32_t type, const uint8_t *identifier, uint32_t leaf,
                          to_message message, uint8_t candidate[N]) {
    to_sha256 hash;
    uint8_t digits[N + 2];
    if (take_word(in) != type || type < 1u || type > 4u) {
        in->bad = 1;
        return;
    }
    const ots_set *set = &OTS[type - 1u];
    start_hash(&hash, identifier, leaf, D_MESG);
    to_sha256_update(&hash, take(in, N), N);
    for (uint32_t i = 0; i < message.count; i++) {
        to_sha256_update(&hash, message.parts[i].bytes, message.parts[i].size);
    }
    to_sha256_finish(&hash, digits);
    append_checksum(digits, set);
    start_hash(&hash, identifier, leaf, D_PBLC);
    for (uint32_t i = 0; i < set->p && !in->bad; i++) {
        uint8_t value[N];
        memcpy(value, take(in, N), N);
        end_chain(value, identifier, leaf, i, coefficient(digits, i, set->w), set->w);
        to_sha256_update(&hash, value, N);
    }
    to_sha256_finish(&hash, candidate);
}

/* One LMS signature (RFC 8554, algorithm 6a); `public_key` is type, LM-OTS type, identifier, root. */
static void verify_lms(input *in, const uint8_t *public_key, to_message message) {
    uint32_t type = word(public_key);
    const uint8_t *identifier = public_key + 8;
    uint32_t leaf = take_word(in);
    uint8_t value[N] = {0};
    to_sha256 hash;
    ots_candidate(in, word(public_key + 4), identifier, leaf, message, value);
    if (take_word(in) != type || type < LMS_FIRST || type > LMS_LAST) {
        in->bad = 1;
        return;
    }
    uint32_t height = (type - LMS_FIRST + 1u) * HEIGHT_STEP;
    if (in->bad || leaf >> height != 0) {
        in->bad = 1;
        return;
    }
    uint32_t node = (UINT32_C(1) << height) + leaf;
    start_hash(&hash, identifier, node, D_LEAF);
    to_sha256_update(&hash, value, N);
    to_sha256_finish(&hash, value);
    for (; node > 1; node /= 2u) {
        const uint8_t *sibling = take(in, N);
        start_hash(&hash, identifier, node / 2u, D_INTR);
        to_sha256_update(&hash, node % 2u ? sibling : value, N);
        to_sha256_update(&hash, node % 2u ? value : sibling, N);
        to_sha256_finish(&hash, value);
    }
    if (!to_equal_constant_time(value, public_key + 24, N)) {
        in->bad = 1;
    }
}

/* The size of a signature with this key; 0 for parameter sets that are not known. */
static uint32_t lms_bytes(const uint8_t *public_key) {
    uint32_t type = word(public_key);
    uint32_t ots = word(public_key + 4);
    if (type < LMS_FIRST || type > LMS_LAST || ots < 1u || ots > 4u) {
        return 0;
    }
    return 4u + (4u + N + N * OTS[ots - 1u].p) + 4u + N * HEIGHT_STEP * (type - LMS_FIRST + 1u);
}

to_reason to_hsslms_verify(const uint8_t key[TO_HSSLMS_KEY_BYTES], const uint8_t *signature, uint32_t size,
                           to_message message) {
    input in = {signature, size, 0};
    uint32_t levels = word(key);
    const uint8_t *public_key = key + 4;
    if (levels < 1u || levels > LEVELS_MAX || take_word(&in) != levels - 1u) {
        return TO_REASON_BAD_SIGNATURE;
    }
    for (uint32_t i = 1; i < levels && !in.bad; i++) {
        uint32_t bytes = lms_bytes(public_key);
        if (bytes == 0 || in.left < bytes + PUBLIC_BYTES) {
            return TO_REASON_BAD_SIGNATURE;
        }
        to_span next = to_span_of(in.at + bytes, PUBLIC_BYTES);
        to_message signed_key = {&next, 1};
        verify_lms(&in, public_key, signed_key);
        public_key = take(&in, PUBLIC_BYTES);
    }
    verify_lms(&in, public_key, message);
    return !in.bad && in.left == 0 ? TO_REASON_OK : TO_REASON_BAD_SIGNATURE;
}

#else

to_reason to_hsslms_verify(const uint8_t key[TO_HSSLMS_KEY_BYTES], const uint8_t *signature, uint32_t size,
                           to_message message) {
    (void)key;
    (void)signature;
    (void)size;
    (void)message;
    return TO_REASON_UNSUPPORTED;
}

#endif
