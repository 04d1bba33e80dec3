#include <string.h>

#include "to_suit_inner.h"

/* What the envelope holds; spans of no bytes are not there. */
typedef struct {
    to_span authentication;
    to_span manifest_item; /* the byte string with its head, as it is digested */
    to_span manifest;
    to_span severed[TO_SUIT_SEQUENCES]; /* items: byte strings with their heads */
    to_span severed_text[2];            /* text, CoSWID */
} envelope_parts;

/* Members of the manifest that may be severed; where their sequences go. */
typedef struct {
    uint8_t key;
    uint8_t sequence; /* or TO_SUIT_SEQUENCES: not a sequence */
    uint8_t text;
} member;

static const member SEVERABLE[] = {{MANIFEST_COSWID, TO_SUIT_SEQUENCES, 1},
                                   {MANIFEST_PAYLOAD_FETCH, TO_SUIT_PAYLOAD_FETCH, 0},
                                   {MANIFEST_INSTALL, TO_SUIT_INSTALL, 0},
                                   {MANIFEST_TEXT, TO_SUIT_SEQUENCES, 0}};
#define SEVERABLE_COUNT (sizeof SEVERABLE / sizeof *SEVERABLE)

static const member *find_severable(int32_t key) {
    for (uint32_t i = 0; i < SEVERABLE_COUNT; i++) {
        if (SEVERABLE[i].key == key) {
            return &SEVERABLE[i];
        }
    }
    return NULL;
}

static to_span *severed_part(envelope_parts *parts, const member *of) {
    return of->sequence < TO_SUIT_SEQUENCES ? &parts->severed[of->sequence] : &parts->severed_text[of->text];
}

static to_span content_of(to_span item) {
    to_cbor_reader reader;
    to_cbor_read(&reader, item);
    return to_cbor_get_bytes(&reader);
}

/* An integer key of a map, checked for order. */
static int32_t get_key(to_cbor_reader *reader, to_span *previous) {
    to_cbor_key(reader, previous);
    return to_cbor_get_int(reader);
}

/* A byte string with its head. */
static to_span get_bytes_item(to_cbor_reader *reader) {
    const uint8_t *start = reader->at;
    (void)to_cbor_get_bytes(reader);
    return to_span_of(start, reader->error == TO_REASON_OK ? (uint32_t)(reader->at - start) : 0);
}

static void read_payloads(to_suit *suit, to_cbor_reader *reader, to_span previous, uint32_t count) {
    const uint8_t *start = reader->at;
    suit->payload_count = count;
    for (; count > 0 && reader->error == TO_REASON_OK; count--) {
        to_cbor_key(reader, &previous);
        (void)to_cbor_get_text(reader);
        (void)to_cbor_get_bytes(reader);
    }
    suit->payloads = to_span_of(start, (uint32_t)(reader->at - start));
}

static to_reason read_envelope(to_suit *suit, to_span envelope, envelope_parts *parts) {
    to_cbor_reader reader;
    to_span previous = {NULL, 0};
    to_cbor_read(&reader, envelope);
    if (to_cbor_get_any_tag(&reader) != TO_SUIT_TAG) {
        to_cbor_fail(&reader, TO_REASON_MALFORMED_CBOR);
    }
    for (uint32_t n = to_cbor_get_map(&reader); n > 0 && reader.error == TO_REASON_OK; n--) {
        if (to_cbor_next(&reader) == TO_CBOR_TEXT) {
            read_payloads(suit, &reader, previous, n);
            break;
        }
        int32_t key = get_key(&reader, &previous);
        const member *severable = find_severable(key);
        to_span item = get_bytes_item(&reader);
        if (key == ENVELOPE_AUTHENTICATION) {
            parts->authentication = content_of(item);
        } else if (key == ENVELOPE_MANIFEST) {
            parts->manifest_item = item;
            parts->manifest = content_of(item);
        } else if (severable != NULL) {
            *severed_part(parts, severable) = item;
        } else {
            to_cbor_fail(&reader, TO_REASON_COMMAND_UNKNOWN);
        }
    }
    to_reason reason = to_cbor_done(&reader);
    if (reason == TO_REASON_OK && parts->authentication.size == 0) {
        return TO_REASON_NO_AUTHENTICATION;
    }
    return reason == TO_REASON_OK && parts->manifest.size == 0 ? TO_REASON_PARAMETER_MISSING : reason;
}

static int has_digest(to_span item, const uint8_t *digest) {
    uint8_t computed[TO_SHA256_BYTES];
    to_sha256_of(item.bytes, item.size, computed);
    return memcmp(computed, digest, sizeof computed) == 0;
}

/* The digest of the manifest, then the first of the blocks that verifies it. */
static to_reason authenticate(to_suit *suit, const envelope_parts *parts) {
    to_cbor_reader reader;
    to_reason reason;
    to_cbor_read(&reader, parts->authentication);
    uint32_t items = to_cbor_get_array(&reader);
    to_span payload = to_cbor_get_bytes(&reader);
    if (reader.error != TO_REASON_OK) {
        return reader.error;
    }
    if (items > 1u + TO_COSE_SIGNATURES_MAX) {
        return TO_REASON_TOO_LARGE;
    }
    suit->digest = to_suit_read_digest(payload, &reason);
    if (suit->digest == NULL) {
        return reason;
    }
    if (!has_digest(parts->manifest_item, suit->digest)) {
        return TO_REASON_MANIFEST_DIGEST;
    }
    to_reason result = TO_REASON_NO_AUTHENTICATION;
    for (; items > 1u; items--) {
        to_span block = to_cbor_get_bytes(&reader);
        if (reader.error != TO_REASON_OK) {
            return reader.error;
        }
        if (result != TO_REASON_OK) {
            reason = to_cose_verify(suit->platform->keys, block, payload, &suit->signer);
            result = reason == TO_REASON_OK ? reason : to_cose_more_telling(reason, result);
        }
    }
    reason = to_cbor_done(&reader);
    return reason == TO_REASON_OK ? result : reason;
}

/* The place of this device with this id, or component_count. */
static uint32_t find_component(const to_suit_platform *platform, to_span id) {
    uint32_t i = 0;
    while (i < platform->component_count && !to_span_equal(platform->components[i].id, id)) {
        i++;
    }
    return i;
}

static void add_component(to_suit *suit, to_cbor_reader *reader) {
    uint32_t place = find_component(suit->platform, to_cbor_skip(reader));
    for (uint32_t i = 0; i < suit->components; i++) {
        if (suit->device_index[i] == place) {
            to_cbor_fail(reader, TO_REASON_PARAMETER_MALFORMED);
        }
    }
    if (place == suit->platform->component_count) {
        to_cbor_fail(reader, TO_REASON_COMPONENT_UNKNOWN);
        return;
    }
    suit->device_index[suit->components++] = (uint8_t)place;
    suit->counters |= UINT32_C(1) << suit->platform->components[place].counter;
}

static void read_components(to_suit *suit, to_cbor_reader *reader) {
    uint32_t count = to_cbor_get_array(reader);
    if (reader->error == TO_REASON_OK && count == 0) {
        to_cbor_fail(reader, TO_REASON_PARAMETER_MISSING);
    } else if (count > TO_SUIT_COMPONENTS) {
        to_cbor_fail(reader, TO_REASON_TOO_LARGE);
    }
    for (; count > 0 && reader->error == TO_REASON_OK; count--) {
        add_component(suit, reader);
    }
}

static to_reason read_common(to_suit *suit, to_span common) {
    to_cbor_reader reader;
    to_span previous = {NULL, 0};
    to_cbor_read(&reader, common);
    for (uint32_t n = to_cbor_get_map(&reader); n > 0 && reader.error == TO_REASON_OK; n--) {
        int32_t key = get_key(&reader, &previous);
        if (key == COMMON_COMPONENTS) {
            read_components(suit, &reader);
        } else if (key == COMMON_SHARED_SEQUENCE) {
            suit->sequences[TO_SUIT_SHARED] = to_cbor_get_bytes(&reader);
        } else {
            to_cbor_fail(&reader, TO_REASON_COMMAND_UNKNOWN);
        }
    }
    to_reason reason = to_cbor_done(&reader);
    return reason == TO_REASON_OK && suit->components == 0 ? TO_REASON_PARAMETER_MISSING : reason;
}

/* Whether the signer may change this place of the device. */
static int may_change(const to_suit *suit, uint32_t place) {
    const to_suit_platform *platform = suit->platform;
    return (platform->components[place].roles & platform->keys->keys[suit->signer].roles) != 0;
}

/* manifest-component-id: its counter counts, too, for those who may change the component. */
static void read_manifest_id(to_suit *suit, to_cbor_reader *reader) {
    uint32_t place = find_component(suit->platform, to_cbor_skip(reader));
    if (place == suit->platform->component_count) {
        to_cbor_fail(reader, TO_REASON_COMPONENT_UNKNOWN);
    } else if (!may_change(suit, place)) {
        to_cbor_fail(reader, TO_REASON_UNAUTHORIZED);
    } else {
        suit->counters |= UINT32_C(1) << suit->platform->components[place].counter;
    }
}

/* A member that is in the manifest, or severed and in the envelope, with its digest in the manifest. */
static void read_severable(to_suit *suit, to_cbor_reader *reader, const member *of, envelope_parts *parts) {
    to_span *severed = severed_part(parts, of);
    to_span found;
    if (to_cbor_next(reader) == TO_CBOR_BYTES) {
        found = to_cbor_get_bytes(reader);
    } else {
        to_reason reason;
        const uint8_t *digest = to_suit_read_digest(to_cbor_skip(reader), &reason);
        if (reader->error != TO_REASON_OK || digest == NULL) {
            to_cbor_fail(reader, reason);
            return;
        }
        if (severed->size == 0) {
            if (of->sequence < TO_SUIT_SEQUENCES) {
                to_cbor_fail(reader, TO_REASON_PARAMETER_MISSING);
            }
            return;
        }
        if (!has_digest(*severed, digest)) {
            to_cbor_fail(reader, TO_REASON_MANIFEST_DIGEST);
        }
        found = content_of(*severed);
        severed->size = 0; /* used */
    }
    if (of->sequence < TO_SUIT_SEQUENCES) {
        suit->sequences[of->sequence] = found;
    }
}

static void read_version(to_cbor_reader *reader) {
    if (to_cbor_get_uint(reader) != TO_SUIT_VERSION) {
        to_cbor_fail(reader, TO_REASON_MANIFEST_VERSION);
    }
}

static void read_sequence_number(to_suit *suit, to_cbor_reader *reader) {
    uint64_t number = to_cbor_get_uint(reader);
    if (number > UINT32_MAX) {
        to_cbor_fail(reader, TO_REASON_PARAMETER_MALFORMED);
    }
    suit->sequence = (uint32_t)number;
}

static void read_member(to_suit *suit, to_cbor_reader *reader, int32_t key, envelope_parts *parts) {
    const member *severable = find_severable(key);
    to_reason reason = TO_REASON_OK;
    if (severable != NULL) {
        read_severable(suit, reader, severable, parts);
        return;
    }
    switch (key) {
    case MANIFEST_VERSION:
        read_version(reader);
        break;
    case MANIFEST_SEQUENCE:
        read_sequence_number(suit, reader);
        break;
    case MANIFEST_COMMON: {
        to_span common = to_cbor_get_bytes(reader);
        reason = reader->error == TO_REASON_OK ? read_common(suit, common) : TO_REASON_OK;
        break;
    }
    case MANIFEST_REFERENCE_URI:
        suit->reference_uri = to_cbor_get_text(reader);
        break;
    case MANIFEST_COMPONENT_ID:
        read_manifest_id(suit, reader);
        break;
    case MANIFEST_SET_VERSION:
        suit->version = to_cbor_get_bytes(reader);
        if (!to_suit_is_version(suit->version)) {
            to_cbor_fail(reader, TO_REASON_PARAMETER_MALFORMED);
        }
        break;
    case MANIFEST_VALIDATE:
    case MANIFEST_LOAD:
    case MANIFEST_INVOKE:
        suit->sequences[key - MANIFEST_VALIDATE + TO_SUIT_VALIDATE] = to_cbor_get_bytes(reader);
        break;
    default:
        reason = TO_REASON_COMMAND_UNKNOWN;
    }
    if (reason != TO_REASON_OK) {
        to_cbor_fail(reader, reason);
    }
}

static to_reason read_manifest(to_suit *suit, envelope_parts *parts) {
    enum { REQUIRED = 1 << MANIFEST_VERSION | 1 << MANIFEST_SEQUENCE | 1 << MANIFEST_COMMON };
    to_cbor_reader reader;
    to_span previous = {NULL, 0};
    uint32_t seen = 0;
    to_cbor_read(&reader, parts->manifest);
    for (uint32_t n = to_cbor_get_map(&reader); n > 0 && reader.error == TO_REASON_OK; n--) {
        int32_t key = get_key(&reader, &previous);
        if (reader.error == TO_REASON_OK) {
            read_member(suit, &reader, key, parts);
        }
        if (reader.error == TO_REASON_OK) {
            seen |= UINT32_C(1) << key; /* known keys are below 32 */
        }
    }
    to_reason reason = to_cbor_done(&reader);
    if (reason == TO_REASON_OK && (seen & REQUIRED) != REQUIRED) {
        return TO_REASON_PARAMETER_MISSING;
    }
    /* What is left in the envelope is covered by no digest. */
    for (uint32_t i = 0; i < SEVERABLE_COUNT && reason == TO_REASON_OK; i++) {
        if (severed_part(parts, &SEVERABLE[i])->size != 0) {
            reason = TO_REASON_MANIFEST_DIGEST;
        }
    }
    return reason;
}

/* The signer may change every component named, and the manifest is newer than all of them. */
static to_reason check_rights(const to_suit *suit) {
    const to_suit_platform *platform = suit->platform;
    for (uint32_t i = 0; i < suit->components; i++) {
        if (!may_change(suit, suit->device_index[i])) {
            return TO_REASON_UNAUTHORIZED;
        }
    }
    for (uint32_t counter = 0; counter < 32u; counter++) {
        uint32_t last;
        if ((suit->counters >> counter & 1u) != 0 && platform->sequence(platform->context, counter, &last) &&
            suit->sequence <= last) {
            return TO_REASON_SEQUENCE_REPLAYED;
        }
    }
    return TO_REASON_OK;
}

to_reason to_suit_open(to_suit *suit, const to_suit_platform *platform, const uint8_t *envelope,
                       uint32_t size) {
    envelope_parts parts;
    memset(suit, 0, sizeof *suit);
    memset(&parts, 0, sizeof parts);
    suit->platform = platform;
    to_reason reason = read_envelope(suit, to_span_of(envelope, size), &parts);
    if (reason == TO_REASON_OK) {
        reason = authenticate(suit, &parts);
    }
    if (reason == TO_REASON_OK) {
        reason = read_manifest(suit, &parts);
    }
    if (reason == TO_REASON_OK) {
        reason = to_suit_check_sequences(suit);
    }
    if (reason == TO_REASON_OK) {
        reason = check_rights(suit);
    }
    suit->reason = reason;
    return reason;
}
