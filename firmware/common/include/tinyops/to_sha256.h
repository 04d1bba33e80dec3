/* SHA-256 (FIPS 180-4), HMAC (RFC 2104) and HKDF (RFC 5869) with it, in small portable C. */
#ifndef TINYOPS_TO_SHA256_H
#define TINYOPS_TO_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define TO_SHA256_BYTES 32u
#define TO_SHA256_BLOCK 64u

typedef struct to_sha256 {
    uint64_t length; /* bytes so far */
    uint32_t state[8];
    uint8_t block[TO_SHA256_BLOCK];
} to_sha256;

void to_sha256_start(to_sha256 *hash);
void to_sha256_update(to_sha256 *hash, const uint8_t *bytes, size_t size);
void to_sha256_finish(to_sha256 *hash, uint8_t digest[TO_SHA256_BYTES]);

/* All at once. */
void to_sha256_of(const uint8_t *bytes, size_t size, uint8_t digest[TO_SHA256_BYTES]);

typedef struct to_hmac {
    to_sha256 inner;
    uint8_t key[TO_SHA256_BLOCK]; /* padded */
} to_hmac;

void to_hmac_start(to_hmac *mac, const uint8_t *key, size_t size);
void to_hmac_update(to_hmac *mac, const uint8_t *bytes, size_t size);
void to_hmac_finish(to_hmac *mac, uint8_t tag[TO_SHA256_BYTES]);

/* `size` <= 255 * 32 bytes. `out` must not overlap the inputs. */
void to_hkdf_sha256(const uint8_t *salt, size_t salt_size, const uint8_t *secret, size_t secret_size,
                    const uint8_t *info, size_t info_size, uint8_t *out, size_t size);

/* Whether `size` bytes are equal, in a time that does not depend on where they differ. */
int to_equal_constant_time(const uint8_t *a, const uint8_t *b, size_t size);

#endif
