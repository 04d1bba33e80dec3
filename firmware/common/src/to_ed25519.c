#include "tinyops/to_crypto.h"

#if TO_CRYPTO_ED25519
#include <string.h>

#include "monocypher.h"

/* SHA-512 (FIPS 180-4) of what Ed25519 hashes. */
typedef struct {
    uint64_t state[8];
    uint32_t length; /* bytes so far */
    uint8_t block[128];
} sha512;

/* FIPS 180-4, 4.2.3: the first 64 bits of the fractional parts of the cube roots of the first 80 primes. */
static const uint64_t ROUND[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
    0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
    0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
    0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
    0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
    0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

static uint64_t rotate(uint64_t x, unsigned n) { return x >> n | x << (64u - n); }

static uint64_t big_endian(const uint8_t *bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

/* FIPS 180-4, 6.4.2, with the message schedule in a window of 16 words. */
static void compress(sha512 *hash) {
    uint64_t w[16];
    uint64_t s[8];
    memcpy(s, hash->state, sizeof s);
    for (unsigned t = 0; t < 80; t++) {
        uint64_t *word = &w[t % 16u];
        if (t < 16) {
            *word = big_endian(hash->block + 8u * t);
        } else {
            uint64_t x = w[(t + 1u) % 16u];
            uint64_t y = w[(t + 14u) % 16u];
            *word += (rotate(x, 1) ^ rotate(x, 8) ^ x >> 7) + w[(t + 9u) % 16u] +
                     (rotate(y, 19) ^ rotate(y, 61) ^ y >> 6);
        }
        uint64_t t1 = s[7] + (rotate(s[4], 14) ^ rotate(s[4], 18) ^ rotate(s[4], 41)) +
                      ((s[4] & s[5]) ^ (~s[4] & s[6])) + ROUND[t] + *word;
        uint64_t t2 = (rotate(s[0], 28) ^ rotate(s[0], 34) ^ rotate(s[0], 39)) +
                      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++) {
        hash->state[i] += s[i];
    }
}

static void start(sha512 *hash) {
    static const uint64_t initial[8] = {
        0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
        0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
    };
    memcpy(hash->state, initial, sizeof initial);
    hash->length = 0;
}

static void update(sha512 *hash, to_span span) {
    for (uint32_t i = 0; i < span.size; i++) {
        hash->block[hash->length++ % sizeof hash->block] = span.bytes[i];
        if (hash->length % sizeof hash->block == 0) {
            compress(hash);
        }
    }
}

static void finish(sha512 *hash, uint8_t digest[64]) {
    static const uint8_t padding[128] = {0x80u};
    uint8_t bits[16] = {0};
    uint64_t length = (uint64_t)hash->length * 8u;
    for (unsigned i = 0; i < 8; i++) {
        bits[8u + i] = (uint8_t)(length >> (56u - 8u * i));
    }
    update(hash, to_span_of(padding, 1u + (239u - hash->length % 128u) % 128u));
    update(hash, to_span_of(bits, sizeof bits));
    for (unsigned i = 0; i < 64; i++) {
        digest[i] = (uint8_t)(hash->state[i / 8u] >> (56u - 8u * (i % 8u)));
    }
}

/* Whether the y coordinate of an encoded point is below p = 2^255 - 19. */
static int is_reduced(const uint8_t point[32]) {
    uint8_t ones = point[31] & 0x7Fu;
    if (ones != 0x7Fu) {
        return 1;
    }
    for (unsigned i = 1; i < 31; i++) {
        if (point[i] != 0xFFu) {
            return 1;
        }
    }
    return point[0] < 0xEDu;
}

to_reason to_ed25519_verify(const uint8_t key[32], const uint8_t signature[64], to_message message) {
    sha512 hash;
    uint8_t digest[64];
    uint8_t reduced[32];
    if (!is_reduced(signature)) {
        return TO_REASON_BAD_SIGNATURE;
    }
    start(&hash);
    update(&hash, to_span_of(signature, 32));
    update(&hash, to_span_of(key, 32));
    for (uint32_t i = 0; i < message.count; i++) {
        update(&hash, message.parts[i]);
    }
    finish(&hash, digest);
    crypto_eddsa_reduce(reduced, digest);
    /* Refuses S that is not below the group's order. */
    return crypto_eddsa_check_equation(signature, key, reduced) == 0 ? TO_REASON_OK : TO_REASON_BAD_SIGNATURE;
}

#else

to_reason to_ed25519_verify(const uint8_t key[32], const uint8_t signature[64], to_message message) {
    (void)key;
    (void)signature;
    (void)message;
    return TO_REASON_UNSUPPORTED;
}

#endif
