/* COSE (RFC 9052) for updates: signatures and MACs over a detached payload, and decryption of detached
 * content.
 *
 * The algorithm is a property of the provisioned key. What a message says about its algorithm must agree with
 * the key; it never selects anything. */
#ifndef TINYOPS_TO_COSE_H
#define TINYOPS_TO_COSE_H

#include <stdint.h>

#include "tinyops/to_cbor_read.h"
#include "tinyops/to_crypto.h"
#include "tinyops/to_reason.h"

/* Signatures of one COSE_Sign, and authentication blocks of one envelope: so many are looked at. */
#define TO_COSE_SIGNATURES_MAX 4u

#define TO_COSE_KEYS_MAX 32u /* bits of the map of revoked keys */

/* COSE algorithm numbers of keys. A message may say -8 (EdDSA) for Ed25519 and -7 (ES256) for ESP256, too. */
typedef enum {
    TO_COSE_A128KW = -3,          /* secret of 16 bytes */
    TO_COSE_HMAC_256 = 5,         /* secret of 32 bytes */
    TO_COSE_ESP256 = -9,          /* public key of 64 bytes: x, y */
    TO_COSE_ED25519 = -19,        /* public key of 32 bytes */
    TO_COSE_ECDH_ES_A128KW = -29, /* private key of 32 bytes on P-256 */
    TO_COSE_HSS_LMS = -46         /* public key of 60 bytes */
} to_cose_algorithm;

/* What a key may do. */
enum {
    TO_COSE_SIGNER = 1, /* authenticate manifests of models and firmware */
    TO_COSE_ROOT = 2,   /* authenticate manifests that change the keys */
    TO_COSE_DECRYPT = 4 /* unwrap content encryption keys */
};

typedef struct to_cose_key {
    to_span kid; /* key id, at most 32 bytes; tinyops: the first 8 bytes of the public key's SHA-256 */
    const uint8_t *key;
    uint16_t size;     /* of `key`, as the algorithm demands */
    int16_t algorithm; /* to_cose_algorithm */
    uint8_t roles;
} to_cose_key;

/* The keys that are compiled in. Bit i of `revoked` is set when keys[i] has been revoked. */
typedef struct to_cose_keys {
    const to_cose_key *keys;
    uint32_t count; /* at most TO_COSE_KEYS_MAX */
    uint32_t revoked;
} to_cose_keys;

/* Verifies `object`, a COSE_Sign1, COSE_Sign or COSE_Mac0 with its tag and a null payload, over `payload`. A
 * MAC counts only when a key for MACs is provisioned. With a key id in the message only that key is tried,
 * without one every key of the algorithm. On TO_REASON_OK `*signer` is the index of the key, which is not
 * revoked. Else the reason is the most telling one: revoked-key (the signature is right), bad-signature,
 * wrong-algorithm, unknown-key, malformed-cbor. */
to_reason to_cose_verify(const to_cose_keys *keys, to_span object, to_span payload, uint32_t *signer);

/* Of two reasons why authentication failed, the one that says more. */
to_reason to_cose_more_telling(to_reason a, to_reason b);

/* Decryption of detached content in pieces: A128CTR (-65534), A128GCM (1); the key by A128KW or
 * ECDH-ES+A128KW (draft-ietf-suit-firmware-encryption-26). */
typedef struct to_cose_decryption {
    union {
        to_aes_ctr ctr;
        to_aes_gcm gcm;
    } cipher;
    uint8_t gcm;            /* authenticated */
    uint8_t held;           /* bytes in `tail` */
    uint8_t tail[16];       /* the last bytes so far: they may be the tag */
    uint8_t fingerprint[8]; /* of content key and IV: equal ones would encrypt two contents alike */
} to_cose_decryption;

/* Whether `info` has the form that to_cose_decrypt_start reads; no key is used. TO_REASON_OK, or why not;
 * TO_REASON_UNSUPPORTED without TO_CRYPTO_AES. */
to_reason to_cose_check_encryption(to_span info);

/* `info` is a COSE_Encrypt (96) or COSE_Encrypt0 (16) with a null ciphertext. COSE_Encrypt0 takes the key of
 * TO_COSE_A128KW's kind that its key id names as the content key itself. */
to_reason to_cose_decrypt_start(to_cose_decryption *decryption, const to_cose_keys *keys, to_span info);

/* Puts out at most `size` bytes to `out`, which must not overlap `in`; returns how many. With A128GCM they
 * are authentic only after to_cose_decrypt_finish: write them where nothing believes them yet. */
uint32_t to_cose_decrypt_run(to_cose_decryption *decryption, const uint8_t *in, uint32_t size, uint8_t *out);

/* TO_REASON_OK, or TO_REASON_DECRYPT when the tag is wrong or missing. */
to_reason to_cose_decrypt_finish(to_cose_decryption *decryption);

#endif
