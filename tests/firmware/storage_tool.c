/* Journal, banks and delta decoder for Python: a device with a flash in memory or in a file, behind plain
 * calls. */
#include <stdlib.h>
#include <string.h>

#include "flash_file.h"
#include "tinyops/to_banks.h"
#include "tinyops/to_delta.h"
#include "tinyops/to_journal.h"

typedef struct {
    flash_file file;
    to_banks banks;
    to_journal journal;
    uint32_t page_bytes;
} device;

device *device_new(const char *path, uint32_t bytes, uint32_t erase_bytes, uint16_t write_bytes,
                   uint8_t erased, uint32_t page_bytes, char *error, uint32_t error_bytes) {
    device *d = calloc(1, sizeof *d);
    if (d != NULL &&
        flash_file_open(&d->file, path, bytes, erase_bytes, write_bytes, erased, error, error_bytes) != 0) {
        free(d);
        return NULL;
    }
    if (d != NULL) {
        d->page_bytes = page_bytes;
    }
    return d;
}

void device_free(device *d) {
    flash_file_close(&d->file);
    free(d);
}

uint8_t *device_content(device *d) { return d->file.content; }
uint32_t device_violations(const device *d) { return d->file.violations; }
uint64_t device_operations(const device *d) { return d->file.operations; }
int device_is_off(const device *d) { return d->file.off; }
int device_erase(device *d, uint32_t offset) { return d->file.flash.erase(&d->file, offset); }
int device_write(device *d, uint32_t offset, const uint8_t *data, uint32_t size) {
    return d->file.flash.write(&d->file, offset, data, size);
}
void device_cut(device *d, int cut, uint64_t at, int torn, uint64_t seed) {
    flash_file_cut(&d->file, (flash_cut)cut, at, (flash_torn)torn, seed);
}
void device_power_on(device *d) { flash_file_power_on(&d->file); }

uint32_t slot_bytes(const device *d) { return to_journal_slot_bytes(&d->file.flash); }
int journal_open(device *d) { return (int)to_journal_open(&d->journal, &d->file.flash, d->page_bytes); }
int journal_append(device *d, const to_record *record) { return (int)to_journal_append(&d->journal, record); }
const to_record *journal_newest(const device *d) { return &d->journal.newest; }

int banks_open(device *d) { return (int)to_banks_open(&d->banks, &d->file.flash, d->page_bytes); }
const to_record *banks_record(const device *d) { return to_banks_record(&d->banks); }
const uint8_t *banks_memory(const device *d, uint8_t bank) { return to_banks_memory(&d->banks, bank); }
uint32_t banks_bytes(const device *d) { return d->banks.bank_bytes; }
uint32_t banks_offset(const device *d) { return d->banks.offset; }
uint8_t banks_running(const device *d) { return to_banks_running(&d->banks); }
int banks_begin(device *d, const uint8_t *manifest, uint32_t sequence, uint32_t size) {
    return (int)to_banks_begin(&d->banks, manifest, sequence, size);
}
int banks_write(device *d, uint32_t offset, const uint8_t *data, uint32_t size) {
    return (int)to_banks_write(&d->banks, offset, data, size);
}
int banks_finish(device *d, const uint8_t *digest) { return (int)to_banks_finish(&d->banks, digest); }
int banks_pending(device *d, const uint32_t *sequences) {
    return (int)to_banks_pending(&d->banks, sequences);
}
int banks_try(device *d) { return (int)to_banks_try(&d->banks); }
int banks_tested(device *d) { return (int)to_banks_tested(&d->banks); }
int banks_confirm(device *d) { return (int)to_banks_confirm(&d->banks); }
int banks_revert(device *d, uint8_t reason) { return (int)to_banks_revert(&d->banks, reason); }
int banks_cancel(device *d, uint8_t reason) { return (int)to_banks_cancel(&d->banks, reason); }
int banks_revoke(device *d, uint32_t keys, const uint32_t *sequences) {
    return (int)to_banks_revoke(&d->banks, keys, sequences);
}

typedef struct {
    uint8_t *bytes;
    uint32_t limit;
    uint32_t taken;
} result;

static int take(void *context, uint32_t offset, const uint8_t *data, uint32_t size) {
    result *out = context;
    if (offset != out->taken || size > TO_DELTA_BLOCK || size > out->limit - offset) {
        return -1;
    }
    memcpy(out->bytes + offset, data, size);
    out->taken += size;
    return 0;
}

/* Decodes in pieces. Returns the to_delta_result; `out` has `limit` bytes. */
int delta_decode(const uint8_t *base, uint32_t base_bytes, const uint8_t *base_digest, const uint8_t *data,
                 uint32_t size, uint32_t piece, uint8_t *out, uint32_t limit, uint32_t *taken,
                 uint8_t *digest) {
    static to_delta delta;
    result made = {out, limit, 0};
    to_delta_start(&delta, base, base_bytes, base_digest, limit, take, &made);
    for (uint32_t at = 0; at < size; at += piece) {
        (void)to_delta_feed(&delta, data + at, size - at < piece ? size - at : piece);
    }
    *taken = made.taken;
    memcpy(digest, to_delta_digest(&delta), 32);
    return (int)to_delta_end(&delta);
}
