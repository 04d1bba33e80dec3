#include "tinyops/to_sha256.h"

#include <string.h>

/* FIPS 180-4, 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, unsigned n) { return x >> n | x << (32u - n); }

static uint32_t big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void store_big_endian(uint8_t *bytes, uint32_t value) {
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> (24u - 8u * i));
    }
}

/* FIPS 180-4, 6.2.2, with the message schedule in a window of 16 words. */
static void compress(to_sha256 *hash) {
    uint32_t w[16];
    uint32_t s[8];
    memcpy(s, hash->state, sizeof s);
    for (unsigned t = 0; t < 64; t++) {
        uint32_t *word = &w[t % 16u];
        if (t < 16) {
            *word = big_endian(hash->block + 4u * t);
        } else {
            uint32_t x = w[(t + 1u) % 16u];
            uint32_t y = w[(t + 14u) % 16u];
            *word += (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) + w[(t + 9u) % 16u] +
                     (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
        }
        uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                      ((s[4] & s[5]) ^ (~s[4] & s[6])) + ROUND[t] + *word;
        uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++) {
        hash->state[i] += s[i];
    }
}

void to_sha256_start(to_sha256 *hash) {
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(hash->state, initial, sizeof initial);
    hash->length = 0;
}

void to_sha256_update(to_sha256 *hash, const uint8_t *bytes, size_t size) {
    while (size > 0) {
        size_t used = (size_t)(hash->length % TO_SHA256_BLOCK);
        size_t n = TO_SHA256_BLOCK - used;
        n = n < size ? n : size;
        memcpy(hash->block + used, bytes, n);
        hash->length += n;
        bytes += n;
        size -= n;
        if (used + n == TO_SHA256_BLOCK) {
            compress(hash);
        }
    }
}

void to_sha256_finish(to_sha256 *hash, uint8_t digest[TO_SHA256_BYTES]) {
    uint64_t bits = hash->length * 8u;
    size_t used = (size_t)(hash->length % TO_SHA256_BLOCK);
    hash->block[used++] = 0x80u;
    memset(hash->block + used, 0, TO_SHA256_BLOCK - used);
    if (used > TO_SHA256_BLOCK - 8u) {
        compress(hash);
        memset(hash->block, 0, TO_SHA256_BLOCK);
    }
    store_big_endian(hash->block + 56, (uint32_t)(bits >> 32));
    store_big_endian(hash->block + 60, (uint32_t)bits);
    compress(hash);
    for (unsigned i = 0; i < 8; i++) {
        store_big_endian(digest + 4u * i, hash->state[i]);
    }
}

void to_sha256_of(const uint8_t *bytes, size_t size, uint8_t digest[TO_SHA256_BYTES]) {
    to_sha256 hash;
    to_sha256_start(&hash);
    to_sha256_update(&hash, bytes, size);
    to_sha256_finish(&hash, digest);
}
