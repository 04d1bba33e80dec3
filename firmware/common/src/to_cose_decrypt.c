#include "tinyops/to_cose.h"

#if TO_CRYPTO_AES
#include <string.h>

#include "to_cose_header.h"

enum { TAG_ENCRYPT0 = 16, TAG_ENCRYPT = 96 };
enum { ALG_A128GCM = 1, ALG_A128CTR = -65534 };

#define CEK_BYTES 16u
#define KEK_BYTES 16u
#define WRAPPED_BYTES (CEK_BYTES + 8u)
#define GCM_IV_BYTES 12u
#define CTR_IV_BYTES 16u
#define TAG_BYTES 16u
#define RECIPIENTS_MAX 4u

static void wipe(uint8_t *secret, uint32_t size) {
    volatile uint8_t *bytes = secret;
    while (size-- > 0) {
        *bytes++ = 0;
    }
}

/* The key that a header asks for, or NULL. */
static const to_cose_key *find_key(const to_cose_keys *keys, const to_cose_header *header, int32_t algorithm,
                                   uint32_t size) {
    for (uint32_t i = 0; i < keys->count; i++) {
        const to_cose_key *key = &keys->keys[i];
        if ((key->roles & TO_COSE_DECRYPT) != 0 && (keys->revoked >> i & 1u) == 0 &&
            key->algorithm == algorithm && key->size == size &&
            (header->kid.bytes == NULL || to_span_equal(header->kid, key->kid))) {
            return key;
        }
    }
    return NULL;
}

/* x and y of a COSE_Key on P-256 (RFC 9053, 7.1.1). */
static to_reason read_ephemeral(to_span encoded, uint8_t public_key[64]) {
    static const uint8_t head[] = {0xA4, 0x01, 0x02, 0x20, 0x01, 0x21};
    to_cbor_reader reader;
    if (encoded.size < sizeof head || memcmp(encoded.bytes, head, sizeof head) != 0) {
        return TO_REASON_DECRYPT;
    }
    to_cbor_read(&reader, to_span_of(encoded.bytes + sizeof head, encoded.size - (uint32_t)sizeof head));
    to_span x = to_cbor_get_bytes(&reader);
    int32_t label = to_cbor_get_int(&reader);
    to_span y = to_cbor_get_bytes(&reader);
    if (to_cbor_done(&reader) != TO_REASON_OK || label != -3 || x.size != 32u || y.size != 32u) {
        return TO_REASON_DECRYPT;
    }
    memcpy(public_key, x.bytes, 32);
    memcpy(public_key + 32, y.bytes, 32);
    return TO_REASON_OK;
}

/* The key encryption key that was agreed on, with the KDF context of suit-firmware-encryption, 6.2. */
static to_reason agree(const to_cose_key *key, const to_cose_header *header, uint8_t kek[KEK_BYTES]) {
    static const uint8_t before[] = {0x84, 0x22, 0x83, 0xF6, 0xF6, 0xF6, 0x83,
                                     0xF6, 0xF6, 0xF6, 0x83, 0x18, 0x80};
    static const char after[] = "\x57"
                                "SUIT Payload Encryption";
    uint8_t public_key[64];
    uint8_t secret[32];
    uint8_t context[sizeof before + 16u + sizeof after - 1u];
    uint32_t protected_size = header->protected_item.size;
    if (protected_size > 16u) {
        return TO_REASON_DECRYPT;
    }
    memcpy(context, before, sizeof before);
    memcpy(context + sizeof before, header->protected_item.bytes, protected_size);
    memcpy(context + sizeof before + protected_size, after, sizeof after - 1u);
    to_reason reason = read_ephemeral(header->ephemeral, public_key);
    if (reason == TO_REASON_OK) {
        reason = to_p256_ecdh(key->key, public_key, secret);
    }
    if (reason == TO_REASON_OK) {
        to_hkdf_sha256(NULL, 0, secret, sizeof secret, context,
                       sizeof before + protected_size + sizeof after - 1u, kek, KEK_BYTES);
        wipe(secret, sizeof secret);
    }
    return reason;
}

static to_reason unwrap(const to_cose_keys *keys, const to_cose_header *header, to_span wrapped,
                        uint8_t cek[CEK_BYTES]) {
    uint8_t kek[KEK_BYTES];
    to_reason reason = TO_REASON_OK;
    if (wrapped.size != WRAPPED_BYTES) {
        return TO_REASON_DECRYPT;
    }
    if (header->algorithm == TO_COSE_A128KW && header->protected_content.size == 0) {
        const to_cose_key *key = find_key(keys, header, TO_COSE_A128KW, KEK_BYTES);
        if (key == NULL) {
            return TO_REASON_UNKNOWN_KEY;
        }
        memcpy(kek, key->key, KEK_BYTES);
    } else if (header->algorithm == TO_COSE_ECDH_ES_A128KW && header->algorithm_protected) {
        const to_cose_key *key = find_key(keys, header, TO_COSE_ECDH_ES_A128KW, 32);
        if (key == NULL) {
            return TO_REASON_UNKNOWN_KEY;
        }
        reason = agree(key, header, kek);
    } else {
        return TO_REASON_UNSUPPORTED;
    }
    if (reason == TO_REASON_OK) {
        reason = to_aes_kw_unwrap(kek, KEK_BYTES, wrapped.bytes, wrapped.size, cek);
        wipe(kek, sizeof kek);
    }
    return reason;
}

/* The first recipient that this device is. */
static to_reason unwrap_any(const to_cose_keys *keys, to_cbor_reader *reader, uint8_t cek[CEK_BYTES]) {
    uint32_t count = to_cbor_get_array(reader);
    to_reason result = TO_REASON_UNKNOWN_KEY;
    uint8_t found = 0;
    if (count > RECIPIENTS_MAX) {
        return TO_REASON_TOO_LARGE;
    }
    for (uint32_t i = 0; i < count; i++) {
        to_cose_header header;
        if (to_cbor_get_array(reader) != 3u) {
            to_cbor_fail(reader, TO_REASON_MALFORMED_CBOR);
        }
        to_cose_read_header(reader, &header);
        to_span wrapped = to_cbor_get_bytes(reader);
        if (reader->error != TO_REASON_OK) {
            return reader->error;
        }
        if (!found) {
            result = unwrap(keys, &header, wrapped, cek);
            found = (uint8_t)(result == TO_REASON_OK);
        }
    }
    to_reason reason = to_cbor_done(reader);
    return reason != TO_REASON_OK ? reason : result;
}

static to_reason start_cipher(to_cose_decryption *decryption, const to_cose_header *header, to_span context,
                              const uint8_t cek[CEK_BYTES]) {
    if (header->algorithm == ALG_A128CTR) {
        if (header->protected_content.size != 0 || header->iv.size != CTR_IV_BYTES) {
            return TO_REASON_DECRYPT; /* RFC 9459: nothing can be protected */
        }
        return to_aes_ctr_start(&decryption->cipher.ctr, cek, CEK_BYTES, header->iv.bytes);
    }
    if (header->algorithm != ALG_A128GCM || !header->algorithm_protected) {
        return TO_REASON_UNSUPPORTED;
    }
    /* Enc_structure (RFC 9052, 5.3); protected headers of A128GCM alone are 4 bytes with their head. */
    uint8_t aad[32];
    uint32_t size = context.size + header->protected_item.size + 1u;
    if (header->iv.size != GCM_IV_BYTES || size > sizeof aad) {
        return TO_REASON_DECRYPT;
    }
    memcpy(aad, context.bytes, context.size);
    memcpy(aad + context.size, header->protected_item.bytes, header->protected_item.size);
    aad[size - 1u] = 0x40;
    decryption->gcm = 1;
    return to_aes_gcm_start(&decryption->cipher.gcm, cek, CEK_BYTES, header->iv.bytes, aad, size);
}

/* The message up to its recipients; its tag. */
static uint64_t read_message(to_cbor_reader *reader, to_cose_header *header) {
    uint64_t tag = to_cbor_get_any_tag(reader);
    if ((tag != TAG_ENCRYPT && tag != TAG_ENCRYPT0) ||
        to_cbor_get_array(reader) != (tag == TAG_ENCRYPT ? 4u : 3u)) {
        to_cbor_fail(reader, TO_REASON_MALFORMED_CBOR);
    }
    to_cose_read_header(reader, header);
    if (!to_cbor_get_null(reader)) {
        to_cbor_fail(reader, TO_REASON_MALFORMED_CBOR);
    }
    return tag;
}

static to_reason direct_key(const to_cose_keys *keys, const to_cose_header *header, uint8_t cek[CEK_BYTES]) {
    const to_cose_key *key = find_key(keys, header, TO_COSE_A128KW, CEK_BYTES);
    if (key == NULL) {
        return TO_REASON_UNKNOWN_KEY;
    }
    memcpy(cek, key->key, CEK_BYTES);
    return TO_REASON_OK;
}

static to_reason read_info(const to_cose_keys *keys, to_span info, to_cose_header *header, uint64_t *tag,
                           uint8_t cek[CEK_BYTES]) {
    to_cbor_reader reader;
    to_cbor_read(&reader, info);
    *tag = read_message(&reader, header);
    if (reader.error != TO_REASON_OK) {
        return reader.error;
    }
    if (*tag == TAG_ENCRYPT) {
        return unwrap_any(keys, &reader, cek);
    }
    to_reason reason = to_cbor_done(&reader);
    return reason == TO_REASON_OK ? direct_key(keys, header, cek) : reason;
}

to_reason to_cose_check_encryption(to_span info) {
    static const to_cose_keys none;
    to_cose_header header;
    uint64_t tag;
    uint8_t cek[CEK_BYTES];
    to_reason reason = read_info(&none, info, &header, &tag, cek);
    /* Nothing but the missing key is wrong, or the recipients are of kinds that another device may know. */
    int well_formed = reason == TO_REASON_UNKNOWN_KEY || reason == TO_REASON_UNSUPPORTED;
    return well_formed || reason == TO_REASON_DECRYPT ? TO_REASON_OK : reason;
}

/* Two contents with the same key and IV would have the same key stream. */
static void take_fingerprint(to_cose_decryption *decryption, const uint8_t cek[CEK_BYTES], to_span iv) {
    to_sha256 hash;
    uint8_t digest[TO_SHA256_BYTES];
    to_sha256_start(&hash);
    to_sha256_update(&hash, cek, CEK_BYTES);
    to_sha256_update(&hash, iv.bytes, iv.size);
    to_sha256_finish(&hash, digest);
    memcpy(decryption->fingerprint, digest, sizeof decryption->fingerprint);
}

to_reason to_cose_decrypt_start(to_cose_decryption *decryption, const to_cose_keys *keys, to_span info) {
    static const uint8_t context[] = "\x83gEncrypt";
    static const uint8_t context0[] = "\x83hEncrypt0";
    to_cose_header header;
    uint64_t tag;
    uint8_t cek[CEK_BYTES];
    memset(decryption, 0, sizeof *decryption);
    to_reason reason = read_info(keys, info, &header, &tag, cek);
    if (reason == TO_REASON_OK) {
        take_fingerprint(decryption, cek, header.iv);
        to_span with = to_span_of(context, sizeof context - 1u);
        if (tag == TAG_ENCRYPT0) {
            with = to_span_of(context0, sizeof context0 - 1u);
        }
        reason = start_cipher(decryption, &header, with, cek);
    }
    wipe(cek, sizeof cek);
    return reason;
}

uint32_t to_cose_decrypt_run(to_cose_decryption *decryption, const uint8_t *in, uint32_t size, uint8_t *out) {
    if (!decryption->gcm) {
        to_aes_ctr_run(&decryption->cipher.ctr, in, out, size);
        return size;
    }
    uint32_t held = decryption->held;
    if (size <= TAG_BYTES - held) {
        memcpy(decryption->tail + held, in, size);
        decryption->held = (uint8_t)(held + size);
        return 0;
    }
    uint32_t ready = held + size - TAG_BYTES;
    uint32_t old = held < ready ? held : ready;
    to_aes_gcm_run(&decryption->cipher.gcm, decryption->tail, out, old);
    memmove(decryption->tail, decryption->tail + old, held - old);
    to_aes_gcm_run(&decryption->cipher.gcm, in, out + old, ready - old);
    memcpy(decryption->tail + held - old, in + (ready - old), size - (ready - old));
    decryption->held = TAG_BYTES;
    return ready;
}

to_reason to_cose_decrypt_finish(to_cose_decryption *decryption) {
    if (!decryption->gcm) {
        return TO_REASON_OK;
    }
    return decryption->held == TAG_BYTES ? to_aes_gcm_finish(&decryption->cipher.gcm, decryption->tail)
                                         : TO_REASON_DECRYPT;
}

#else

to_reason to_cose_check_encryption(to_span info) {
    (void)info;
    return TO_REASON_UNSUPPORTED;
}

to_reason to_cose_decrypt_start(to_cose_decryption *decryption, const to_cose_keys *keys, to_span info) {
    (void)decryption;
    (void)keys;
    (void)info;
    return TO_REASON_UNSUPPORTED;
}

uint32_t to_cose_decrypt_run(to_cose_decryption *decryption, const uint8_t *in, uint32_t size, uint8_t *out) {
    (void)decryption;
    (void)in;
    (void)size;
    (void)out;
    return 0;
}

to_reason to_cose_decrypt_finish(to_cose_decryption *decryption) {
    (void)decryption;
    return TO_REASON_UNSUPPORTED;
}

#endif
