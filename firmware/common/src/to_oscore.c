#include "tinyops/to_oscore.h"

#include <string.h>

#include "tinyops/to_cbor.h"
#include "tinyops/to_crypto.h"
#include "tinyops/to_sha256.h"

#ifdef TO_OSCORE

#define ALGORITHM 10u /* AES-CCM-16-64-128 */
#define TAG_BYTES 8u
#define HEADER_BYTES 4u
#define MARKER 0xFFu
#define SEQUENCE_END (UINT64_C(1) << 40)
#define WINDOW 32u
#define AAD_MAX 48u

/* Bits of the first byte of the option's value. */
enum { FLAG_PIV = 0x07, FLAG_KID = 0x08, FLAG_KID_CONTEXT = 0x10, FLAG_RESERVED = 0xE0 };

typedef struct {
    to_coap_slice piv;
    to_coap_slice kid;
    to_coap_slice kid_context;
    uint8_t has_kid;
    uint8_t has_kid_context;
} option_value;

/* Key derivation (RFC 8613, 3.2) */

static void derive(const to_oscore_settings *settings, to_oscore_bytes id, const char *type, uint8_t *out,
                   uint8_t size) {
    uint8_t info[8 + TO_OSCORE_ID_MAX + TO_OSCORE_ID_CONTEXT_MAX + 8];
    to_cbor cbor;
    to_cbor_start(&cbor, info, 0, sizeof info);
    to_cbor_array(&cbor, 5);
    to_cbor_bytes(&cbor, id.bytes, id.length);
    if (settings->id_context.bytes != NULL) {
        to_cbor_bytes(&cbor, settings->id_context.bytes, settings->id_context.length);
    } else {
        to_cbor_null(&cbor);
    }
    to_cbor_uint(&cbor, ALGORITHM);
    to_cbor_text(&cbor, type);
    to_cbor_uint(&cbor, size);
    to_hkdf_sha256(settings->salt.bytes, settings->salt.length, settings->secret.bytes,
                   settings->secret.length, info, cbor.total, out, size);
}

static void copy(uint8_t *to, uint8_t *length, to_oscore_bytes from) {
    *length = from.length;
    if (from.length > 0) {
        memcpy(to, from.bytes, from.length);
    }
}

int to_oscore_start(to_oscore *context, const to_oscore_settings *settings) {
    static const to_oscore_bytes nobody = {NULL, 0};
    to_oscore_bytes sender = settings->sender, recipient = settings->recipient;
    int same = sender.length == recipient.length &&
               (sender.length == 0 || memcmp(sender.bytes, recipient.bytes, sender.length) == 0);
    if (settings->secret.length == 0 || sender.length > TO_OSCORE_ID_MAX ||
        recipient.length > TO_OSCORE_ID_MAX || same ||
        settings->id_context.length > TO_OSCORE_ID_CONTEXT_MAX || settings->sequence >= SEQUENCE_END ||
        !TO_CRYPTO_AES) {
        return 0;
    }
    memset(context, 0, sizeof *context);
    derive(settings, sender, "Key", context->sender_key, TO_OSCORE_KEY_BYTES);
    derive(settings, recipient, "Key", context->recipient_key, TO_OSCORE_KEY_BYTES);
    derive(settings, nobody, "IV", context->common_iv, TO_OSCORE_NONCE_BYTES);
    copy(context->sender, &context->sender_length, sender);
    copy(context->recipient, &context->recipient_length, recipient);
    copy(context->id_context, &context->id_context_length, settings->id_context);
    context->has_id_context = settings->id_context.bytes != NULL;
    context->sequence = context->reserved = settings->sequence;
    context->reserve = settings->reserve;
    context->reserve_context = settings->context;
    return 1;
}

/* Sequence numbers */

static int take_sequence(to_oscore *context, uint8_t piv[TO_OSCORE_PIV_MAX], uint8_t *piv_length) {
    if (context->sequence >= context->reserved) {
        uint64_t next = context->sequence + TO_OSCORE_STRIDE;
        if (next > SEQUENCE_END || context->reserve(context->reserve_context, next) != 0) {
            return 0;
        }
        context->reserved = next;
    }
    uint64_t number = context->sequence++;
    uint8_t length = 1;
    while (number >> (8 * length) != 0) {
        length++;
    }
    for (uint8_t i = 0; i < length; i++) {
        piv[i] = (uint8_t)(number >> (8 * (length - 1 - i)));
    }
    *piv_length = length;
    return 1;
}

static uint64_t read_sequence(const uint8_t *piv, uint8_t length) {
    uint64_t number = 0;
    for (uint8_t i = 0; i < length; i++) {
        number = number << 8 | piv[i];
    }
    return number;
}

/* Whether a request with this number was not there before. */
static int is_new(const to_oscore *context, uint64_t number) {
    if (!context->has_window || number > context->highest) {
        return 1;
    }
    uint64_t age = context->highest - number;
    return age < WINDOW && (context->window >> age & 1u) == 0;
}

static void mark(to_oscore *context, uint64_t number) {
    if (!context->has_window) {
        context->has_window = 1;
        context->has_echo = 0;
        context->highest = number;
        context->window = UINT32_MAX; /* what is older may have been there before the reset */
    } else if (number > context->highest) {
        uint64_t step = number - context->highest;
        context->window = step < WINDOW ? context->window << step | 1u : 1u;
        context->highest = number;
    } else {
        context->window |= UINT32_C(1) << (context->highest - number);
    }
}

/* Nonce and additional data (5.2, 5.4) */

static void write_nonce(const to_oscore *context, const uint8_t *id, uint8_t id_length, const uint8_t *piv,
                        uint8_t piv_length, uint8_t nonce[TO_OSCORE_NONCE_BYTES]) {
    memset(nonce, 0, TO_OSCORE_NONCE_BYTES);
    nonce[0] = id_length;
    memcpy(nonce + 1 + TO_OSCORE_ID_MAX - id_length, id, id_length);
    memcpy(nonce + TO_OSCORE_NONCE_BYTES - piv_length, piv, piv_length);
    for (unsigned i = 0; i < TO_OSCORE_NONCE_BYTES; i++) {
        nonce[i] ^= context->common_iv[i];
    }
}

static void write_external(to_cbor *out, const uint8_t *kid, uint8_t kid_length,
                           const to_oscore_binding *binding) {
    to_cbor_array(out, 5);
    to_cbor_uint(out, 1);
    to_cbor_array(out, 1);
    to_cbor_uint(out, ALGORITHM);
    to_cbor_bytes(out, kid, kid_length);
    to_cbor_bytes(out, binding->piv, binding->piv_length);
    to_cbor_bytes(out, NULL, 0);
}

/* The Enc_structure around the request's id and Partial IV; its length. */
static uint32_t write_aad(const to_oscore_binding *binding, uint8_t aad[AAD_MAX]) {
    const to_oscore *context = binding->context;
    const uint8_t *kid = binding->is_server ? context->recipient : context->sender;
    uint8_t kid_length = binding->is_server ? context->recipient_length : context->sender_length;
    uint8_t external[AAD_MAX];
    to_cbor inner, outer;
    to_cbor_start(&inner, external, 0, sizeof external);
    write_external(&inner, kid, kid_length, binding);
    to_cbor_start(&outer, aad, 0, AAD_MAX);
    to_cbor_array(&outer, 3);
    to_cbor_text(&outer, "Encrypt0");
    to_cbor_bytes(&outer, NULL, 0);
    to_cbor_bytes(&outer, external, inner.total);
    return outer.total;
}

/* Sealing */

/* Puts the option and the ciphertext of code, options and payload in the place of options and payload. */
static int seal(to_coap_writer *message, size_t capacity, uint8_t code, const uint8_t *value,
                uint8_t value_length, to_aes_ccm *ccm) {
    uint8_t *bytes = message->bytes;
    size_t head = HEADER_BYTES + (bytes[0] & 15u);
    size_t rest = message->length - head;
    size_t option = 1u + (value_length >= 13 ? 1u : 0u) + value_length;
    size_t start = head + option + 1; /* of the ciphertext */
    size_t length = start + 1 + rest + TAG_BYTES;
    if (message->overflow || length > capacity || length > UINT16_MAX) {
        return 0;
    }
    memmove(bytes + start + 1, bytes + head, rest);
    bytes[start] = bytes[1];
    bytes[1] = code;
    uint8_t *place = bytes + head;
    *place++ = (uint8_t)(TO_COAP_OPTION_OSCORE << 4 | (value_length >= 13 ? 13 : value_length));
    if (value_length >= 13) {
        *place++ = (uint8_t)(value_length - 13);
    }
    memcpy(place, value, value_length);
    bytes[start - 1] = MARKER;
    message->length = (uint16_t)length;
    return to_aes_ccm_encrypt(ccm, bytes + start, (uint32_t)(1 + rest), bytes + start) == TO_REASON_OK;
}

int to_oscore_seal_response(to_oscore_binding *binding, to_coap_writer *reply, size_t capacity) {
    to_oscore *context = binding->context;
    uint8_t nonce[TO_OSCORE_NONCE_BYTES], aad[AAD_MAX], value[1 + TO_OSCORE_PIV_MAX];
    uint8_t value_length = 0;
    if (binding->own_piv) {
        uint8_t length;
        if (!take_sequence(context, value + 1, &length)) {
            return 0;
        }
        value[0] = length;
        value_length = (uint8_t)(1 + length);
        write_nonce(context, context->sender, context->sender_length, value + 1, length, nonce);
    } else {
        write_nonce(context, context->recipient, context->recipient_length, binding->piv, binding->piv_length,
                    nonce);
    }
    to_aes_ccm ccm = {context->sender_key,
                      TO_OSCORE_KEY_BYTES,
                      nonce,
                      TO_OSCORE_NONCE_BYTES,
                      aad,
                      write_aad(binding, aad),
                      TAG_BYTES};
    return seal(reply, capacity, TO_COAP_CHANGED, value, value_length, &ccm);
}

int to_oscore_seal_request(to_oscore *context, to_oscore_binding *binding, to_coap_writer *request,
                           size_t capacity) {
    uint8_t nonce[TO_OSCORE_NONCE_BYTES], aad[AAD_MAX];
    uint8_t value[1 + TO_OSCORE_PIV_MAX + 1 + TO_OSCORE_ID_CONTEXT_MAX + TO_OSCORE_ID_MAX];
    memset(binding, 0, sizeof *binding);
    binding->context = context;
    if (!take_sequence(context, binding->piv, &binding->piv_length)) {
        return 0;
    }
    uint8_t *at = value;
    *at++ = (uint8_t)(binding->piv_length | FLAG_KID | (context->has_id_context ? FLAG_KID_CONTEXT : 0));
    memcpy(at, binding->piv, binding->piv_length);
    at += binding->piv_length;
    if (context->has_id_context) {
        *at++ = context->id_context_length;
        memcpy(at, context->id_context, context->id_context_length);
        at += context->id_context_length;
    }
    memcpy(at, context->sender, context->sender_length);
    at += context->sender_length;
    write_nonce(context, context->sender, context->sender_length, binding->piv, binding->piv_length, nonce);
    to_aes_ccm ccm = {context->sender_key,
                      TO_OSCORE_KEY_BYTES,
                      nonce,
                      TO_OSCORE_NONCE_BYTES,
                      aad,
                      write_aad(binding, aad),
                      TAG_BYTES};
    return seal(request, capacity, TO_COAP_POST, value, (uint8_t)(at - value), &ccm);
}

/* Opening */

static int read_option(to_coap_slice option, option_value *value) {
    memset(value, 0, sizeof *value);
    if (option.length == 0) {
        return 1;
    }
    const uint8_t *at = option.bytes;
    const uint8_t *end = at + option.length;
    uint8_t flags = *at++;
    uint8_t piv = flags & FLAG_PIV;
    if (flags == 0 || (flags & FLAG_RESERVED) != 0 || piv > TO_OSCORE_PIV_MAX || piv > end - at) {
        return 0;
    }
    value->piv.bytes = at;
    value->piv.length = piv;
    at += piv;
    if (piv > 1 && value->piv.bytes[0] == 0) { /* not the shortest form */
        return 0;
    }
    if (flags & FLAG_KID_CONTEXT) {
        if (at == end || *at > end - at - 1) {
            return 0;
        }
        value->has_kid_context = 1;
        value->kid_context.length = *at++;
        value->kid_context.bytes = at;
        at += value->kid_context.length;
    }
    value->has_kid = (flags & FLAG_KID) != 0;
    value->kid.bytes = at;
    value->kid.length = (uint16_t)(end - at);
    return value->has_kid || value->kid.length == 0;
}

static int is_equal(to_coap_slice slice, const uint8_t *bytes, uint8_t length) {
    return slice.length == length && (length == 0 || memcmp(slice.bytes, bytes, length) == 0);
}

static int is_named(const to_oscore *context, const option_value *value) {
    return is_equal(value->kid, context->recipient, context->recipient_length) &&
           (!value->has_kid_context ||
            (context->has_id_context &&
             is_equal(value->kid_context, context->id_context, context->id_context_length)));
}

/* Decrypts to the bytes of a message without token: its header is made from the code inside. */
static to_oscore_result open_message(const to_oscore_binding *binding,
                                     const uint8_t nonce[TO_OSCORE_NONCE_BYTES], const to_coap_message *outer,
                                     uint8_t *plain, size_t capacity, to_coap_message *inner) {
    const size_t before = HEADER_BYTES - 1; /* the code is decrypted to the header's last byte, and moved */
    uint8_t aad[AAD_MAX];
    uint32_t size = outer->payload.length;
    if (size < 1 + TAG_BYTES || size - TAG_BYTES + before > capacity) {
        return TO_OSCORE_DECRYPT;
    }
    to_aes_ccm ccm = {binding->context->recipient_key,
                      TO_OSCORE_KEY_BYTES,
                      nonce,
                      TO_OSCORE_NONCE_BYTES,
                      aad,
                      write_aad(binding, aad),
                      TAG_BYTES};
    if (to_aes_ccm_decrypt(&ccm, outer->payload.bytes, size, plain + before) != TO_REASON_OK) {
        return TO_OSCORE_DECRYPT;
    }
    plain[1] = plain[before];
    plain[0] = 0x40;
    plain[2] = plain[3] = 0;
    if (plain[1] == TO_COAP_EMPTY || to_coap_parse(inner, plain, size - TAG_BYTES + before) != TO_COAP_OK ||
        inner->has_oscore) {
        return TO_OSCORE_DECRYPT;
    }
    inner->type = outer->type;
    inner->id = outer->id;
    inner->token_length = outer->token_length;
    memcpy(inner->token, outer->token, sizeof inner->token);
    return TO_OSCORE_OK;
}

static int has_echo(const to_oscore *context, const to_coap_message *inner) {
    return context->has_echo && inner->echo.length == TO_OSCORE_ECHO_BYTES &&
           to_equal_constant_time(inner->echo.bytes, context->echo, TO_OSCORE_ECHO_BYTES);
}

static to_oscore_result open_with(to_oscore *context, const to_coap_message *outer, uint8_t *plain,
                                  size_t capacity, to_coap_message *inner, to_oscore_binding *binding) {
    uint8_t nonce[TO_OSCORE_NONCE_BYTES];
    uint64_t number = read_sequence(binding->piv, binding->piv_length);
    binding->context = context;
    if (!is_new(context, number)) {
        return TO_OSCORE_REPLAYED;
    }
    write_nonce(context, context->recipient, context->recipient_length, binding->piv, binding->piv_length,
                nonce);
    to_oscore_result result = open_message(binding, nonce, outer, plain, capacity, inner);
    if (result != TO_OSCORE_OK || inner->code >> 5 != 0) {
        return TO_OSCORE_DECRYPT;
    }
    if (!context->has_window && !has_echo(context, inner)) {
        binding->own_piv = 1;
        return TO_OSCORE_CHALLENGE;
    }
    mark(context, number);
    return TO_OSCORE_OK;
}

to_oscore_result to_oscore_open_request(to_oscore *contexts, uint8_t count, const to_coap_message *outer,
                                        uint8_t *plain, size_t capacity, to_coap_message *inner,
                                        to_oscore_binding *binding) {
    option_value value;
    memset(binding, 0, sizeof *binding);
    binding->is_server = 1;
    if (!read_option(outer->oscore, &value) || value.piv.length == 0 || !value.has_kid) {
        return TO_OSCORE_MALFORMED;
    }
    binding->piv_length = (uint8_t)value.piv.length;
    memcpy(binding->piv, value.piv.bytes, value.piv.length);
    /* Several peers may have chosen the same id: the right key tells (8.2). */
    to_oscore_result result = TO_OSCORE_NO_CONTEXT;
    for (uint8_t i = 0; i < count && result != TO_OSCORE_OK && result != TO_OSCORE_CHALLENGE; i++) {
        if (is_named(&contexts[i], &value)) {
            result = open_with(&contexts[i], outer, plain, capacity, inner, binding);
        }
    }
    return result;
}

to_oscore_result to_oscore_open_response(const to_oscore_binding *binding, const to_coap_message *outer,
                                         uint8_t *plain, size_t capacity, to_coap_message *inner) {
    const to_oscore *context = binding->context;
    option_value value;
    uint8_t nonce[TO_OSCORE_NONCE_BYTES];
    if (!outer->has_oscore || !read_option(outer->oscore, &value)) {
        return TO_OSCORE_MALFORMED;
    }
    if (value.piv.length > 0) {
        write_nonce(context, context->recipient, context->recipient_length, value.piv.bytes,
                    (uint8_t)value.piv.length, nonce);
    } else {
        write_nonce(context, context->sender, context->sender_length, binding->piv, binding->piv_length,
                    nonce);
    }
    to_oscore_result result = open_message(binding, nonce, outer, plain, capacity, inner);
    return result == TO_OSCORE_OK && inner->code >> 5 < 2 ? TO_OSCORE_DECRYPT : result;
}

/* The requests of a client */

static int protect(void *context, to_coap_writer *frame) {
    to_oscore_client *client = context;
    return to_oscore_seal_request(client->context, &client->binding, frame, frame->capacity);
}

static int unprotect(void *context, const to_coap_message *message, to_coap_message *inner) {
    to_oscore_client *client = context;
    return to_oscore_open_response(&client->binding, message, client->plain, sizeof client->plain, inner) ==
           TO_OSCORE_OK;
}

void to_oscore_secure(to_fetch_security *security, to_oscore_client *client, to_oscore *context) {
    client->context = context;
    security->protect = protect;
    security->unprotect = unprotect;
    security->context = client;
}

#else

typedef int to_oscore_unused; /* a translation unit needs a declaration */

#endif
