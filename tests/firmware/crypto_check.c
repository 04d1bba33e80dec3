/* Runs the device's cryptography on what standard input asks for, one request a line: a function and its
 * arguments in hexadecimal ("-" for no bytes). Prints the reason, and what was put out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinyops/to_cbor_read.h"
#include "tinyops/to_cose.h"
#include "tinyops/to_crypto.h"

#define ARGUMENTS 8
#define LINE_MAX_BYTES (1u << 18)

static char line[LINE_MAX_BYTES];
static to_span arguments[ARGUMENTS];
static uint8_t *allocated[ARGUMENTS];

static unsigned digit(char c) { return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10); }

/* Each argument lies in memory of exactly its size, so that a sanitizer sees every read beyond it. */
static void read_arguments(char *text) {
    for (int i = 0; i < ARGUMENTS; i++) {
        char *word = strtok(i == 0 ? text : NULL, " \n");
        size_t size = word == NULL || word[0] == '-' ? 0 : strlen(word) / 2u;
        free(allocated[i]);
        allocated[i] = malloc(size);
        for (size_t at = 0; at < size; at++) {
            allocated[i][at] = (uint8_t)(digit(word[2u * at]) << 4 | digit(word[2u * at + 1u]));
        }
        arguments[i] = to_span_of(allocated[i], (uint32_t)size);
    }
}

static void answer(to_reason reason, const uint8_t *out, uint32_t size) {
    printf("%d ", (int)reason);
    for (uint32_t i = 0; i < size; i++) {
        printf("%02x", out[i]);
    }
    printf("\n");
}

static uint32_t number(to_span span) {
    uint32_t value = 0;
    for (uint32_t i = 0; i < span.size; i++) {
        value = value << 8 | span.bytes[i];
    }
    return value;
}

/* A message in two parts, divided at a third. */
static to_message divided(to_span text, to_span parts[2]) {
    to_message message = {parts, 2};
    parts[0] = to_span_of(text.bytes, text.size / 3u);
    parts[1] = to_span_of(text.bytes + text.size / 3u, text.size - text.size / 3u);
    return message;
}

static void run_pieces(to_aes_ctr *ctr, to_aes_gcm *gcm, to_span in, uint8_t *out) {
    uint32_t step = 1;
    for (uint32_t at = 0; at < in.size;) {
        uint32_t n = in.size - at < step ? in.size - at : step;
        if (ctr != NULL) {
            to_aes_ctr_run(ctr, in.bytes + at, out + at, n);
        } else {
            to_aes_gcm_run(gcm, in.bytes + at, out + at, n);
        }
        at += n;
        step = step * 2u % 61u + 1u;
    }
}

static void ccm(int encrypt) {
    to_aes_ccm ccm = {arguments[0].bytes, arguments[0].size, arguments[1].bytes,  arguments[1].size,
                      arguments[2].bytes, arguments[2].size, number(arguments[4])};
    uint8_t *out = malloc(arguments[3].size + 16u);
    if (encrypt) {
        to_reason reason = to_aes_ccm_encrypt(&ccm, arguments[3].bytes, arguments[3].size, out);
        answer(reason, out, reason == TO_REASON_OK ? arguments[3].size + ccm.tag_size : 0);
    } else {
        memcpy(out, arguments[3].bytes, arguments[3].size); /* in place */
        to_reason reason = to_aes_ccm_decrypt(&ccm, out, arguments[3].size, out);
        answer(reason, out, reason == TO_REASON_OK ? arguments[3].size - ccm.tag_size : 0);
    }
    free(out);
}

static void ctr(void) {
    to_aes_ctr context;
    uint8_t *out = malloc(arguments[2].size);
    to_reason reason = to_aes_ctr_start(&context, arguments[0].bytes, arguments[0].size, arguments[1].bytes);
    if (reason == TO_REASON_OK) {
        run_pieces(&context, NULL, arguments[2], out);
    }
    answer(reason, out, reason == TO_REASON_OK ? arguments[2].size : 0);
    free(out);
}

static void gcm(void) {
    to_aes_gcm context;
    uint8_t *out = malloc(arguments[3].size);
    to_reason reason = to_aes_gcm_start(&context, arguments[0].bytes, arguments[0].size, arguments[1].bytes,
                                        arguments[2].bytes, arguments[2].size);
    if (reason == TO_REASON_OK) {
        run_pieces(NULL, &context, arguments[3], out);
        reason = to_aes_gcm_finish(&context, arguments[4].bytes);
    }
    answer(reason, out, reason == TO_REASON_OK ? arguments[3].size : 0);
    free(out);
}

/* Arguments: encryption info, content, kid, key, algorithm in two bytes (negative). */
static void cose_decrypt(void) {
    to_cose_key key = {arguments[2], arguments[3].bytes, (uint16_t)arguments[3].size,
                       (int16_t)-(int)number(arguments[4]), TO_COSE_DECRYPT};
    to_cose_keys keys = {&key, 1, 0};
    to_cose_decryption decryption;
    uint8_t *out = malloc(arguments[1].size + 1u);
    uint32_t size = 0;
    to_reason reason = to_cose_decrypt_start(&decryption, &keys, arguments[0]);
    to_reason form = to_cose_check_encryption(arguments[0]);
    if (reason == TO_REASON_OK && form != TO_REASON_OK) {
        reason = TO_REASON_COUNT;
    }
    if (reason == TO_REASON_OK) {
        uint32_t step = 1;
        for (uint32_t at = 0; at < arguments[1].size;) {
            uint32_t n = arguments[1].size - at < step ? arguments[1].size - at : step;
            size += to_cose_decrypt_run(&decryption, arguments[1].bytes + at, n, out + size);
            at += n;
            step = step * 3u % 41u + 1u;
        }
        reason = to_cose_decrypt_finish(&decryption);
    }
    answer(reason, out, reason == TO_REASON_OK ? size : 0);
    free(out);
}

static void cbor(void) {
    to_cbor_reader reader;
    to_cbor_read(&reader, arguments[0]);
    to_span item = to_cbor_skip(&reader);
    answer(to_cbor_done(&reader), item.bytes, item.size);
}

static void request(const char *name) {
    uint8_t out[256];
    to_span parts[2];
    if (strcmp(name, "sha256") == 0) {
        to_sha256_of(arguments[0].bytes, arguments[0].size, out);
        answer(TO_REASON_OK, out, 32);
    } else if (strcmp(name, "hmac") == 0) {
        to_hmac mac;
        to_hmac_start(&mac, arguments[0].bytes, arguments[0].size);
        to_hmac_update(&mac, arguments[1].bytes, arguments[1].size);
        to_hmac_finish(&mac, out);
        answer(TO_REASON_OK, out, 32);
    } else if (strcmp(name, "hkdf") == 0) {
        uint32_t size = number(arguments[3]);
        to_hkdf_sha256(arguments[0].bytes, arguments[0].size, arguments[1].bytes, arguments[1].size,
                       arguments[2].bytes, arguments[2].size, out, size);
        answer(TO_REASON_OK, out, size);
    } else if (strcmp(name, "ed25519") == 0) {
        to_message message = divided(arguments[2], parts);
        answer(to_ed25519_verify(arguments[0].bytes, arguments[1].bytes, message), NULL, 0);
    } else if (strcmp(name, "es256") == 0) {
        to_message message = divided(arguments[2], parts);
        answer(to_es256_verify(arguments[0].bytes, arguments[1].bytes, message), NULL, 0);
    } else if (strcmp(name, "hsslms") == 0) {
        to_message message = divided(arguments[2], parts);
        answer(to_hsslms_verify(arguments[0].bytes, arguments[1].bytes, arguments[1].size, message), NULL, 0);
    } else if (strcmp(name, "ecdh") == 0) {
        to_reason reason = to_p256_ecdh(arguments[0].bytes, arguments[1].bytes, out);
        answer(reason, out, reason == TO_REASON_OK ? 32u : 0u);
    } else if (strcmp(name, "kw") == 0) {
        to_reason reason = to_aes_kw_unwrap(arguments[0].bytes, arguments[0].size, arguments[1].bytes,
                                            arguments[1].size, out);
        answer(reason, out, reason == TO_REASON_OK ? arguments[1].size - 8u : 0u);
    } else if (strcmp(name, "ctr") == 0) {
        ctr();
    } else if (strcmp(name, "gcm") == 0) {
        gcm();
    } else if (strcmp(name, "ccm_encrypt") == 0) {
        ccm(1);
    } else if (strcmp(name, "ccm_decrypt") == 0) {
        ccm(0);
    } else if (strcmp(name, "cose_decrypt") == 0) {
        cose_decrypt();
    } else if (strcmp(name, "cbor") == 0) {
        cbor();
    } else {
        exit(2);
    }
}

static int answer_line(void) {
    char *space = strchr(line, ' ');
    if (space == NULL) {
        return 2;
    }
    *space = 0;
    read_arguments(space + 1);
    request(line);
    return 0;
}

#ifdef REQUESTS
/* Requests that are compiled in, where there is no standard input. */
static const char *const requests[] = {
#include "requests.inc"
};

int main(void) {
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        strcpy(line, requests[i]);
        if (answer_line() != 0) {
            return 2;
        }
    }
    return 0;
}
#else
int main(void) {
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (answer_line() != 0) {
            return 2;
        }
    }
    for (int i = 0; i < ARGUMENTS; i++) {
        free(allocated[i]);
    }
    return 0;
}
#endif
