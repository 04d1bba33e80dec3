#include "tinyops/to_cose.h"

#include "to_cose_header.h"

enum { TAG_MAC0 = 17, TAG_SIGN1 = 18, TAG_SIGN = 98 };
enum { ALG_ES256 = -7, ALG_EDDSA = -8 };

/* What a signature covers, and with what. */
typedef struct {
    to_span context; /* the head and first item of the Sig_structure or MAC_structure */
    to_span body;    /* protected headers of the message, encoded as byte strings */
    to_span signer;  /* the same of one signature of a COSE_Sign, else of no bytes */
    to_span payload;
    uint8_t mac;
} covered;

#define LITERAL(text) to_span_of((const uint8_t *)(text), sizeof(text) - 1u)

to_reason to_cose_more_telling(to_reason a, to_reason b) {
    static const uint8_t order[] = {TO_REASON_REVOKED_KEY, TO_REASON_BAD_SIGNATURE, TO_REASON_UNSUPPORTED,
                                    TO_REASON_WRONG_ALGORITHM, TO_REASON_UNKNOWN_KEY};
    for (uint32_t i = 0; i < sizeof order; i++) {
        if (a == order[i] || b == order[i]) {
            return (to_reason)order[i];
        }
    }
    return a;
}

static int algorithm_agrees(int32_t message, int32_t key) {
    return message == key || (message == ALG_EDDSA && key == TO_COSE_ED25519) ||
           (message == ALG_ES256 && key == TO_COSE_ESP256);
}

static to_reason check_mac(const to_cose_key *key, to_span tag, to_message message) {
    to_hmac mac;
    uint8_t computed[TO_SHA256_BYTES];
    to_hmac_start(&mac, key->key, key->size);
    for (uint32_t i = 0; i < message.count; i++) {
        to_hmac_update(&mac, message.parts[i].bytes, message.parts[i].size);
    }
    to_hmac_finish(&mac, computed);
    int equal = tag.size == sizeof computed && to_equal_constant_time(computed, tag.bytes, sizeof computed);
    return equal ? TO_REASON_OK : TO_REASON_BAD_SIGNATURE;
}

static to_reason check_with(const to_cose_key *key, to_span signature, to_message message) {
    int has_64 = signature.size == 64u;
    switch (key->algorithm) {
    case TO_COSE_HMAC_256:
        return check_mac(key, signature, message);
    case TO_COSE_ED25519:
        return has_64 && key->size == 32u ? to_ed25519_verify(key->key, signature.bytes, message)
                                          : TO_REASON_BAD_SIGNATURE;
    case TO_COSE_ESP256:
        return has_64 && key->size == 64u ? to_es256_verify(key->key, signature.bytes, message)
                                          : TO_REASON_BAD_SIGNATURE;
    case TO_COSE_HSS_LMS:
        return key->size == TO_HSSLMS_KEY_BYTES
                   ? to_hsslms_verify(key->key, signature.bytes, signature.size, message)
                   : TO_REASON_BAD_SIGNATURE;
    default:
        return TO_REASON_UNSUPPORTED;
    }
}

/* The head of a byte string: at most 5 bytes. */
static uint32_t bytes_head(uint8_t *head, uint32_t size) {
    uint32_t count = size < 24u ? 0u : size <= 0xFFu ? 1u : size <= 0xFFFFu ? 2u : 4u;
    head[0] = (uint8_t)(0x40u | (count == 0 ? size : count == 4u ? 26u : 23u + count));
    for (uint32_t i = 0; i < count; i++) {
        head[1u + i] = (uint8_t)(size >> (8u * (count - 1u - i)));
    }
    return 1u + count;
}

/* RFC 9052, 4.4 and 6.3; no external data. */
static to_reason check(const to_cose_key *key, to_span signature, const covered *what) {
    uint8_t heads[6] = {0x40};
    to_span parts[5] = {what->context, what->body, what->signer, {heads, 0}, what->payload};
    to_message message = {parts, 5};
    parts[3].size = 1u + bytes_head(heads + 1, what->payload.size);
    return check_with(key, signature, message);
}

/* Tries the keys that the header allows. */
static to_reason check_keys(const to_cose_keys *keys, const to_cose_header *header, to_span signature,
                            const covered *what, uint32_t *signer) {
    to_reason result = TO_REASON_UNKNOWN_KEY;
    if (header->kid.bytes == NULL) {
        result = TO_REASON_WRONG_ALGORITHM;
    }
    for (uint32_t i = 0; i < keys->count; i++) {
        const to_cose_key *key = &keys->keys[i];
        if ((key->roles & (TO_COSE_SIGNER | TO_COSE_ROOT)) == 0 ||
            (header->kid.bytes != NULL && !to_span_equal(header->kid, key->kid))) {
            continue;
        }
        to_reason reason = TO_REASON_WRONG_ALGORITHM;
        if (what->mac == (key->algorithm == TO_COSE_HMAC_256) &&
            algorithm_agrees(header->algorithm, key->algorithm)) {
            reason = check(key, signature, what);
        }
        if (reason == TO_REASON_OK && (keys->revoked >> i & 1u) == 0) {
            *signer = i;
            return TO_REASON_OK;
        }
        result = to_cose_more_telling(result, reason == TO_REASON_OK ? TO_REASON_REVOKED_KEY : reason);
    }
    return result;
}

/* COSE_Sign1 and COSE_Mac0 after their tag. */
static to_reason verify_single(const to_cose_keys *keys, to_cbor_reader *reader, covered *what,
                               uint32_t *signer) {
    to_cose_header header;
    if (to_cbor_get_array(reader) != 4u) {
        to_cbor_fail(reader, TO_REASON_MALFORMED_CBOR);
    }
    to_cose_read_header(reader, &header);
    if (!to_cbor_get_null(reader)) {
        to_cbor_fail(reader, TO_REASON_MALFORMED_CBOR);
    }
    to_span signature = to_cbor_get_bytes(reader);
    to_reason reason = to_cbor_done(reader);
    if (reason == TO_REASON_OK && !header.algorithm_protected) {
        reason = TO_REASON_WRONG_ALGORITHM;
    }
    what->body = header.protected_item;
    return reason == TO_REASON_OK ? check_keys(keys, &header, signature, what, signer) : reason;
}

/* COSE_Sign after its tag: one good signature is enough. */
static to_reason verify_several(const to_cose_keys *keys, to_cbor_reader *reader, covered *what,
                                uint32_t *signer) {
    to_cose_header header;
    to_reason result = TO_REASON_NO_AUTHENTICATION;
    if (to_cbor_get_array(reader) != 4u) {
        to_cbor_fail(reader, TO_REASON_MALFORMED_CBOR);
    }
    to_cose_read_header(reader, &header);
    what->body = header.protected_item;
    if (!to_cbor_get_null(reader)) {
        to_cbor_fail(reader, TO_REASON_MALFORMED_CBOR);
    }
    to_cbor_reader signatures = *reader;
    (void)to_cbor_skip(reader);
    to_reason reason = to_cbor_done(reader);
    if (reason != TO_REASON_OK) {
        return reason;
    }
    uint32_t count = to_cbor_get_array(&signatures);
    if (count > TO_COSE_SIGNATURES_MAX) {
        return TO_REASON_TOO_LARGE;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (to_cbor_get_array(&signatures) != 3u) {
            to_cbor_fail(&signatures, TO_REASON_MALFORMED_CBOR);
        }
        to_cose_read_header(&signatures, &header);
        what->signer = header.protected_item;
        to_span signature = to_cbor_get_bytes(&signatures);
        if (signatures.error != TO_REASON_OK) {
            return signatures.error;
        }
        reason = header.algorithm_protected ? check_keys(keys, &header, signature, what, signer)
                                            : TO_REASON_WRONG_ALGORITHM;
        if (reason == TO_REASON_OK) {
            return reason;
        }
        result = to_cose_more_telling(result, reason);
    }
    return signatures.error != TO_REASON_OK ? signatures.error : result;
}

to_reason to_cose_verify(const to_cose_keys *keys, to_span object, to_span payload, uint32_t *signer) {
    to_cbor_reader reader;
    covered what = {{NULL, 0}, {NULL, 0}, {NULL, 0}, payload, 0};
    to_cbor_read(&reader, object);
    switch (to_cbor_get_any_tag(&reader)) {
    case TAG_SIGN1:
        what.context = LITERAL("\x84jSignature1");
        return verify_single(keys, &reader, &what, signer);
    case TAG_SIGN:
        what.context = LITERAL("\x85iSignature");
        return verify_several(keys, &reader, &what, signer);
    case TAG_MAC0:
        what.context = LITERAL("\x84"
                               "dMAC0");
        what.mac = 1;
        return verify_single(keys, &reader, &what, signer);
    default:
        return reader.error != TO_REASON_OK ? reader.error : TO_REASON_WRONG_ALGORITHM;
    }
}
