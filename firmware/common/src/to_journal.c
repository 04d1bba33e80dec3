#include "tinyops/to_journal.h"

#include <string.h>

#define MAGIC UINT32_C(0x314A4F54) /* "TOJ1" */
#define CRC_OFFSET (TO_RECORD_BYTES - 4u)

static void put_u32(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value & 0xFFu);
    at[1] = (uint8_t)((value >> 8) & 0xFFu);
    at[2] = (uint8_t)((value >> 16) & 0xFFu);
    at[3] = (uint8_t)(value >> 24);
}

static uint32_t get_u32(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* CRC-32 of IEEE 802.3, four bits a step. */
static uint32_t crc32(const uint8_t *data, uint32_t size) {
    static const uint32_t table[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
                                       0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                       0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    uint32_t crc = UINT32_C(0xFFFFFFFF);
    for (uint32_t i = 0; i < size; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ table[crc & 15u];
        crc = crc >> 4 ^ table[crc & 15u];
    }
    return ~crc;
}

static void encode(uint8_t *out, const to_record *record) {
    put_u32(out, MAGIC);
    put_u32(out + 4, record->generation);
    out[8] = record->state;
    out[9] = record->bank;
    out[10] = record->tries;
    out[11] = record->reason;
    out[12] = record->confirmed;
    out[13] = record->flags;
    out[14] = out[15] = 0;
    for (uint32_t i = 0; i < TO_SEQUENCES; i++) {
        put_u32(out + 16 + 4 * i, record->sequences[i]);
    }
    put_u32(out + 32, record->attempt);
    put_u32(out + 36, record->revoked);
    put_u32(out + 40, record->offset);
    for (uint32_t i = 0; i < TO_BANKS; i++) {
        uint8_t *image = out + 44 + 40 * i;
        put_u32(image, record->images[i].bytes);
        put_u32(image + 4, record->images[i].sequence);
        memcpy(image + 8, record->images[i].digest, TO_DIGEST_BYTES);
    }
    memcpy(out + 124, record->manifest, TO_DIGEST_BYTES);
    put_u32(out + CRC_OFFSET, crc32(out, CRC_OFFSET));
}

/* Whether `in` is a record, which no cut and no foreign content makes it by itself. */
static int decode(to_record *record, const uint8_t *in) {
    if (get_u32(in) != MAGIC || get_u32(in + CRC_OFFSET) != crc32(in, CRC_OFFSET) ||
        in[8] > TO_STATE_REVERTED || in[9] >= TO_BANKS || (in[12] >= TO_BANKS && in[12] != TO_BANK_FACTORY) ||
        in[14] != 0 || in[15] != 0) {
        return 0;
    }
    record->generation = get_u32(in + 4);
    record->state = in[8];
    record->bank = in[9];
    record->tries = in[10];
    record->reason = in[11];
    record->confirmed = in[12];
    record->flags = in[13];
    for (uint32_t i = 0; i < TO_SEQUENCES; i++) {
        record->sequences[i] = get_u32(in + 16 + 4 * i);
    }
    record->attempt = get_u32(in + 32);
    record->revoked = get_u32(in + 36);
    record->offset = get_u32(in + 40);
    for (uint32_t i = 0; i < TO_BANKS; i++) {
        const uint8_t *image = in + 44 + 40 * i;
        record->images[i].bytes = get_u32(image);
        record->images[i].sequence = get_u32(image + 4);
        memcpy(record->images[i].digest, image + 8, TO_DIGEST_BYTES);
    }
    memcpy(record->manifest, in + 124, TO_DIGEST_BYTES);
    return 1;
}

uint32_t to_journal_slot_bytes(const to_flash *flash) {
    return to_flash_padded(flash, TO_RECORD_BYTES) + flash->write_bytes;
}

uint32_t to_journal_page_bytes(const to_flash *flash) {
    uint32_t unit = flash->erase_bytes;
    return (4 * to_journal_slot_bytes(flash) + unit - 1) / unit * unit;
}

static int layout_is_usable(const to_flash *flash, uint32_t page_bytes) {
    return to_flash_valid(flash) && page_bytes <= flash->bytes / 2u && page_bytes % flash->erase_bytes == 0 &&
           page_bytes >= to_journal_slot_bytes(flash);
}

/* The seal of a slot is one write unit: whatever is not erased there was written after the record. */
static int is_sealed(const to_flash *flash, const uint8_t *slot) {
    const uint8_t *seal = slot + to_flash_padded(flash, TO_RECORD_BYTES);
    for (uint32_t i = 0; i < flash->write_bytes; i++) {
        if (seal[i] != flash->erased) {
            return 1;
        }
    }
    return 0;
}

int to_journal_scan(to_journal *journal, const to_flash *flash, uint32_t page_bytes) {
    uint32_t found[2] = {0, 0}; /* records in each page */
    uint32_t order = 0;         /* of the newest one in its page, from 1 */
    int sealed = 1;
    memset(journal, 0, sizeof *journal);
    journal->newest.confirmed = TO_BANK_FACTORY;
    if (!layout_is_usable(flash, page_bytes)) {
        return -1;
    }
    journal->flash = flash;
    journal->page_bytes = page_bytes;
    journal->next = page_bytes;
    journal->kept = 1;
    journal->step = 2;
    uint32_t slot_bytes = to_journal_slot_bytes(flash);
    for (uint8_t page = 0; page < 2; page++) {
        for (uint32_t at = 0; at + slot_bytes <= page_bytes; at += slot_bytes) {
            const uint8_t *slot = flash->memory + page * page_bytes + at;
            to_record record;
            if (!decode(&record, slot)) {
                continue;
            }
            found[page]++;
            uint32_t ahead = record.generation - journal->newest.generation;
            if (order == 0 || (ahead != 0 && ahead <= UINT32_C(0x7FFFFFFF))) {
                journal->newest = record;
                journal->kept = page;
                order = found[page];
                sealed = is_sealed(flash, slot);
            }
        }
    }
    if (!sealed && order == 1 && found[journal->kept ^ 1u] != 0) {
        journal->kept ^= 1u;
    }
    return sealed;
}

to_journal_result to_journal_open(to_journal *journal, const to_flash *flash, uint32_t page_bytes) {
    int sealed = to_journal_scan(journal, flash, page_bytes);
    if (sealed < 0) {
        return TO_JOURNAL_LAYOUT;
    }
    return sealed ? TO_JOURNAL_OK : to_journal_append(journal, &journal->newest);
}

static int lowers(const to_record *old, const to_record *record) {
    for (uint32_t i = 0; i < TO_SEQUENCES; i++) {
        if (record->sequences[i] < old->sequences[i]) {
            return 1;
        }
    }
    return (old->revoked & ~record->revoked) != 0;
}

/* Sets page and next to an erased slot. */
static to_journal_result find_slot(const to_journal *journal, uint32_t *page, uint32_t *next) {
    const to_flash *flash = journal->flash;
    *page = journal->kept;
    *next = journal->next;
    if (*next + to_journal_slot_bytes(flash) <= journal->page_bytes) {
        return TO_JOURNAL_OK;
    }
    *page ^= 1u;
    *next = 0;
    for (uint32_t at = 0; at < journal->page_bytes; at += flash->erase_bytes) {
        if (flash->erase(flash->context, *page * journal->page_bytes + at) != 0) {
            return TO_JOURNAL_FLASH;
        }
    }
    return TO_JOURNAL_OK;
}

to_journal_result to_journal_append(to_journal *journal, const to_record *record) {
    const to_flash *flash = journal->flash;
    uint8_t slot[(TO_RECORD_BYTES + TO_FLASH_WRITE_MAX - 1u) / TO_FLASH_WRITE_MAX * TO_FLASH_WRITE_MAX];
    uint32_t size = to_flash_padded(flash, TO_RECORD_BYTES);
    uint32_t page, next;
    to_record newest = *record;
    if (lowers(&journal->newest, record)) {
        return TO_JOURNAL_LOWERED;
    }
    to_journal_result result = find_slot(journal, &page, &next);
    journal->next = journal->page_bytes; /* until all has been written */
    if (result != TO_JOURNAL_OK) {
        return result;
    }
    newest.generation = journal->newest.generation + journal->step;
    memset(slot, flash->erased, sizeof slot);
    encode(slot, &newest);
    uint32_t at = page * journal->page_bytes + next;
    if (flash->write(flash->context, at, slot, size) != 0) {
        journal->step = 2;
        return TO_JOURNAL_FLASH;
    }
    memset(slot, flash->erased ^ 0xFF, flash->write_bytes);
    if (flash->write(flash->context, at + size, slot, flash->write_bytes) != 0) {
        journal->step = 2;
        return TO_JOURNAL_FLASH;
    }
    journal->newest = newest;
    journal->kept = (uint8_t)page;
    journal->next = next + to_journal_slot_bytes(flash);
    journal->step = 1;
    return TO_JOURNAL_OK;
}
