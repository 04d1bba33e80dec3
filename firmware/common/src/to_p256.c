#include "tinyops/to_crypto.h"

#if TO_CRYPTO_ES256
#include "uECC.h"

to_reason to_es256_verify(const uint8_t key[64], const uint8_t signature[64], to_message message) {
    to_sha256 hash;
    uint8_t digest[TO_SHA256_BYTES];
    to_sha256_start(&hash);
    for (uint32_t i = 0; i < message.count; i++) {
        to_sha256_update(&hash, message.parts[i].bytes, message.parts[i].size);
    }
    to_sha256_finish(&hash, digest);
    return uECC_verify(key, digest, sizeof digest, signature, uECC_secp256r1()) ? TO_REASON_OK
                                                                                : TO_REASON_BAD_SIGNATURE;
}

to_reason to_p256_ecdh(const uint8_t private_key[32], const uint8_t public_key[64], uint8_t secret[32]) {
    uECC_Curve curve = uECC_secp256r1();
    return uECC_valid_public_key(public_key, curve) &&
                   uECC_shared_secret(public_key, private_key, secret, curve)
               ? TO_REASON_OK
               : TO_REASON_DECRYPT;
}

#else

to_reason to_es256_verify(const uint8_t key[64], const uint8_t signature[64], to_message message) {
    (void)key;
    (void)signature;
    (void)message;
    return TO_REASON_UNSUPPORTED;
}

to_reason to_p256_ecdh(const uint8_t private_key[32], const uint8_t public_key[64], uint8_t secret[32]) {
    (void)private_key;
    (void)public_key;
    (void)secret;
    return TO_REASON_UNSUPPORTED;
}

#endif
