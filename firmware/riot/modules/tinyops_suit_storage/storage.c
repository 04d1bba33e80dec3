/* What RIOT's SUIT module calls, in the thread of its worker. */
#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "parts.h"
#include "suit/policy.h"
#include "tinyops/to_capsule.h"
#include "tinyops/to_cbor_read.h"
#include "xfa.h"

#define SEPARATOR '/'
#define SHA256_OF_DRAFT_09 2u

static suit_storage_state *const own = &suit_storage_own;

static int to_suit_error(to_reason reason) {
    switch (reason) {
    case TO_REASON_OK:
        return SUIT_OK;
    case TO_REASON_NO_AUTHENTICATION:
        return SUIT_ERR_SIGNATURE;
    case TO_REASON_IDENTITY_UNCHECKED:
        return SUIT_ERR_POLICY_FORBIDDEN;
    case TO_REASON_SEQUENCE_REPLAYED:
        return SUIT_ERR_SEQUENCE_NUMBER;
    case TO_REASON_PARAMETER_MISSING:
    case TO_REASON_PARAMETER_MALFORMED:
        return SUIT_ERR_INVALID_MANIFEST;
    case TO_REASON_IMAGE_DIGEST:
        return SUIT_ERR_DIGEST_MISMATCH;
    case TO_REASON_SLOT_TOO_SMALL:
    case TO_REASON_IMAGE_SIZE:
        return SUIT_ERR_STORAGE_EXCEEDED;
    case TO_REASON_BUSY:
        return SUIT_ERR_STORAGE_UNAVAILABLE;
    default:
        return SUIT_ERR_STORAGE;
    }
}

/* With the lock, when something may have failed. */
static int result_of(const char *what, to_reason reason) {
    if (reason != TO_REASON_OK) {
        suit_storage_failed(what, reason);
    }
    mutex_unlock(&own->lock);
    return to_suit_error(reason);
}

/* Models change between inferences alone, so that nothing but the application's own calls opens the region.
 */
static void enter(void) { mutex_lock(&own->lock); }

/* Manifests */

/* [2, bytes of a SHA-256] in a byte string, where RIOT has noted it. */
static to_reason read_digest(const suit_manifest_t *manifest, const suit_component_t *component,
                             to_span *digest) {
    size_t offset = component->param_digest.offset;
    to_cbor_reader outer, inner;
    if (offset == 0 || offset >= manifest->len) {
        return TO_REASON_PARAMETER_MISSING;
    }
    to_cbor_read(&outer, to_span_of(manifest->buf + offset, (uint32_t)(manifest->len - offset)));
    to_cbor_read(&inner, to_cbor_get_bytes(&outer));
    uint32_t items = to_cbor_get_array(&inner);
    uint64_t algorithm = to_cbor_get_uint(&inner);
    *digest = to_cbor_get_bytes(&inner);
    if (outer.error != TO_REASON_OK || to_cbor_done(&inner) != TO_REASON_OK || items != 2 ||
        algorithm != SHA256_OF_DRAFT_09 || digest->size != TO_DIGEST_BYTES) {
        return TO_REASON_PARAMETER_MALFORMED;
    }
    return TO_REASON_OK;
}

/* The manifest's own digest: the payload of the COSE message, which RIOT has compared with it. */
static const uint8_t *manifest_digest(const suit_manifest_t *manifest) {
    static const uint8_t head[] = {0x82, SHA256_OF_DRAFT_09, 0x58, TO_DIGEST_BYTES};
    if (manifest->cose_payload == NULL || manifest->cose_payload_len != sizeof head + TO_DIGEST_BYTES ||
        memcmp(manifest->cose_payload, head, sizeof head) != 0) {
        return NULL;
    }
    return manifest->cose_payload + sizeof head;
}

static uint32_t accepted(void) {
    uint32_t first = suit_storage_first_sequence();
    uint32_t last = to_banks_record(&own->banks)->sequences[0];
    return last > first ? last : first;
}

/* Whether a manifest may bring something at all, and the digest that its image must have. */
static to_reason check_manifest(const suit_manifest_t *manifest, to_span *digest) {
    if (!own->usable) {
        return TO_REASON_FLASH;
    }
    if (manifest == NULL || !(manifest->state & SUIT_STATE_COSE_AUTHENTICATED) ||
        !(manifest->state & SUIT_STATE_FULLY_AUTHENTICATED) || manifest_digest(manifest) == NULL) {
        return TO_REASON_NO_AUTHENTICATION;
    }
    if ((SUIT_DEFAULT_POLICY & ~manifest->validated) != 0) {
        return TO_REASON_IDENTITY_UNCHECKED;
    }
    if (manifest->seq_number <= accepted()) {
        return TO_REASON_SEQUENCE_REPLAYED;
    }
    if (manifest->component_current >= CONFIG_SUIT_COMPONENT_MAX ||
        manifest->component_current >= manifest->components_len ||
        manifest->components[manifest->component_current].storage_backend != &own->backend) {
        return TO_REASON_COMPONENT_UNKNOWN;
    }
    return read_digest(manifest, &manifest->components[manifest->component_current], digest);
}

/* The image */

static to_reason begin(const suit_manifest_t *manifest, size_t size) {
    to_span digest;
    own->reason = TO_REASON_OK;
    to_reason reason = check_manifest(manifest, &digest);
    if (reason != TO_REASON_OK) {
        return reason;
    }
    if (suit_storage_is_waiting()) {
        return TO_REASON_BUSY;
    }
    /* A model that was taken back, or whose bank is damaged by now: what runs is never erased. */
    if (own->running != TO_BANK_FACTORY && own->running != to_banks_running(&own->banks)) {
        own->undo = 1;
        return TO_REASON_BUSY;
    }
    if (size > own->banks.bank_bytes) {
        return TO_REASON_SLOT_TOO_SMALL;
    }
    own->held = 0;
    own->sequence = manifest->seq_number;
    memcpy(own->digest, digest.bytes, sizeof own->digest);
    return suit_storage_of_banks(
        to_banks_begin(&own->banks, manifest_digest(manifest), manifest->seq_number, (uint32_t)size));
}

/* Erases what was stored and not accepted; `reason` is why, unless something failed before. */
static void purge(to_reason reason) {
    own->held = 0;
    if (!own->usable || to_banks_record(&own->banks)->state != TO_STATE_DOWNLOAD) {
        return;
    }
    if (own->reason == TO_REASON_OK) {
        own->reason = reason;
    }
    if (to_banks_cancel(&own->banks, (uint8_t)own->reason) != TO_BANKS_OK) {
        suit_storage_failed("bank not erased", TO_REASON_FLASH);
    }
}

/* Nothing is done when all bytes are there and were checked already. */
static to_reason finish(void) {
    uint32_t size = own->banks.size;
    if (own->banks.complete) {
        return TO_REASON_OK;
    }
    to_reason reason = suit_storage_of_banks(to_banks_finish(&own->banks, own->digest));
    if (reason == TO_REASON_OK) {
        reason = to_capsule_verify(to_device_model.plan,
                                   to_banks_memory(&own->banks, to_banks_candidate(&own->banks)), size);
    }
    if (reason != TO_REASON_OK) {
        purge(reason);
    }
    return reason;
}

/* Some transports of RIOT's do not say when the last byte has come. */
static void finish_when_all_is_there(void) {
    if (own->banks.size > 0 && own->banks.offset == own->banks.size) {
        to_reason reason = finish();
        if (reason != TO_REASON_OK) {
            suit_storage_failed("image refused", reason);
        }
    }
}

/* Bytes of the image that was checked, or was accepted from it; 0: there is none. */
static uint32_t readable(void) {
    const to_record *record = to_banks_record(&own->banks);
    if (!own->usable) {
        return 0;
    }
    finish_when_all_is_there();
    if (own->banks.complete) {
        return own->banks.size;
    }
    int kept = suit_storage_is_waiting() || record->state == TO_STATE_CONFIRMED;
    return kept ? record->images[record->bank].bytes : 0;
}

static int others_are_installed(const suit_manifest_t *manifest) {
    for (unsigned i = 0; i < manifest->components_len && i < CONFIG_SUIT_COMPONENT_MAX; i++) {
        if (i != manifest->component_current &&
            !(manifest->components[i].state & SUIT_COMPONENT_STATE_INSTALLED)) {
            return 0;
        }
    }
    return 1;
}

/* Image and sequence number, in one record. */
static to_reason accept(void) {
    uint32_t sequences[TO_SEQUENCES];
    memcpy(sequences, to_banks_record(&own->banks)->sequences, sizeof sequences);
    sequences[0] = own->sequence;
    to_reason reason = suit_storage_of_banks(to_banks_pending(&own->banks, sequences));
    if (reason == TO_REASON_OK) {
        own->held = 0;
        LOG_INFO("tinyops: model of sequence %" PRIu32 " verified, to be tried\n", own->sequence);
    }
    return reason;
}

static to_reason install(const suit_manifest_t *manifest) {
    to_span digest;
    to_reason reason = check_manifest(manifest, &digest);
    if (reason != TO_REASON_OK) {
        return reason;
    }
    finish_when_all_is_there();
    if (!own->banks.complete || manifest->seq_number != own->sequence ||
        memcmp(digest.bytes, own->digest, sizeof own->digest) != 0 ||
        memcmp(manifest_digest(manifest), to_banks_record(&own->banks)->manifest, TO_DIGEST_BYTES) != 0) {
        return TO_REASON_IMAGE_DIGEST;
    }
    own->held = !others_are_installed(manifest);
    return own->held ? TO_REASON_OK : accept();
}

/* The driver */

static int storage_init(suit_storage_t *storage) {
    (void)storage;
    enter();
    suit_storage_open();
    return result_of("storage", own->usable ? TO_REASON_OK : TO_REASON_FLASH);
}

static int storage_start(suit_storage_t *storage, const suit_manifest_t *manifest, size_t size) {
    (void)storage;
    enter();
    return result_of("not stored", begin(manifest, size));
}

/* Bytes that are there already are passed over: they come again, or an interrupted download has stored them.
 */
static int storage_write(suit_storage_t *storage, const suit_manifest_t *manifest, const uint8_t *bytes,
                         size_t offset, size_t size) {
    (void)storage;
    (void)manifest;
    to_reason reason = TO_REASON_OK;
    enter();
    uint32_t stored = own->banks.offset;
    if (own->banks.size == 0) {
        reason = TO_REASON_PAYLOAD_MISSING;
    } else if (offset > own->banks.size || size > own->banks.size - offset || offset > stored) {
        reason = TO_REASON_IMAGE_SIZE;
    } else if (offset + size > stored) {
        uint32_t known = stored - (uint32_t)offset;
        reason =
            suit_storage_of_banks(to_banks_write(&own->banks, stored, bytes + known, (uint32_t)size - known));
    }
    return result_of("not written", reason);
}

static int storage_finish(suit_storage_t *storage, const suit_manifest_t *manifest) {
    (void)storage;
    (void)manifest;
    enter();
    return result_of("image refused", finish());
}

static int storage_read(suit_storage_t *storage, uint8_t *bytes, size_t offset, size_t size) {
    (void)storage;
    enter();
    uint32_t all = readable();
    to_reason reason = offset > all || size > all - offset ? TO_REASON_IMAGE_SIZE : TO_REASON_OK;
    if (reason == TO_REASON_OK) {
        memcpy(bytes, to_banks_memory(&own->banks, to_banks_candidate(&own->banks)) + offset, size);
    } else {
        memset(bytes, 0, size);
    }
    return result_of("not read", reason);
}

static int storage_read_ptr(suit_storage_t *storage, const uint8_t **bytes, size_t *size) {
    (void)storage;
    enter();
    *size = readable();
    *bytes = *size > 0 ? to_banks_memory(&own->banks, to_banks_candidate(&own->banks)) : NULL;
    return result_of("not read", *size > 0 ? TO_REASON_OK : TO_REASON_PAYLOAD_MISSING);
}

static int storage_install(suit_storage_t *storage, const suit_manifest_t *manifest) {
    (void)storage;
    enter();
    return result_of("not accepted", install(manifest));
}

static int storage_erase(suit_storage_t *storage) {
    (void)storage;
    enter();
    if (own->usable && suit_storage_is_waiting()) {
        suit_storage_revert(TO_REASON_IMAGE_DIGEST);
    } else {
        purge(TO_REASON_IMAGE_DIGEST);
    }
    return result_of("", TO_REASON_OK);
}

static bool storage_has_location(const suit_storage_t *storage, const char *location) {
    (void)storage;
    return strcmp(location, CONFIG_TINYOPS_SUIT_STORAGE_LOCATION) == 0;
}

static int storage_set_location(suit_storage_t *storage, const char *location) {
    return storage_has_location(storage, location) ? SUIT_OK : SUIT_ERR_STORAGE_UNAVAILABLE;
}

static int storage_get_sequence(const suit_storage_t *storage, uint32_t *sequence) {
    (void)storage;
    enter();
    *sequence = own->usable ? accepted() : 0;
    return result_of("sequence number", own->usable ? TO_REASON_OK : TO_REASON_FLASH);
}

static int storage_set_sequence(suit_storage_t *storage, uint32_t sequence) {
    (void)storage;
    to_reason reason = TO_REASON_FLASH;
    enter();
    if (own->usable && sequence < accepted()) {
        reason = TO_REASON_SEQUENCE_REPLAYED;
    } else if (own->usable && sequence == accepted()) {
        reason = TO_REASON_OK;
    } else if (own->usable) {
        uint32_t sequences[TO_SEQUENCES];
        memcpy(sequences, to_banks_record(&own->banks)->sequences, sizeof sequences);
        sequences[0] = sequence;
        reason = suit_storage_of_banks(to_banks_revoke(&own->banks, 0, sequences));
    }
    return result_of("sequence number", reason);
}

void tinyops_suit_storage_done(int result) {
    to_reason reason = TO_REASON_OK;
    enter();
    if (own->held && result == SUIT_OK) {
        reason = accept();
    }
    purge(TO_REASON_CANCELLED);
    (void)result_of("not accepted", reason);
}

void tinyops_suit_storage_get_status(tinyops_suit_storage_status *status) {
    enter();
    const to_record *record = to_banks_record(&own->banks);
    status->usable = own->usable;
    status->accepted = own->usable ? accepted() : 0;
    status->bank = own->running;
    status->sequence = own->running == TO_BANK_FACTORY ? suit_storage_first_sequence()
                                                       : record->images[own->running].sequence;
    status->attempt = record->attempt;
    status->state = record->state;
    status->health_left = own->health_left;
    status->reason = own->reason;
    mutex_unlock(&own->lock);
}

static const suit_storage_driver_t driver = {
    .init = storage_init,
    .start = storage_start,
    .write = storage_write,
    .finish = storage_finish,
    .read = storage_read,
    .read_ptr = storage_read_ptr,
    .install = storage_install,
    .erase = storage_erase,
    .has_location = storage_has_location,
    .set_active_location = storage_set_location,
    .get_seq_no = storage_get_sequence,
    .set_seq_no = storage_set_sequence,
    .separator = SEPARATOR,
};

suit_storage_state suit_storage_own = {.backend = {.driver = &driver}, .lock = MUTEX_INIT};

suit_storage_t *const tinyops_suit_storage = &suit_storage_own.backend;

XFA(suit_storage_t *, suit_storage_reg, 0) tinyops_suit_storage_entry = &suit_storage_own.backend;
