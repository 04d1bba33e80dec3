/* libFuzzer target: COSE objects and CBOR.
 *
 * The first byte of an input chooses: 0, CBOR items; 1, a signature or MAC over a payload; else the rest is a
 * length in two bytes, an encryption info of that length, and content to decrypt. */
#include <stdlib.h>
#include <string.h>

#include "tinyops/to_cose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#include "suit_keys.h"

static void require(int condition) {
    if (!condition) {
        abort();
    }
}

/* What skip accepts must be read in the same way by the typed functions. */
static void read_items(to_cbor_reader *reader) {
    to_cbor_reader ahead = *reader;
    to_span item = to_cbor_skip(&ahead);
    to_span previous = {NULL, 0};
    to_cbor_reader key = *reader;
    to_cbor_key(&key, &previous);
    require(key.error == ahead.error && to_span_equal(item, previous));
    if (ahead.error != TO_REASON_OK) {
        to_cbor_fail(reader, ahead.error);
        return;
    }
    uint32_t items = 0;
    switch (to_cbor_next(reader)) {
    case TO_CBOR_UINT:
        (void)to_cbor_get_uint(reader);
        break;
    case TO_CBOR_BYTES:
        (void)to_cbor_get_bytes(reader);
        break;
    case TO_CBOR_TEXT:
        (void)to_cbor_get_text(reader);
        break;
    case TO_CBOR_ARRAY:
        items = to_cbor_get_array(reader);
        break;
    case TO_CBOR_MAP:
        items = 2u * to_cbor_get_map(reader);
        break;
    case TO_CBOR_TAG:
        (void)to_cbor_get_any_tag(reader);
        items = 1;
        break;
    case TO_CBOR_SIMPLE:
        if (!to_cbor_get_null(reader)) {
            (void)to_cbor_get_bool(reader);
        }
        break;
    default: /* negative: of 32 bits or not */
        (void)to_cbor_skip(reader);
    }
    for (; items > 0; items--) {
        read_items(reader);
    }
    require(reader->error == TO_REASON_OK && reader->at == ahead.at && item.bytes + item.size == ahead.at);
}

static void decrypt(const uint8_t *data, size_t size) {
    static to_cose_decryption decryption;
    if (size < 2u) {
        return;
    }
    uint32_t length = (uint32_t)(data[0] << 8 | data[1]);
    length = length < size - 2u ? length : (uint32_t)size - 2u;
    uint8_t *info = malloc(length + (length == 0));
    require(info != NULL);
    memcpy(info, data + 2, length);
    to_reason form = to_cose_check_encryption(to_span_of(info, length));
    to_reason reason = to_cose_decrypt_start(&decryption, &keys, to_span_of(info, length));
    require(form == TO_REASON_OK || reason != TO_REASON_OK);
    if (reason == TO_REASON_OK) {
        uint32_t left = (uint32_t)size - 2u - length;
        const uint8_t *in = data + 2u + length;
        uint32_t total = 0;
        for (uint32_t step = 1; left > 0; step = step * 5u % 67u + 1u) {
            uint32_t n = step < left ? step : left;
            uint8_t *out = malloc(n);
            uint32_t written = to_cose_decrypt_run(&decryption, in, n, out);
            require(written <= n);
            total += written;
            free(out);
            in += n;
            left -= n;
        }
        require(total <= size);
        (void)to_cose_decrypt_finish(&decryption);
    }
    free(info);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint32_t signer;
    if (size == 0) {
        return 0;
    }
    if (data[0] > 1u) {
        decrypt(data + 1, size - 1u);
        return 0;
    }
    uint32_t length = (uint32_t)size - 1u;
    uint8_t *bytes = malloc(length + (length == 0));
    require(bytes != NULL);
    memcpy(bytes, data + 1, length);
    if (data[0] == 1) {
        static const uint8_t payload[40] = {0x82};
        to_reason reason =
            to_cose_verify(&keys, to_span_of(bytes, length), to_span_of(payload, sizeof payload), &signer);
        require(reason != TO_REASON_OK || signer < keys.count);
    } else {
        to_cbor_reader reader;
        to_cbor_read(&reader, to_span_of(bytes, length));
        while (to_cbor_next(&reader) != TO_CBOR_END) {
            read_items(&reader);
        }
        (void)to_cbor_done(&reader);
    }
    free(bytes);
    return 0;
}
