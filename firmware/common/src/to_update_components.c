#include <string.h>

#include "tinyops/to_sha256.h"
#include "to_update_parts.h"

static const uint8_t model_id[] = {0x81, 0x45, 'm', 'o', 'd', 'e', 'l'};
static const uint8_t keys_id[] = {0x81, 0x44, 'k', 'e', 'y', 's'};

static const to_update_component *port_component(const to_update *update, uint32_t component) {
    return &update->port.components[component - TO_UPDATE_PORT];
}

to_reason to_update_of_banks(to_banks_result result) {
    switch (result) {
    case TO_BANKS_OK:
        return TO_REASON_OK;
    case TO_BANKS_BUSY:
        return TO_REASON_BUSY;
    case TO_BANKS_SIZE:
        return TO_REASON_IMAGE_SIZE;
    case TO_BANKS_DIGEST:
        return TO_REASON_IMAGE_DIGEST;
    case TO_BANKS_LOWERED:
        return TO_REASON_SEQUENCE_REPLAYED;
    default:
        return TO_REASON_FLASH;
    }
}

uint32_t to_update_accepted(const to_update *update, uint32_t counter) {
    uint32_t accepted = update->broken ? 0 : to_banks_record(&update->banks)->sequences[counter];
    uint32_t first = counter == TO_UPDATE_COUNTER_MODEL ? update->config->first_sequence : 0;
    return accepted > first ? accepted : first;
}

/* What a component's digest must be, as the manifest says. */
static const uint8_t *wanted_digest(const to_update *update, uint32_t component) {
    for (uint32_t i = 0; i < update->suit.components; i++) {
        if (update->suit.device_index[i] == component) {
            return update->suit.parameters[i].digest;
        }
    }
    return NULL;
}

/* The model */

/* Bytes of the image, decoded; those that an interrupted download has stored are passed over. */
static int store(void *context, uint32_t offset, const uint8_t *data, uint32_t size) {
    to_update *update = context;
    uint32_t stored = update->banks.offset;
    update->position = offset + size;
    if (update->position <= stored) {
        return TO_BANKS_OK;
    }
    uint32_t known = offset < stored ? stored - offset : 0;
    return (int)to_banks_write(&update->banks, offset + known, data + known, size - known);
}

static to_reason begin_model(to_update *update, uint32_t size) {
    if (size == 0) {
        return TO_REASON_PARAMETER_MISSING;
    }
    /* A model that was taken back, or whose bank is damaged by now: what runs is never erased. */
    if (update->running != TO_BANK_FACTORY && update->running != to_banks_running(&update->banks)) {
        update->undo = 1;
        return TO_REASON_BUSY;
    }
    if (update->written & 1u << TO_UPDATE_MODEL) { /* another attempt of the same manifest */
        to_reason reason = to_update_of_banks(to_banks_cancel(&update->banks, TO_REASON_PAYLOAD_MISSING));
        if (reason != TO_REASON_OK) {
            return reason;
        }
    }
    update->position = 0;
    update->payload = TO_UPDATE_PAYLOAD_UNKNOWN;
    update->magic_bytes = 0;
    if (size > update->banks.bank_bytes) {
        return TO_REASON_SLOT_TOO_SMALL;
    }
    return to_update_of_banks(
        to_banks_begin(&update->banks, update->suit.digest, update->suit.sequence, size));
}

static uint32_t running_bytes(const to_update *update) {
    return update->running == TO_BANK_FACTORY
               ? update->config->model->plan->factory_bytes
               : to_banks_record(&update->banks)->images[update->running].bytes;
}

static const uint8_t *running_image(const to_update *update) {
    return update->running == TO_BANK_FACTORY ? update->config->model->plan->factory
                                              : to_banks_memory(&update->banks, update->running);
}

static to_reason feed_delta(to_update *update, const uint8_t *bytes, uint32_t size) {
    switch (to_delta_feed(&update->delta, bytes, size)) {
    case TO_DELTA_OK:
        return TO_REASON_OK;
    case TO_DELTA_BASE:
        return TO_REASON_DELTA_BASE;
    case TO_DELTA_SIZE:
        return TO_REASON_IMAGE_SIZE;
    case TO_DELTA_OUTPUT:
        return TO_REASON_FLASH;
    default:
        return TO_REASON_DELTA_MALFORMED;
    }
}

static to_reason write_image(to_update *update, const uint8_t *bytes, uint32_t size) {
    if (update->payload == TO_UPDATE_PAYLOAD_DELTA) {
        return feed_delta(update, bytes, size);
    }
    return to_update_of_banks((to_banks_result)store(update, update->position, bytes, size));
}

/* The first bytes of a payload tell a delta from a capsule. */
static to_reason write_model(to_update *update, const uint8_t *bytes, uint32_t size) {
    static const uint8_t delta_magic[4] = {'T', 'O', 'D', '1'};
    if (update->payload == TO_UPDATE_PAYLOAD_UNKNOWN) {
        while (update->magic_bytes < sizeof update->magic && size > 0) {
            update->magic[update->magic_bytes++] = *bytes++;
            size--;
        }
        if (update->magic_bytes < sizeof update->magic) {
            return TO_REASON_OK;
        }
        update->payload = TO_UPDATE_PAYLOAD_CAPSULE;
        if (memcmp(update->magic, delta_magic, sizeof delta_magic) == 0) {
            update->payload = TO_UPDATE_PAYLOAD_DELTA;
            to_delta_start(&update->delta, running_image(update), running_bytes(update),
                           update->running_digest, update->banks.size, store, update);
        }
        to_reason reason = write_image(update, update->magic, sizeof update->magic);
        if (reason != TO_REASON_OK) {
            return reason;
        }
    }
    return size > 0 ? write_image(update, bytes, size) : TO_REASON_OK;
}

/* Whether another image comes with the model, which may be the firmware that it is for. */
static int comes_with_image(const to_update *update) {
    for (uint32_t i = 0; i < update->suit.components; i++) {
        if (update->suit.device_index[i] >= TO_UPDATE_PORT) {
            return 1;
        }
    }
    return 0;
}

static to_reason end_model(to_update *update) {
    const uint8_t *digest = wanted_digest(update, TO_UPDATE_MODEL);
    if (digest == NULL) {
        return TO_REASON_PARAMETER_MISSING;
    }
    if (update->payload == TO_UPDATE_PAYLOAD_UNKNOWN) {
        return TO_REASON_IMAGE_SIZE;
    }
    if (update->payload == TO_UPDATE_PAYLOAD_DELTA && to_delta_end(&update->delta) != TO_DELTA_OK) {
        return TO_REASON_DELTA_MALFORMED;
    }
    uint32_t size = update->banks.size;
    to_reason reason = to_update_of_banks(to_banks_finish(&update->banks, digest));
    if (reason == TO_REASON_OK && !comes_with_image(update)) {
        const uint8_t *image = to_banks_memory(&update->banks, to_banks_candidate(&update->banks));
        reason = to_capsule_verify(update->config->model->plan, image, size);
    }
    return reason;
}

/* The list of revoked keys */

static to_reason write_keys(to_update *update, const uint8_t *bytes, uint32_t size) {
    if (size > sizeof update->revocation - update->revocation_bytes) {
        return TO_REASON_SLOT_TOO_SMALL;
    }
    memcpy(update->revocation + update->revocation_bytes, bytes, size);
    update->revocation_bytes += size;
    return TO_REASON_OK;
}

/* The bit of the key with this id; 0 when the device has none such. */
static uint32_t key_bit(const to_update *update, to_span kid) {
    for (uint32_t i = 0; i < update->keys.count; i++) {
        if (to_span_equal(update->keys.keys[i].kid, kid)) {
            return UINT32_C(1) << i;
        }
    }
    return 0;
}

/* Whether a key is left that may sign, and one that may revoke. */
static int can_be_updated(const to_update *update, uint32_t revoked) {
    unsigned roles = 0;
    for (uint32_t i = 0; i < update->keys.count; i++) {
        if (!(revoked >> i & 1u)) {
            roles |= update->keys.keys[i].roles;
        }
    }
    return (roles & TO_COSE_SIGNER) && (roles & TO_COSE_ROOT);
}

static to_reason end_keys(to_update *update) {
    to_cbor_reader reader;
    to_cbor_read(&reader, to_span_of(update->revocation, update->revocation_bytes));
    uint32_t revoked = 0;
    for (uint32_t count = to_cbor_get_array(&reader); count > 0; count--) {
        revoked |= key_bit(update, to_cbor_get_bytes(&reader));
    }
    to_reason reason = to_cbor_done(&reader);
    if (reason != TO_REASON_OK) {
        return reason;
    }
    if (!can_be_updated(update, revoked | update->keys.revoked)) {
        return TO_REASON_UNAUTHORIZED;
    }
    update->revoked = revoked;
    return TO_REASON_OK;
}

/* The manifest processor's view */

static int get_sequence(void *context, uint32_t counter, uint32_t *last) {
    *last = to_update_accepted(context, counter);
    return 1;
}

static int get_now(void *context, uint64_t *seconds) {
    const to_update *update = context;
    *seconds = update->unix_seconds + (update->uptime - update->clock);
    return update->unix_seconds > 0;
}

static to_reason get_image(void *context, uint32_t component, uint32_t size, to_span *image) {
    const to_update *update = context;
    int stored = update->written >> component & 1u;
    (void)size;
    if (component == TO_UPDATE_MODEL) {
        *image = stored ? to_span_of(to_banks_memory(&update->banks, to_banks_candidate(&update->banks)),
                                     update->banks.size)
                        : to_span_of(running_image(update), running_bytes(update));
        return TO_REASON_OK;
    }
    if (!stored) {
        return TO_REASON_IMAGE_DIGEST;
    }
    *image = component == TO_UPDATE_KEYS ? to_span_of(update->revocation, update->revocation_bytes)
                                         : update->images[component - TO_UPDATE_PORT];
    return TO_REASON_OK;
}

static to_reason begin(void *context, uint32_t component, uint32_t size) {
    to_update *update = context;
    to_reason reason = TO_REASON_OK;
    if (component == TO_UPDATE_MODEL) {
        reason = begin_model(update, size);
    } else if (component == TO_UPDATE_KEYS) {
        update->revocation_bytes = 0;
    } else {
        const to_update_component *place = port_component(update, component);
        update->images[component - TO_UPDATE_PORT] = to_span_of(NULL, 0);
        reason = place->begin(place->context, size);
    }
    if (reason == TO_REASON_OK) {
        update->written |= (uint8_t)(1u << component);
    }
    return reason;
}

static to_reason write(void *context, uint32_t component, const uint8_t *bytes, uint32_t size) {
    to_update *update = context;
    if (component == TO_UPDATE_MODEL) {
        return write_model(update, bytes, size);
    }
    if (component == TO_UPDATE_KEYS) {
        return write_keys(update, bytes, size);
    }
    const to_update_component *place = port_component(update, component);
    return place->write(place->context, bytes, size);
}

static to_reason end(void *context, uint32_t component) {
    to_update *update = context;
    if (component == TO_UPDATE_MODEL) {
        return end_model(update);
    }
    if (component == TO_UPDATE_KEYS) {
        return end_keys(update);
    }
    const to_update_component *place = port_component(update, component);
    return place->end(place->context, &update->images[component - TO_UPDATE_PORT]);
}

void to_update_init_platform(to_update *update) {
    const to_update_config *config = update->config;
    to_suit_component *components = update->components;
    to_suit_component model = {{model_id, sizeof model_id}, config->vendor,          config->class_id,
                               update->banks.bank_bytes,    TO_UPDATE_COUNTER_MODEL, TO_COSE_SIGNER};
    to_suit_component keys = {{keys_id, sizeof keys_id}, config->vendor,         config->class_id,
                              TO_UPDATE_KEYS_MAX,        TO_UPDATE_COUNTER_KEYS, TO_COSE_ROOT};
    components[TO_UPDATE_MODEL] = model;
    components[TO_UPDATE_KEYS] = keys;
    if (update->port.component_count > TO_UPDATE_COMPONENTS) {
        update->port.component_count = TO_UPDATE_COMPONENTS;
    }
    for (uint32_t i = 0; i < update->port.component_count; i++) {
        const to_update_component *place = &update->port.components[i];
        to_suit_component component = {place->id,       config->vendor, place->class_id,
                                       place->capacity, place->counter, TO_COSE_SIGNER};
        components[TO_UPDATE_PORT + i] = component;
    }
    update->keys.keys = config->keys;
    update->keys.count = config->key_count;
    update->keys.revoked = update->broken ? 0 : to_banks_record(&update->banks)->revoked;
    update->platform.components = components;
    update->platform.component_count = TO_UPDATE_PORT + (uint32_t)update->port.component_count;
    update->platform.keys = &update->keys;
    update->platform.device_id = update->port.device_id;
    update->platform.context = update;
    update->platform.sequence = get_sequence;
    update->platform.now = get_now;
    update->platform.image = get_image;
    update->platform.begin = begin;
    update->platform.write = write;
    update->platform.end = end;
}

/* Acceptance */

static to_reason stage(const to_update *update) {
    for (uint32_t i = 0; i < update->port.component_count; i++) {
        if (update->written >> (TO_UPDATE_PORT + i) & 1u) {
            const to_update_component *place = &update->port.components[i];
            uint8_t digest[TO_SHA256_BYTES];
            to_sha256_of(update->images[i].bytes, update->images[i].size, digest);
            to_reason reason = place->stage(place->context, digest, update->suit.sequence);
            if (reason != TO_REASON_OK) {
                return reason;
            }
        }
    }
    return TO_REASON_OK;
}

to_reason to_update_commit(to_update *update) {
    uint32_t sequences[TO_SEQUENCES];
    for (uint32_t i = 0; i < TO_SEQUENCES; i++) {
        int named = update->suit.counters >> i & 1u;
        sequences[i] = named ? update->suit.sequence : to_banks_record(&update->banks)->sequences[i];
    }
    unsigned keys = 1u << TO_UPDATE_KEYS;
    if ((update->written & keys) && update->written != keys) {
        return TO_REASON_UNSUPPORTED; /* one record cannot hold both */
    }
    to_reason reason = stage(update);
    if (reason != TO_REASON_OK) {
        return reason;
    }
    if (update->written & 1u << TO_UPDATE_MODEL) {
        return to_update_of_banks(to_banks_pending(&update->banks, sequences));
    }
    uint32_t revoked = update->written & keys ? update->revoked : 0;
    reason = to_update_of_banks(to_banks_revoke(&update->banks, revoked, sequences));
    update->keys.revoked = to_banks_record(&update->banks)->revoked;
    return reason;
}

void to_update_settle(to_update *update) {
    for (uint32_t i = 0; i < update->port.component_count; i++) {
        const to_update_component *place = &update->port.components[i];
        place->settle(place->context, to_update_accepted(update, place->counter));
    }
}

void to_update_abandon(to_update *update, to_reason reason) {
    if (to_banks_record(&update->banks)->state == TO_STATE_DOWNLOAD) {
        to_reason erased = to_update_of_banks(to_banks_cancel(&update->banks, (uint8_t)reason));
        if (erased != TO_REASON_OK) {
            to_update_say_reason(update, "bank not erased", erased);
        }
    }
    for (uint32_t i = 0; i < update->port.component_count; i++) {
        if (update->written >> (TO_UPDATE_PORT + i) & 1u) {
            const to_update_component *place = &update->port.components[i];
            place->abandon(place->context);
        }
    }
    update->written = 0;
}
