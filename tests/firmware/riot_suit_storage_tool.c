/* The storage backend for RIOT's SUIT module behind plain calls, as RIOT calls it; its flash is in memory,
 * and its power can be cut. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "flash_file.h"
#include "parts.h"
#include "tinyops/to_capsule.h"
#include "tinyops_update.h"

static flash_file file;
static suit_storage_state initial;
static suit_manifest_t manifest;
static uint8_t *buffer;
static suit_storage_t other;
static uint32_t locked;

void mutex_lock(mutex_t *mutex) {
    assert(!mutex->locked);
    mutex->locked = 1;
    locked++;
}

int mutex_trylock(mutex_t *mutex) {
    if (mutex->locked) {
        return 0;
    }
    mutex_lock(mutex);
    return 1;
}

void mutex_unlock(mutex_t *mutex) {
    assert(mutex->locked);
    mutex->locked = 0;
    locked--;
}

const to_flash *tinyops_update_flash(void) { return file.content == NULL ? NULL : &file.flash; }

/* The flash is new, erased. */
int tool_new(uint32_t bytes, uint32_t erase_bytes, uint16_t write_bytes) {
    char error[200];
    if (initial.backend.driver == NULL) {
        initial = suit_storage_own;
    }
    if (file.content != NULL) {
        flash_file_close(&file);
    }
    memset(&file, 0, sizeof file);
    return flash_file_open(&file, NULL, bytes, erase_bytes, write_bytes, 0xFF, error, sizeof error);
}

/* RAM is lost, and the power returns. */
void tool_restart(void) {
    flash_file_power_on(&file);
    suit_storage_own = initial;
    to_capsule_activate(&to_device_model, to_device_model.plan->factory);
}

void tool_cut(int cut, uint64_t at, int torn, uint64_t seed) {
    flash_file_cut(&file, (flash_cut)cut, at, (flash_torn)torn, seed);
}

uint64_t tool_operations(void) { return file.operations; }
uint32_t tool_violations(void) { return file.violations; }
uint32_t tool_locked(void) { return locked; }
void tool_damage(uint32_t offset) { file.content[offset] ^= 1u; }
uint8_t *tool_content(void) { return file.content; }

/* RIOT's manifest; the digest parameter is `item`, CBOR at the end of the manifest. There are `components`,
 * of which number `current` is the model. */
void tool_manifest(uint32_t state, uint32_t validated, uint32_t sequence, const uint8_t *item,
                   uint32_t item_bytes, const uint8_t *payload, uint32_t payload_bytes, unsigned components,
                   unsigned current) {
    free(buffer);
    buffer = malloc(1u + item_bytes + payload_bytes);
    assert(buffer != NULL);
    buffer[0] = 0;
    if (payload_bytes > 0) {
        memcpy(buffer + 1, payload, payload_bytes);
    }
    if (item_bytes > 0) {
        memcpy(buffer + 1 + payload_bytes, item, item_bytes);
    }
    memset(&manifest, 0, sizeof manifest);
    manifest.buf = buffer;
    manifest.len = 1u + item_bytes + payload_bytes;
    manifest.cose_payload = payload_bytes > 0 ? buffer + 1 : NULL;
    manifest.cose_payload_len = payload_bytes;
    manifest.state = state;
    manifest.validated = validated;
    manifest.seq_number = sequence;
    manifest.components_len = components;
    manifest.component_current = (uint8_t)current;
    for (unsigned i = 0; i < CONFIG_SUIT_COMPONENT_MAX; i++) {
        manifest.components[i].storage_backend = i == current ? tinyops_suit_storage : &other;
    }
    if (current < CONFIG_SUIT_COMPONENT_MAX && item_bytes > 0) {
        manifest.components[current].param_digest.offset = (uint16_t)(1u + payload_bytes);
    }
}

void tool_install_other(unsigned component) {
    manifest.components[component].state |= SUIT_COMPONENT_STATE_INSTALLED;
}
void tool_of_other_backend(void) { manifest.components[manifest.component_current].storage_backend = &other; }

static suit_storage_t *storage(void) { return tinyops_suit_storage; }

int tool_init(void) { return storage()->driver->init(storage()); }
int tool_start(size_t size) { return storage()->driver->start(storage(), &manifest, size); }
int tool_write(const uint8_t *bytes, size_t offset, size_t size) {
    return storage()->driver->write(storage(), &manifest, bytes, offset, size);
}
int tool_finish(void) { return storage()->driver->finish(storage(), &manifest); }
int tool_read(uint8_t *bytes, size_t offset, size_t size) {
    return storage()->driver->read(storage(), bytes, offset, size);
}
int tool_read_ptr(const uint8_t **bytes, size_t *size) {
    return storage()->driver->read_ptr(storage(), bytes, size);
}
int tool_install(void) { return storage()->driver->install(storage(), &manifest); }
int tool_erase(void) { return storage()->driver->erase(storage()); }
int tool_has_location(const char *location) { return storage()->driver->has_location(storage(), location); }
int tool_set_location(const char *location) {
    return storage()->driver->set_active_location(storage(), location);
}
int tool_get_sequence(uint32_t *sequence) { return storage()->driver->get_seq_no(storage(), sequence); }
int tool_set_sequence(uint32_t sequence) { return storage()->driver->set_seq_no(storage(), sequence); }
int tool_poll(void) { return tinyops_suit_storage_poll(); }
void tool_inference(void) { tinyops_suit_storage_inference_done(); }
void tool_done(int result) { tinyops_suit_storage_done(result); }
void tool_status(tinyops_suit_storage_status *status) { tinyops_suit_storage_get_status(status); }
void tool_try_begun(void) { (void)to_banks_try(&suit_storage_own.banks); } /* and the self-test hangs */

/* SHA-256 of the model file that runs. */
const uint8_t *tool_model(void) { return to_device_model.digest; }
