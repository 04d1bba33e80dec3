/* Cryptography for updates, over libraries that the build brings (tinyops/device/crypto.py):
 *
 *   feature               functions                                   library
 *   TO_CRYPTO_ED25519     to_ed25519_verify                           Monocypher's group arithmetic, own
 * SHA-512 TO_CRYPTO_ES256       to_es256_verify, to_p256_ecdh               micro-ecc TO_CRYPTO_HSSLMS
 * to_hsslms_verify                            own (RFC 8554), on to_sha256.h TO_CRYPTO_AES         to_aes_*
 * Mbed TLS' AES, own modes of operation
 *
 * A feature is compiled in when its macro is defined as 1. Without it its functions return
 * TO_REASON_UNSUPPORTED and need no library. Nothing here allocates memory or keeps any between calls. */
#ifndef TINYOPS_TO_CRYPTO_H
#define TINYOPS_TO_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#include "tinyops/to_cbor_read.h"
#include "tinyops/to_reason.h"
#include "tinyops/to_sha256.h"

#ifndef TO_CRYPTO_ED25519
#define TO_CRYPTO_ED25519 0
#endif
#ifndef TO_CRYPTO_ES256
#define TO_CRYPTO_ES256 0
#endif
#ifndef TO_CRYPTO_HSSLMS
#define TO_CRYPTO_HSSLMS 0
#endif
#ifndef TO_CRYPTO_AES
#define TO_CRYPTO_AES 0
#endif

/* A message is given in parts that follow one another, so that no copy of the whole is needed. */
typedef struct to_message {
    const to_span *parts;
    uint32_t count;
} to_message;

/* Signatures: TO_REASON_OK, TO_REASON_BAD_SIGNATURE or TO_REASON_UNSUPPORTED. */

/* Ed25519 (RFC 8032, 5.1.7, with the cofactor); S and R that are not reduced are refused. */
to_reason to_ed25519_verify(const uint8_t key[32], const uint8_t signature[64], to_message message);

/* ECDSA on P-256 with SHA-256; the key is x and y, the signature r and s, 32 bytes each, big-endian. */
to_reason to_es256_verify(const uint8_t key[64], const uint8_t signature[64], to_message message);

/* HSS/LMS (RFC 8554) with SHA-256 of 32 bytes: all four LM-OTS parameter sets, trees of height 5 to 25, up to
 * 8 levels. The key is the 60 bytes of the standard: levels, types, identifier, root. */
#define TO_HSSLMS_KEY_BYTES 60u
to_reason to_hsslms_verify(const uint8_t key[TO_HSSLMS_KEY_BYTES], const uint8_t *signature, uint32_t size,
                           to_message message);

/* The shared secret (x) of a private key and a public key (x, y), which is checked to be on the curve:
 * TO_REASON_OK, TO_REASON_DECRYPT or TO_REASON_UNSUPPORTED. */
to_reason to_p256_ecdh(const uint8_t private_key[32], const uint8_t public_key[64], uint8_t secret[32]);

/* AES with keys of 16, 24 or 32 bytes. Functions that check a tag or an integrity value return
 * TO_REASON_DECRYPT when it is wrong. */

#if TO_CRYPTO_AES
#define TO_AES_CONTEXT_WORDS 72u
#else
#define TO_AES_CONTEXT_WORDS 2u
#endif

/* The library's key schedule. It may point into itself: contexts must not be copied or moved. */
typedef struct to_aes {
    uint64_t opaque[TO_AES_CONTEXT_WORDS / 2u];
} to_aes;

/* RFC 3394: unwraps `size` - 8 bytes (16 to 32, a multiple of 8) to `key`. */
to_reason to_aes_kw_unwrap(const uint8_t *kek, uint32_t kek_size, const uint8_t *wrapped, uint32_t size,
                           uint8_t *key);

/* CTR: a counter block of 16 bytes that counts up as a whole, big-endian. In place is allowed. */
typedef struct to_aes_ctr {
    to_aes aes;
    uint8_t counter[16];
    uint8_t stream[16];
    uint8_t used; /* bytes of `stream` */
} to_aes_ctr;

to_reason to_aes_ctr_start(to_aes_ctr *ctr, const uint8_t *key, uint32_t key_size, const uint8_t counter[16]);
void to_aes_ctr_run(to_aes_ctr *ctr, const uint8_t *in, uint8_t *out, uint32_t size);

/* GCM decryption with an IV of 12 bytes (NIST SP 800-38D). What to_aes_gcm_run puts out is not authenticated
 * before to_aes_gcm_finish has accepted the tag. In place is allowed. */
typedef struct to_aes_gcm {
    to_aes_ctr ctr;
    uint8_t partial[16]; /* of the text's last block, as far as it is there */
    uint64_t key[2];     /* of the hash: the first and the last 8 bytes, big-endian */
    uint64_t hash[2];
    uint8_t first[16]; /* the encrypted first counter */
    uint64_t aad_bytes;
    uint64_t bytes;
} to_aes_gcm;

to_reason to_aes_gcm_start(to_aes_gcm *gcm, const uint8_t *key, uint32_t key_size, const uint8_t iv[12],
                           const uint8_t *aad, uint32_t aad_size);
void to_aes_gcm_run(to_aes_gcm *gcm, const uint8_t *in, uint8_t *out, uint32_t size);
to_reason to_aes_gcm_finish(to_aes_gcm *gcm, const uint8_t tag[16]);

/* CCM (RFC 3610): nonces of 7 to 13 bytes, tags of 4, 6, ... 16 bytes after the ciphertext, at most 65279
 * bytes of additional data and 65535 of text. In place is allowed. Decryption clears `out` when the tag is
 * wrong. */
typedef struct to_aes_ccm {
    const uint8_t *key;
    uint32_t key_size;
    const uint8_t *nonce;
    uint32_t nonce_size;
    const uint8_t *aad;
    uint32_t aad_size;
    uint32_t tag_size;
} to_aes_ccm;

/* `out` takes `size` + tag_size bytes. */
to_reason to_aes_ccm_encrypt(const to_aes_ccm *ccm, const uint8_t *plain, uint32_t size, uint8_t *out);

/* `size` includes the tag; `out` takes `size` - tag_size bytes. */
to_reason to_aes_ccm_decrypt(const to_aes_ccm *ccm, const uint8_t *cipher, uint32_t size, uint8_t *out);

#endif
