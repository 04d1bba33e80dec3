#include "tinyops/to_banks.h"

#include <string.h>

#include "tinyops/to_sha256.h"

static const to_flash *flash_of(const to_banks *banks) { return banks->journal.flash; }

static to_banks_result append(to_banks *banks, const to_record *record) {
    switch (to_journal_append(&banks->journal, record)) {
    case TO_JOURNAL_OK:
        return TO_BANKS_OK;
    case TO_JOURNAL_LOWERED:
        return TO_BANKS_LOWERED;
    default:
        return TO_BANKS_FLASH;
    }
}

static uint32_t region_offset(const to_banks *banks, uint8_t bank) {
    return 2u * banks->journal.page_bytes + bank * banks->bank_bytes;
}

const uint8_t *to_banks_memory(const to_banks *banks, uint8_t bank) {
    return flash_of(banks)->memory + region_offset(banks, bank);
}

static void close_download(to_banks *banks) {
    banks->size = 0;
    banks->offset = 0;
    banks->complete = 0;
}

to_banks_result to_banks_open(to_banks *banks, const to_flash *flash, uint32_t journal_bytes) {
    memset(banks, 0, sizeof *banks);
    to_journal_result result = to_journal_open(&banks->journal, flash, journal_bytes);
    if (result == TO_JOURNAL_LAYOUT) {
        return TO_BANKS_LAYOUT;
    }
    uint32_t half = flash->bytes / 2u - journal_bytes;
    banks->bank_bytes = half - half % flash->erase_bytes;
    if (banks->bank_bytes == 0) {
        return TO_BANKS_LAYOUT;
    }
    return result == TO_JOURNAL_OK ? TO_BANKS_OK : TO_BANKS_FLASH;
}

static int is_whole(const to_banks *banks, uint8_t bank) {
    const to_image *image = &to_banks_record(banks)->images[bank];
    uint8_t digest[TO_DIGEST_BYTES];
    if (image->bytes == 0 || image->bytes > banks->bank_bytes) {
        return 0;
    }
    to_sha256_of(to_banks_memory(banks, bank), image->bytes, digest);
    return memcmp(digest, image->digest, sizeof digest) == 0;
}

static int is_waiting(const to_record *record) {
    return record->state == TO_STATE_PENDING || record->state == TO_STATE_TRY;
}

uint8_t to_banks_running(const to_banks *banks) {
    const to_record *record = to_banks_record(banks);
    if (record->confirmed >= TO_BANKS) {
        return TO_BANK_FACTORY;
    }
    if (is_whole(banks, record->confirmed)) {
        return record->confirmed;
    }
    uint8_t other = record->confirmed ^ 1u;
    if (is_waiting(record) && record->bank == other) {
        return TO_BANK_FACTORY;
    }
    return is_whole(banks, other) ? other : TO_BANK_FACTORY;
}

/* Erases the units of [from, to) of a bank; `from` is where one starts. */
static to_banks_result erase_units(const to_banks *banks, uint8_t bank, uint32_t from, uint32_t to) {
    const to_flash *flash = flash_of(banks);
    for (uint32_t at = from; at < to; at += flash->erase_bytes) {
        if (flash->erase(flash->context, region_offset(banks, bank) + at) != 0) {
            return TO_BANKS_FLASH;
        }
    }
    return TO_BANKS_OK;
}

/* From where a download goes on that a cut interrupted: the start of the last erase unit that holds anything.
 * All before it was written completely, since the units from record->offset on were erased before anything
 * was written there, in order; that unit and those behind it may hold a torn write. */
static uint32_t resume_offset(const to_banks *banks, uint32_t size) {
    const to_record *record = to_banks_record(banks);
    const to_flash *flash = flash_of(banks);
    const uint8_t *memory = to_banks_memory(banks, record->bank);
    uint32_t at = size;
    if (record->flags & TO_RECORD_ERASING) {
        return record->offset;
    }
    while (at > record->offset && memory[at - 1u] == flash->erased) {
        at--;
    }
    return at > record->offset ? (at - 1u) / flash->erase_bytes * flash->erase_bytes : record->offset;
}

static int can_resume(const to_record *record, uint8_t running, const uint8_t *manifest, uint32_t size) {
    return record->state == TO_STATE_DOWNLOAD && record->bank != running && record->offset < size &&
           memcmp(record->manifest, manifest, sizeof record->manifest) == 0;
}

/* Two records enclose the erasure: the first one drops all trust in the bank, and outdates a torn record that
 * cannot be read now but perhaps after the next reset; the second one says that the rest of the bank is
 * surely erased. */
to_banks_result to_banks_begin(to_banks *banks, const uint8_t manifest[TO_DIGEST_BYTES], uint32_t sequence,
                               uint32_t size) {
    to_record record = *to_banks_record(banks);
    close_download(banks);
    if (is_waiting(&record)) {
        return TO_BANKS_BUSY;
    }
    if (size == 0 || size > banks->bank_bytes) {
        return TO_BANKS_SIZE;
    }
    uint8_t running = to_banks_running(banks);
    if (can_resume(&record, running, manifest, size)) {
        record.offset = resume_offset(banks, size);
    } else {
        record.offset = 0;
        record.bank = running == 0 ? 1 : 0;
    }
    record.state = TO_STATE_DOWNLOAD;
    record.tries = 0;
    record.reason = 0;
    record.flags = TO_RECORD_ERASING;
    record.confirmed = running;
    record.attempt = sequence;
    for (uint8_t bank = 0; bank < TO_BANKS; bank++) {
        if (bank != running) {
            memset(&record.images[bank], 0, sizeof record.images[bank]);
        }
    }
    memcpy(record.manifest, manifest, sizeof record.manifest);
    to_banks_result result = append(banks, &record);
    if (result == TO_BANKS_OK) {
        result = erase_units(banks, record.bank, record.offset, size);
    }
    if (result == TO_BANKS_OK) {
        record.flags = 0;
        result = append(banks, &record);
    }
    if (result == TO_BANKS_OK) {
        banks->size = size;
        banks->offset = record.offset;
    }
    return result;
}

static to_banks_result program(const to_banks *banks, uint32_t offset, const uint8_t *data, uint32_t size) {
    const to_flash *flash = flash_of(banks);
    uint32_t at = region_offset(banks, to_banks_candidate(banks)) + offset;
    return flash->write(flash->context, at, data, size) == 0 ? TO_BANKS_OK : TO_BANKS_FLASH;
}

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Takes as much as fits into one write or into the buffer; returns how much. */
static uint32_t take(to_banks *banks, const uint8_t *data, uint32_t size, to_banks_result *result) {
    const to_flash *flash = flash_of(banks);
    uint32_t filled = banks->offset % flash->write_bytes;
    if (filled == 0 && size >= flash->write_bytes) {
        uint32_t whole = size - size % flash->write_bytes;
        *result = program(banks, banks->offset, data, whole);
        return whole;
    }
    uint32_t part = least(size, flash->write_bytes - filled);
    memcpy(banks->buffer + filled, data, part);
    if (filled + part == flash->write_bytes) {
        *result = program(banks, banks->offset - filled, banks->buffer, flash->write_bytes);
    }
    return part;
}

to_banks_result to_banks_write(to_banks *banks, uint32_t offset, const uint8_t *data, uint32_t size) {
    to_banks_result result = TO_BANKS_OK;
    if (banks->size == 0 || banks->complete) {
        return TO_BANKS_STATE;
    }
    if (offset != banks->offset) {
        return TO_BANKS_OFFSET;
    }
    if (size > banks->size - offset) {
        return TO_BANKS_SIZE;
    }
    while (size > 0) {
        uint32_t taken = take(banks, data, size, &result);
        if (result != TO_BANKS_OK) {
            close_download(banks);
            return result;
        }
        banks->offset += taken;
        data += taken;
        size -= taken;
    }
    return TO_BANKS_OK;
}

to_banks_result to_banks_finish(to_banks *banks, const uint8_t digest[TO_DIGEST_BYTES]) {
    const to_flash *flash = flash_of(banks);
    const to_record *record = to_banks_record(banks);
    if (banks->size == 0 || banks->complete) {
        return TO_BANKS_STATE;
    }
    if (banks->offset != banks->size) {
        return TO_BANKS_SIZE;
    }
    uint32_t filled = banks->size % flash->write_bytes;
    if (filled != 0) {
        memset(banks->buffer + filled, flash->erased, flash->write_bytes - filled);
        if (program(banks, banks->size - filled, banks->buffer, flash->write_bytes) != TO_BANKS_OK) {
            close_download(banks);
            return TO_BANKS_FLASH;
        }
    }
    banks->image.bytes = banks->size;
    banks->image.sequence = record->attempt;
    to_sha256_of(to_banks_memory(banks, record->bank), banks->size, banks->image.digest);
    if (memcmp(banks->image.digest, digest, sizeof banks->image.digest) != 0) {
        close_download(banks);
        return TO_BANKS_DIGEST;
    }
    banks->complete = 1;
    return TO_BANKS_OK;
}

to_banks_result to_banks_pending(to_banks *banks, const uint32_t sequences[TO_SEQUENCES]) {
    to_record record = *to_banks_record(banks);
    if (!banks->complete) {
        return TO_BANKS_STATE;
    }
    record.state = TO_STATE_PENDING;
    record.images[record.bank] = banks->image;
    memcpy(record.sequences, sequences, sizeof record.sequences);
    to_banks_result result = append(banks, &record);
    if (result == TO_BANKS_OK) {
        close_download(banks);
    }
    return result;
}

to_banks_result to_banks_try(to_banks *banks) {
    to_record record = *to_banks_record(banks);
    if (!is_waiting(&record)) {
        return TO_BANKS_STATE;
    }
    if (banks->trial) {
        return TO_BANKS_OK;
    }
    if (record.tries >= TO_BANKS_TRIES) {
        return TO_BANKS_TRIES_USED;
    }
    if (!is_whole(banks, record.bank)) {
        return TO_BANKS_DIGEST;
    }
    record.state = TO_STATE_TRY;
    record.tries++;
    to_banks_result result = append(banks, &record);
    banks->trial = result == TO_BANKS_OK;
    return result;
}

to_banks_result to_banks_tested(to_banks *banks) {
    to_record record = *to_banks_record(banks);
    if (!banks->trial) {
        return TO_BANKS_STATE;
    }
    if (record.flags & TO_RECORD_TESTED) {
        return TO_BANKS_OK;
    }
    record.flags |= TO_RECORD_TESTED;
    return append(banks, &record);
}

to_banks_result to_banks_confirm(to_banks *banks) {
    to_record record = *to_banks_record(banks);
    if (!banks->trial) {
        return TO_BANKS_STATE;
    }
    record.state = TO_STATE_CONFIRMED;
    record.confirmed = record.bank;
    record.flags = 0;
    to_banks_result result = append(banks, &record);
    banks->trial = result != TO_BANKS_OK;
    return result;
}

to_banks_result to_banks_revert(to_banks *banks, uint8_t reason) {
    to_record record = *to_banks_record(banks);
    if (!is_waiting(&record)) {
        return TO_BANKS_STATE;
    }
    record.state = TO_STATE_REVERTED;
    record.reason = reason;
    record.flags = 0;
    memset(&record.images[record.bank], 0, sizeof record.images[record.bank]);
    to_banks_result result = append(banks, &record);
    banks->trial = banks->trial && result != TO_BANKS_OK;
    return result;
}

to_banks_result to_banks_cancel(to_banks *banks, uint8_t reason) {
    to_record record = *to_banks_record(banks);
    if (is_waiting(&record)) {
        return TO_BANKS_BUSY;
    }
    close_download(banks);
    if (record.state != TO_STATE_DOWNLOAD) {
        return TO_BANKS_OK;
    }
    record.state = TO_STATE_REVERTED;
    record.reason = reason;
    to_banks_result result = append(banks, &record);
    return result == TO_BANKS_OK ? erase_units(banks, record.bank, 0, banks->bank_bytes) : result;
}

to_banks_result to_banks_revoke(to_banks *banks, uint32_t keys, const uint32_t sequences[TO_SEQUENCES]) {
    to_record record = *to_banks_record(banks);
    record.revoked |= keys;
    memcpy(record.sequences, sequences, sizeof record.sequences);
    return append(banks, &record);
}
