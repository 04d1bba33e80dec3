/* What conditions test and directives do, for one component. */
#include <string.h>

#include "to_suit_inner.h"

#define CHUNK 64u /* bytes decrypted at a time */
#define TAG_BYTES 16u

static const to_suit_component *place_of(const to_suit *suit, uint32_t component) {
    return &suit->platform->components[suit->device_index[component]];
}

static to_reason compare_uuid(const uint8_t *wanted, const uint8_t *own, to_reason different) {
    return own != NULL && memcmp(wanted, own, TO_SUIT_UUID_BYTES) == 0 ? TO_REASON_OK : different;
}

static int is_set(const to_suit_parameters *p, unsigned parameter) { return (p->set >> parameter & 1u) != 0; }

static uint32_t wanted_size(const to_suit_parameters *p) { return is_set(p, PARAMETER_SIZE) ? p->size : 0; }

/* The content of a component, of the size that the manifest tells. */
static to_reason get_image(const to_suit *suit, uint32_t component, to_span *image) {
    const to_suit_platform *platform = suit->platform;
    const to_suit_parameters *p = &suit->parameters[component];
    *image = to_span_of(NULL, 0);
    if (platform->image == NULL) {
        return TO_REASON_UNSUPPORTED;
    }
    to_reason reason =
        platform->image(platform->context, suit->device_index[component], wanted_size(p), image);
    if (reason == TO_REASON_OK && is_set(p, PARAMETER_SIZE) && image->size != p->size) {
        return TO_REASON_IMAGE_SIZE;
    }
    return reason;
}

static to_reason match_image(to_suit *suit, uint32_t component) {
    to_span image;
    uint8_t digest[TO_SHA256_BYTES];
    to_reason reason = get_image(suit, component, &image);
    if (reason != TO_REASON_OK) {
        return reason;
    }
    to_sha256_of(image.bytes, image.size, digest);
    return memcmp(digest, suit->parameters[component].digest, sizeof digest) == 0 ? TO_REASON_OK
                                                                                  : TO_REASON_IMAGE_DIGEST;
}

static to_reason check_content(const to_suit *suit, uint32_t component) {
    to_span image;
    to_span content = suit->parameters[component].content;
    const to_suit_platform *platform = suit->platform;
    if (platform->image == NULL) {
        return TO_REASON_UNSUPPORTED;
    }
    to_reason reason =
        platform->image(platform->context, suit->device_index[component], content.size, &image);
    if (reason != TO_REASON_OK) {
        return reason;
    }
    return image.size == content.size && to_equal_constant_time(image.bytes, content.bytes, content.size)
               ? TO_REASON_OK
               : TO_REASON_IMAGE_DIGEST;
}

static to_reason check_time(const to_suit *suit, uint64_t use_before) {
    const to_suit_platform *platform = suit->platform;
    uint64_t now;
    if (platform->now == NULL || !platform->now(platform->context, &now)) {
        return TO_REASON_NO_CLOCK;
    }
    return now < use_before ? TO_REASON_OK : TO_REASON_EXPIRED;
}

/* -1, 0, 1: how `own` compares, number by number, as far as `wanted` goes; numbers that are missing are 0. */
static int compare_versions(const int32_t *own, uint32_t count, const to_suit_version_match *wanted) {
    for (uint32_t i = 0; i < wanted->count; i++) {
        int32_t number = i < count ? own[i] : 0;
        if (number != wanted->numbers[i]) {
            return number < wanted->numbers[i] ? -1 : 1;
        }
    }
    return 0;
}

static to_reason check_version(const to_suit *suit, uint32_t component) {
    enum { GREATER = 1, GREATER_EQUAL, EQUAL, LESSER_EQUAL, LESSER };
    const to_suit_platform *platform = suit->platform;
    to_suit_version_match wanted;
    int32_t own[TO_SUIT_VERSION_NUMBERS];
    uint32_t count = 0;
    if (platform->version == NULL) {
        return TO_REASON_UNSUPPORTED;
    }
    to_reason reason = platform->version(platform->context, suit->device_index[component], own, &count);
    if (reason != TO_REASON_OK) {
        return reason;
    }
    (void)to_suit_read_version(suit->parameters[component].version, &wanted);
    int order = compare_versions(own, count, &wanted);
    int32_t comparison = wanted.comparison;
    int fits = order > 0    ? comparison == GREATER || comparison == GREATER_EQUAL
               : order == 0 ? comparison >= GREATER_EQUAL && comparison <= LESSER_EQUAL
                            : comparison == LESSER_EQUAL || comparison == LESSER;
    return fits ? TO_REASON_OK : TO_REASON_VERSION_MISMATCH;
}

/* Prepares suit->decryption where the component's parameters ask for it. */
static to_reason start_decryption(to_suit *suit, uint32_t component, int *encrypted) {
    const to_suit_parameters *p = &suit->parameters[component];
    *encrypted = is_set(p, PARAMETER_ENCRYPTION_INFO);
    if (!*encrypted) {
        return TO_REASON_OK;
    }
    to_reason reason = to_cose_decrypt_start(&suit->decryption, suit->platform->keys, p->encryption_info);
    if (reason != TO_REASON_OK) {
        return reason == TO_REASON_UNSUPPORTED ? reason : TO_REASON_DECRYPT;
    }
    for (uint32_t i = 0; i < suit->contents; i++) {
        if (memcmp(suit->fingerprints[i], suit->decryption.fingerprint, sizeof suit->fingerprints[i]) == 0) {
            return TO_REASON_DECRYPT;
        }
    }
    if (suit->contents == TO_SUIT_CONTENTS) {
        return TO_REASON_TOO_LARGE;
    }
    memcpy(suit->fingerprints[suit->contents++], suit->decryption.fingerprint, sizeof suit->fingerprints[0]);
    return TO_REASON_OK;
}

/* Stores bytes of a payload, decrypted where they are encrypted. */
static to_reason store(to_suit *suit, uint32_t place, const uint8_t *bytes, uint32_t size, int encrypted) {
    const to_suit_platform *platform = suit->platform;
    if (!encrypted) {
        return size == 0 ? TO_REASON_OK : platform->write(platform->context, place, bytes, size);
    }
    while (size > 0) {
        uint8_t plain[CHUNK];
        uint32_t n = size < CHUNK ? size : CHUNK;
        uint32_t out = to_cose_decrypt_run(&suit->decryption, bytes, n, plain);
        to_reason reason = out == 0 ? TO_REASON_OK : platform->write(platform->context, place, plain, out);
        if (reason != TO_REASON_OK) {
            return reason;
        }
        bytes += n;
        size -= n;
    }
    return TO_REASON_OK;
}

static to_reason begin_storing(to_suit *suit, uint32_t component, uint32_t size, int *encrypted) {
    const to_suit_platform *platform = suit->platform;
    if (platform->begin == NULL || platform->write == NULL || platform->end == NULL) {
        return TO_REASON_UNSUPPORTED;
    }
    if (size > place_of(suit, component)->capacity) {
        return TO_REASON_SLOT_TOO_SMALL;
    }
    to_reason reason = start_decryption(suit, component, encrypted);
    return reason == TO_REASON_OK ? platform->begin(platform->context, suit->device_index[component], size)
                                  : reason;
}

static to_reason end_storing(to_suit *suit, uint32_t component, int encrypted) {
    const to_suit_platform *platform = suit->platform;
    to_reason reason = encrypted ? to_cose_decrypt_finish(&suit->decryption) : TO_REASON_OK;
    return reason == TO_REASON_OK ? platform->end(platform->context, suit->device_index[component]) : reason;
}

/* All of a payload that is in memory. */
static to_reason store_all(to_suit *suit, uint32_t component, to_span content, uint32_t size) {
    int encrypted;
    to_reason reason = begin_storing(suit, component, size, &encrypted);
    if (reason == TO_REASON_OK) {
        reason = store(suit, suit->device_index[component], content.bytes, content.size, encrypted);
    }
    return reason == TO_REASON_OK ? end_storing(suit, component, encrypted) : reason;
}

static to_reason copy(to_suit *suit, uint32_t component) {
    to_span source;
    to_reason reason = get_image(suit, suit->parameters[component].source, &source);
    if (reason != TO_REASON_OK) {
        return reason;
    }
    suit->unverified |= (uint8_t)(1u << component);
    return store_all(suit, component, source, wanted_size(&suit->parameters[component]));
}

static to_reason swap(to_suit *suit, uint32_t component) {
    const to_suit_platform *platform = suit->platform;
    uint8_t source = suit->parameters[component].source;
    if (platform->swap == NULL) {
        return TO_REASON_UNSUPPORTED;
    }
    suit->unverified |= (uint8_t)(1u << component | 1u << source);
    return platform->swap(platform->context, suit->device_index[component], suit->device_index[source]);
}

static to_reason do_directive(to_suit *suit, uint32_t command, uint32_t component) {
    const to_suit_platform *platform = suit->platform;
    const to_suit_parameters *p = &suit->parameters[component];
    switch (command) {
    case DIRECTIVE_WRITE: /* the content is signed: the directive needs no match */
        return store_all(suit, component, p->content,
                         is_set(p, PARAMETER_ENCRYPTION_INFO) ? 0 : p->content.size);
    case DIRECTIVE_COPY:
        return copy(suit, component);
    case DIRECTIVE_SWAP:
        return swap(suit, component);
    default: /* invoke */
        if (platform->invoke == NULL) {
            return TO_REASON_UNSUPPORTED;
        }
        return platform->invoke(platform->context, suit->device_index[component],
                                is_set(p, PARAMETER_INVOKE_ARGS) ? p->invoke_args : to_span_of(NULL, 0));
    }
}

to_reason to_suit_do(to_suit *suit, uint32_t command, uint32_t component) {
    const to_suit_platform *platform = suit->platform;
    const to_suit_parameters *p = &suit->parameters[component];
    uint32_t place = suit->device_index[component];
    to_reason reason;
    switch (command) {
    case CONDITION_VENDOR:
        return compare_uuid(p->vendor, place_of(suit, component)->vendor, TO_REASON_VENDOR_MISMATCH);
    case CONDITION_CLASS:
        return compare_uuid(p->class_id, place_of(suit, component)->class_id, TO_REASON_CLASS_MISMATCH);
    case CONDITION_DEVICE:
        return compare_uuid(p->device_id, platform->device_id, TO_REASON_DEVICE_MISMATCH);
    case CONDITION_IMAGE_MATCH:
        reason = match_image(suit, component);
        if (reason == TO_REASON_OK) {
            suit->unverified = (uint8_t)(suit->unverified & ~(1u << component));
        }
        return reason;
    case CONDITION_IMAGE_NOT_MATCH:
        reason = match_image(suit, component);
        return reason == TO_REASON_OK            ? TO_REASON_IMAGE_PRESENT
               : reason == TO_REASON_UNSUPPORTED ? reason
                                                 : TO_REASON_OK;
    case CONDITION_CHECK_CONTENT:
        return check_content(suit, component);
    case CONDITION_USE_BEFORE:
        return check_time(suit, p->use_before);
    case CONDITION_SLOT:
        return platform->slot != NULL ? platform->slot(platform->context, place, p->slot)
                                      : TO_REASON_UNSUPPORTED;
    case CONDITION_ABORT:
        return TO_REASON_ABORTED;
    case CONDITION_MINIMUM_BATTERY:
        return platform->battery != NULL ? platform->battery(platform->context, p->battery)
                                         : TO_REASON_UNSUPPORTED;
    case CONDITION_AUTHORIZED:
        return platform->authorized != NULL ? platform->authorized(platform->context, p->priority)
                                            : TO_REASON_UNSUPPORTED;
    case CONDITION_COMPONENT_VERSION:
        return check_version(suit, component);
    default:
        return do_directive(suit, command, component);
    }
}

/* The integrated payload of this name. */
static int find_payload(const to_suit *suit, to_span name, to_span *payload) {
    to_cbor_reader reader;
    to_cbor_read(&reader, suit->payloads);
    for (uint32_t i = 0; i < suit->payload_count; i++) {
        int found = to_span_equal(to_cbor_get_text(&reader), name);
        *payload = to_cbor_get_bytes(&reader);
        if (found) {
            return reader.error == TO_REASON_OK;
        }
    }
    return 0;
}

to_reason to_suit_begin_fetch(to_suit *suit, uint32_t component, int *done) {
    const to_suit_parameters *p = &suit->parameters[component];
    int encrypted;
    uint32_t size = wanted_size(p);
    suit->unverified |= (uint8_t)(1u << component);
    *done = p->uri.bytes[0] == '#';
    if (*done) {
        to_span payload;
        return find_payload(suit, p->uri, &payload) ? store_all(suit, component, payload, size)
                                                    : TO_REASON_PAYLOAD_MISSING;
    }
    to_reason reason = begin_storing(suit, component, size, &encrypted);
    if (reason == TO_REASON_OK) {
        suit->fetching = (uint8_t)component;
        suit->fetch.uri = p->uri;
        suit->fetch.component = suit->device_index[component];
        suit->fetch.size = size;
        suit->fetch.received = 0;
        suit->fetch.digest = is_set(p, PARAMETER_DIGEST) ? p->digest : NULL;
        suit->fetch.encrypted = (uint8_t)encrypted;
    }
    return reason;
}

to_reason to_suit_end_fetch(to_suit *suit, to_reason reason) {
    suit->fetch.uri = to_span_of(NULL, 0);
    return reason == TO_REASON_OK ? end_storing(suit, suit->fetching, suit->fetch.encrypted) : reason;
}

to_reason to_suit_data(to_suit *suit, const uint8_t *bytes, uint32_t size) {
    uint32_t limit = suit->fetch.size != 0 ? suit->fetch.size : place_of(suit, suit->fetching)->capacity;
    if (suit->fetch.uri.bytes == NULL) {
        return TO_REASON_PAYLOAD_MISSING;
    }
    if (suit->fetch.encrypted && suit->decryption.gcm) {
        limit = limit <= UINT32_MAX - TAG_BYTES ? limit + TAG_BYTES : limit;
    }
    if (size > limit || suit->fetch.received > limit - size) {
        return TO_REASON_IMAGE_SIZE;
    }
    suit->fetch.received += size;
    return store(suit, suit->fetch.component, bytes, size, suit->fetch.encrypted);
}

int to_suit_resume(to_suit *suit, uint32_t offset) {
    if (suit->fetch.uri.bytes == NULL || suit->fetch.encrypted || suit->fetch.received != 0) {
        return 0;
    }
    suit->fetch.received = offset;
    return 1;
}
