#include "tinyops/to_crypto.h"

#include <string.h>

#if TO_CRYPTO_AES
#include "mbedtls/aes.h"

#define BLOCK 16u

/* The library's context lies in to_aes: checked when this file is compiled. */
typedef char context_fits[sizeof(mbedtls_aes_context) <= sizeof(to_aes) ? 1 : -1];

static mbedtls_aes_context *library(to_aes *aes) { return (mbedtls_aes_context *)(void *)aes->opaque; }

static int set_key(to_aes *aes, const uint8_t *key, uint32_t size, int decrypt) {
    mbedtls_aes_init(library(aes));
    return decrypt ? mbedtls_aes_setkey_dec(library(aes), key, size * 8u)
                   : mbedtls_aes_setkey_enc(library(aes), key, size * 8u);
}

static void encrypt(to_aes *aes, const uint8_t in[BLOCK], uint8_t out[BLOCK]) {
    (void)mbedtls_aes_crypt_ecb(library(aes), MBEDTLS_AES_ENCRYPT, in, out);
}

static void exclusive_or(uint8_t *to, const uint8_t *with, uint32_t size) {
    for (uint32_t i = 0; i < size; i++) {
        to[i] ^= with[i];
    }
}

/* RFC 3394, 2.2.2, index based. */
to_reason to_aes_kw_unwrap(const uint8_t *kek, uint32_t kek_size, const uint8_t *wrapped, uint32_t size,
                           uint8_t *key) {
    static const uint8_t initial[8] = {0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6};
    to_aes aes;
    uint8_t block[BLOCK];
    if (size < 24u || size > 40u || size % 8u != 0 || set_key(&aes, kek, kek_size, 1) != 0) {
        return TO_REASON_DECRYPT;
    }
    uint32_t n = size / 8u - 1u;
    memcpy(block, wrapped, 8);
    memmove(key, wrapped + 8, size - 8u);
    for (uint32_t t = 6u * n; t > 0; t--) {
        uint8_t *r = key + 8u * ((t - 1u) % n);
        block[7] ^= (uint8_t)t; /* t <= 24 */
        memcpy(block + 8, r, 8);
        (void)mbedtls_aes_crypt_ecb(library(&aes), MBEDTLS_AES_DECRYPT, block, block);
        memcpy(r, block + 8, 8);
    }
    mbedtls_aes_free(library(&aes));
    return to_equal_constant_time(block, initial, 8) ? TO_REASON_OK : TO_REASON_DECRYPT;
}

to_reason to_aes_ctr_start(to_aes_ctr *ctr, const uint8_t *key, uint32_t key_size,
                           const uint8_t counter[16]) {
    memcpy(ctr->counter, counter, BLOCK);
    ctr->used = BLOCK;
    return set_key(&ctr->aes, key, key_size, 0) == 0 ? TO_REASON_OK : TO_REASON_DECRYPT;
}

void to_aes_ctr_run(to_aes_ctr *ctr, const uint8_t *in, uint8_t *out, uint32_t size) {
    for (uint32_t i = 0; i < size; i++) {
        if (ctr->used == BLOCK) {
            encrypt(&ctr->aes, ctr->counter, ctr->stream);
            ctr->used = 0;
            for (unsigned at = BLOCK; at > 0 && ++ctr->counter[at - 1u] == 0; at--) {
            }
        }
        out[i] = in[i] ^ ctr->stream[ctr->used++];
    }
}

static uint64_t big_endian(const uint8_t *bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static void store_big_endian(uint8_t *bytes, uint64_t value) {
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(value >> (56u - 8u * i));
    }
}

/* hash := (hash ^ block) * key in GF(2^128) (NIST SP 800-38D, 6.3), in constant time. */
static void absorb(to_aes_gcm *gcm, uint64_t high, uint64_t low) {
    uint64_t x[2] = {gcm->hash[0] ^ high, gcm->hash[1] ^ low};
    uint64_t v[2] = {gcm->key[0], gcm->key[1]};
    uint64_t z[2] = {0, 0};
    for (unsigned i = 0; i < 128; i++) {
        uint64_t take = 0u - (x[i / 64u] >> (63u - i % 64u) & 1u);
        uint64_t carry = 0u - (v[1] & 1u);
        z[0] ^= v[0] & take;
        z[1] ^= v[1] & take;
        v[1] = v[1] >> 1 | v[0] << 63;
        v[0] = v[0] >> 1 ^ (carry & UINT64_C(0xE100000000000000));
    }
    gcm->hash[0] = z[0];
    gcm->hash[1] = z[1];
}

static void absorb_block(to_aes_gcm *gcm, const uint8_t block[BLOCK]) {
    absorb(gcm, big_endian(block), big_endian(block + 8));
}

static void absorb_padded(to_aes_gcm *gcm, const uint8_t *bytes, uint32_t size) {
    uint8_t block[BLOCK];
    for (uint32_t at = 0; at < size; at += BLOCK) {
        uint32_t n = size - at < BLOCK ? size - at : BLOCK;
        memset(block, 0, BLOCK);
        memcpy(block, bytes + at, n);
        absorb_block(gcm, block);
    }
}

to_reason to_aes_gcm_start(to_aes_gcm *gcm, const uint8_t *key, uint32_t key_size, const uint8_t iv[12],
                           const uint8_t *aad, uint32_t aad_size) {
    uint8_t block[BLOCK] = {0};
    memset(gcm, 0, sizeof *gcm);
    memcpy(block, iv, 12);
    block[15] = 2;
    to_reason reason = to_aes_ctr_start(&gcm->ctr, key, key_size, block);
    if (reason != TO_REASON_OK) {
        return reason;
    }
    block[15] = 1;
    encrypt(&gcm->ctr.aes, block, gcm->first);
    memset(block, 0, BLOCK);
    encrypt(&gcm->ctr.aes, block, block);
    gcm->key[0] = big_endian(block);
    gcm->key[1] = big_endian(block + 8);
    absorb_padded(gcm, aad, aad_size);
    gcm->aad_bytes = aad_size;
    return TO_REASON_OK;
}

void to_aes_gcm_run(to_aes_gcm *gcm, const uint8_t *in, uint8_t *out, uint32_t size) {
    for (uint32_t i = 0; i < size; i++) {
        gcm->partial[gcm->bytes++ % BLOCK] = in[i];
        if (gcm->bytes % BLOCK == 0) {
            absorb_block(gcm, gcm->partial);
        }
        to_aes_ctr_run(&gcm->ctr, in + i, out + i, 1);
    }
}

to_reason to_aes_gcm_finish(to_aes_gcm *gcm, const uint8_t tag[16]) {
    uint8_t computed[BLOCK];
    absorb_padded(gcm, gcm->partial, (uint32_t)(gcm->bytes % BLOCK));
    absorb(gcm, gcm->aad_bytes * 8u, gcm->bytes * 8u);
    store_big_endian(computed, gcm->hash[0]);
    store_big_endian(computed + 8, gcm->hash[1]);
    exclusive_or(computed, gcm->first, BLOCK);
    return to_equal_constant_time(computed, tag, BLOCK) ? TO_REASON_OK : TO_REASON_DECRYPT;
}

/* CBC-MAC of a run of bytes that is padded to whole blocks; `used` bytes of the block are there before. */
static uint32_t mac_bytes(to_aes *aes, uint8_t mac[BLOCK], uint32_t used, const uint8_t *bytes,
                          uint32_t size) {
    for (uint32_t i = 0; i < size; i++) {
        mac[used++] ^= bytes[i];
        if (used == BLOCK) {
            encrypt(aes, mac, mac);
            used = 0;
        }
    }
    return used;
}

static void mac_pad(to_aes *aes, uint8_t mac[BLOCK], uint32_t used) {
    if (used > 0) {
        encrypt(aes, mac, mac);
    }
}

static int ccm_is_valid(const to_aes_ccm *ccm, uint32_t size) {
    return ccm->nonce_size >= 7u && ccm->nonce_size <= 13u && ccm->tag_size >= 4u && ccm->tag_size <= 16u &&
           ccm->tag_size % 2u == 0 && size <= 0xFFFFu && ccm->aad_size < 0xFF00u;
}

/* The tag (RFC 3610, 2.2), not yet encrypted. */
static void ccm_mac(const to_aes_ccm *ccm, to_aes *aes, const uint8_t *plain, uint32_t size,
                    uint8_t mac[BLOCK]) {
    uint32_t length_bytes = 15u - ccm->nonce_size;
    memset(mac, 0, BLOCK);
    mac[0] =
        (uint8_t)((ccm->aad_size > 0 ? 0x40u : 0u) | (ccm->tag_size - 2u) / 2u << 3 | (length_bytes - 1u));
    memcpy(mac + 1, ccm->nonce, ccm->nonce_size);
    mac[14] = (uint8_t)(size >> 8);
    mac[15] = (uint8_t)size;
    encrypt(aes, mac, mac);
    if (ccm->aad_size > 0) {
        uint8_t head[2] = {(uint8_t)(ccm->aad_size >> 8), (uint8_t)ccm->aad_size};
        uint32_t used = mac_bytes(aes, mac, 0, head, sizeof head);
        mac_pad(aes, mac, mac_bytes(aes, mac, used, ccm->aad, ccm->aad_size));
    }
    mac_pad(aes, mac, mac_bytes(aes, mac, 0, plain, size));
}

/* The counter mode of RFC 3610, 2.3: starts at block 0, which encrypts the tag. */
static to_reason ccm_start(const to_aes_ccm *ccm, to_aes_ctr *ctr, uint8_t first[BLOCK]) {
    uint8_t counter[BLOCK] = {0};
    counter[0] = (uint8_t)(14u - ccm->nonce_size);
    memcpy(counter + 1, ccm->nonce, ccm->nonce_size);
    to_reason reason = to_aes_ctr_start(ctr, ccm->key, ccm->key_size, counter);
    if (reason == TO_REASON_OK) {
        memset(first, 0, BLOCK);
        to_aes_ctr_run(ctr, first, first, BLOCK);
    }
    return reason;
}

to_reason to_aes_ccm_encrypt(const to_aes_ccm *ccm, const uint8_t *plain, uint32_t size, uint8_t *out) {
    to_aes_ctr ctr;
    uint8_t first[BLOCK];
    uint8_t mac[BLOCK];
    if (!ccm_is_valid(ccm, size) || ccm_start(ccm, &ctr, first) != TO_REASON_OK) {
        return TO_REASON_DECRYPT;
    }
    ccm_mac(ccm, &ctr.aes, plain, size, mac);
    exclusive_or(mac, first, BLOCK);
    to_aes_ctr_run(&ctr, plain, out, size);
    memcpy(out + size, mac, ccm->tag_size);
    return TO_REASON_OK;
}

to_reason to_aes_ccm_decrypt(const to_aes_ccm *ccm, const uint8_t *cipher, uint32_t size, uint8_t *out) {
    to_aes_ctr ctr;
    uint8_t first[BLOCK];
    uint8_t mac[BLOCK];
    if (size < ccm->tag_size || !ccm_is_valid(ccm, size - ccm->tag_size) ||
        ccm_start(ccm, &ctr, first) != TO_REASON_OK) {
        return TO_REASON_DECRYPT;
    }
    size -= ccm->tag_size;
    exclusive_or(first, cipher + size, ccm->tag_size); /* the tag; `out` may overwrite it from here on */
    to_aes_ctr_run(&ctr, cipher, out, size);
    ccm_mac(ccm, &ctr.aes, out, size, mac);
    if (!to_equal_constant_time(mac, first, ccm->tag_size)) {
        memset(out, 0, size);
        return TO_REASON_DECRYPT;
    }
    return TO_REASON_OK;
}

#else

to_reason to_aes_kw_unwrap(const uint8_t *kek, uint32_t kek_size, const uint8_t *wrapped, uint32_t size,
                           uint8_t *key) {
    (void)kek;
    (void)kek_size;
    (void)wrapped;
    (void)size;
    (void)key;
    return TO_REASON_UNSUPPORTED;
}

to_reason to_aes_ctr_start(to_aes_ctr *ctr, const uint8_t *key, uint32_t key_size,
                           const uint8_t counter[16]) {
    (void)ctr;
    (void)key;
    (void)key_size;
    (void)counter;
    return TO_REASON_UNSUPPORTED;
}

void to_aes_ctr_run(to_aes_ctr *ctr, const uint8_t *in, uint8_t *out, uint32_t size) {
    (void)ctr;
    (void)in;
    memset(out, 0, size);
}

to_reason to_aes_gcm_start(to_aes_gcm *gcm, const uint8_t *key, uint32_t key_size, const uint8_t iv[12],
                           const uint8_t *aad, uint32_t aad_size) {
    (void)gcm;
    (void)key;
    (void)key_size;
    (void)iv;
    (void)aad;
    (void)aad_size;
    return TO_REASON_UNSUPPORTED;
}

void to_aes_gcm_run(to_aes_gcm *gcm, const uint8_t *in, uint8_t *out, uint32_t size) {
    (void)gcm;
    (void)in;
    memset(out, 0, size);
}

to_reason to_aes_gcm_finish(to_aes_gcm *gcm, const uint8_t tag[16]) {
    (void)gcm;
    (void)tag;
    return TO_REASON_UNSUPPORTED;
}

to_reason to_aes_ccm_encrypt(const to_aes_ccm *ccm, const uint8_t *plain, uint32_t size, uint8_t *out) {
    (void)ccm;
    (void)plain;
    (void)size;
    (void)out;
    return TO_REASON_UNSUPPORTED;
}

to_reason to_aes_ccm_decrypt(const to_aes_ccm *ccm, const uint8_t *cipher, uint32_t size, uint8_t *out) {
    (void)ccm;
    (void)cipher;
    (void)size;
    (void)out;
    return TO_REASON_UNSUPPORTED;
}

#endif
