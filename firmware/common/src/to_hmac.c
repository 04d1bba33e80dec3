#include <string.h>

#include "tinyops/to_sha256.h"

#define INNER_PAD 0x36u
#define OUTER_PAD 0x5Cu

static void start_padded(to_sha256 *hash, const uint8_t *key, uint8_t pad) {
    uint8_t padded[TO_SHA256_BLOCK];
    for (unsigned i = 0; i < TO_SHA256_BLOCK; i++) {
        padded[i] = key[i] ^ pad;
    }
    to_sha256_start(hash);
    to_sha256_update(hash, padded, sizeof padded);
}

void to_hmac_start(to_hmac *mac, const uint8_t *key, size_t size) {
    memset(mac->key, 0, sizeof mac->key);
    if (size > TO_SHA256_BLOCK) {
        to_sha256_of(key, size, mac->key);
    } else if (size > 0) {
        memcpy(mac->key, key, size);
    }
    start_padded(&mac->inner, mac->key, INNER_PAD);
}

void to_hmac_update(to_hmac *mac, const uint8_t *bytes, size_t size) {
    to_sha256_update(&mac->inner, bytes, size);
}

void to_hmac_finish(to_hmac *mac, uint8_t tag[TO_SHA256_BYTES]) {
    to_sha256_finish(&mac->inner, tag);
    start_padded(&mac->inner, mac->key, OUTER_PAD);
    to_sha256_update(&mac->inner, tag, TO_SHA256_BYTES);
    to_sha256_finish(&mac->inner, tag);
}

void to_hkdf_sha256(const uint8_t *salt, size_t salt_size, const uint8_t *secret, size_t secret_size,
                    const uint8_t *info, size_t info_size, uint8_t *out, size_t size) {
    uint8_t extracted[TO_SHA256_BYTES];
    uint8_t block[TO_SHA256_BYTES];
    to_hmac mac;
    to_hmac_start(&mac, salt, salt_size);
    to_hmac_update(&mac, secret, secret_size);
    to_hmac_finish(&mac, extracted);
    for (uint8_t number = 1; size > 0; number++) {
        to_hmac_start(&mac, extracted, sizeof extracted);
        if (number > 1) {
            to_hmac_update(&mac, block, sizeof block);
        }
        to_hmac_update(&mac, info, info_size);
        to_hmac_update(&mac, &number, 1);
        to_hmac_finish(&mac, block);
        size_t n = size < sizeof block ? size : sizeof block;
        memcpy(out, block, n);
        out += n;
        size -= n;
    }
}

int to_equal_constant_time(const uint8_t *a, const uint8_t *b, size_t size) {
    uint8_t differences = 0;
    for (size_t i = 0; i < size; i++) {
        differences = (uint8_t)(differences | (a[i] ^ b[i]));
    }
    return differences == 0;
}
