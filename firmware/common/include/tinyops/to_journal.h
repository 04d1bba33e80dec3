/* The update journal: what the device must remember through resets, in two pages of flash.
 *
 * A page is a list of slots, each one record (little-endian, with CRC-32) and a seal, padded to whole write
 * units. Records are only ever appended; the newest is the state. Page and slot follow from three rules,
 * which keep every cut and torn operation harmless:
 *
 *   - A page is erased only while the other one holds the newest record that is surely complete.
 *   - After a reset, and after a failed write, nothing is appended to a page that is in use: the other one
 *     is erased first. A slot that seems erased may hold a torn write.
 *   - The seal is written when the record is complete. A record that is the newest after a reset but not
 *     sealed may be torn, and read differently later: to_journal_open writes it again, before anything acts
 *     on it. If it is the first one of its page, then that page is erased, not the one of its predecessor.
 *
 * Generations count up, by two for the first record after a reset, so that a torn record that becomes
 * readable later is never the newest; they are compared by serial number arithmetic (RFC 1982) and may wrap.
 * CRC-32 finds every torn write of a write unit of up to four bytes; of a larger one all but one in 2^32. */
#ifndef TINYOPS_TO_JOURNAL_H
#define TINYOPS_TO_JOURNAL_H

#include <stdint.h>

#include "tinyops/to_flash.h"

#define TO_SEQUENCES 4u     /* manifest component ids whose sequence numbers are kept; index 0: the model */
#define TO_DIGEST_BYTES 32u /* SHA-256 */
#define TO_BANKS 2u
#define TO_BANK_FACTORY 0xFFu /* the model that is part of the firmware */

/* Bytes of an encoded record without padding and seal. */
#define TO_RECORD_BYTES 160u

typedef enum {
    TO_STATE_EMPTY,     /* nothing has ever been installed */
    TO_STATE_DOWNLOAD,  /* `bank` receives the image of the manifest `manifest` */
    TO_STATE_PENDING,   /* `bank` holds a complete image, to be tried */
    TO_STATE_TRY,       /* try number `tries` of that image has begun */
    TO_STATE_CONFIRMED, /* the last attempt succeeded: `bank` is `confirmed` */
    TO_STATE_REVERTED   /* the last attempt failed with `reason`: `confirmed` is as it was before */
} to_state;

/* `flags` of a record */
#define TO_RECORD_TESTED 1u  /* state TRY: the self-test of the image has passed at least once */
#define TO_RECORD_ERASING 2u /* state DOWNLOAD: the bank is being erased from `offset` on */

/* An image that was, or in the states PENDING and TRY may become, the running model. */
typedef struct {
    uint32_t bytes;    /* 0: the bank holds nothing to be trusted */
    uint32_t sequence; /* of the manifest that brought it */
    uint8_t digest[TO_DIGEST_BYTES];
} to_image;

typedef struct {
    uint32_t generation;
    uint8_t state;     /* to_state */
    uint8_t bank;      /* of the last attempt: 0 or 1 */
    uint8_t tries;     /* of the last attempt, so far */
    uint8_t reason;    /* why the last attempt failed: a code of to_reason.h; 0: it did not */
    uint8_t confirmed; /* the bank to run: 0, 1 or TO_BANK_FACTORY */
    uint8_t flags;
    uint32_t sequences[TO_SEQUENCES]; /* the highest that was accepted; a manifest must have a higher one */
    uint32_t attempt;                 /* sequence of the last attempt */
    uint32_t revoked;                 /* bit i: the compiled-in key of index i is not to be trusted */
    uint32_t offset;                  /* state DOWNLOAD: what is in the bank before it is complete */
    to_image images[TO_BANKS];
    uint8_t manifest[TO_DIGEST_BYTES]; /* digest of the last attempt's manifest */
} to_record;

typedef struct {
    const to_flash *flash;
    uint32_t page_bytes;
    uint32_t
        next;     /* offset in the page of the next slot; page_bytes: the other page has to be erased first */
    uint8_t kept; /* the page that must not be erased: it holds the newest record that is surely complete */
    uint8_t step; /* to the generation of the next record */
    to_record newest; /* all zero, but `confirmed` TO_BANK_FACTORY, while there is none */
} to_journal;

typedef enum {
    TO_JOURNAL_OK,
    TO_JOURNAL_FLASH,  /* the driver reported a failure; nothing has changed but perhaps wear */
    TO_JOURNAL_LAYOUT, /* flash or page size are not usable */
    TO_JOURNAL_LOWERED /* the record would lower a sequence number or trust a revoked key again */
} to_journal_result;

/* Bytes of one slot: the least that a page may have. */
uint32_t to_journal_slot_bytes(const to_flash *flash);

/* Bytes of a page with room for a few records, in whole erase units; the flash has valid sizes. */
uint32_t to_journal_page_bytes(const to_flash *flash);

/* Finds the newest record in the pages at offsets 0 and `page_bytes` (a multiple of the erase unit); writes
 * nothing. Returns 1 when it is sealed or there is none, 0 when it has to be written again, -1 when the
 * layout is not usable. */
int to_journal_scan(to_journal *journal, const to_flash *flash, uint32_t page_bytes);

/* Scans and, when a cut left the newest record without its seal, writes it again. To be called once after a
 * reset, before anything acts on the newest record. */
to_journal_result to_journal_open(to_journal *journal, const to_flash *flash, uint32_t page_bytes);

/* Appends `record`, whose generation is ignored, and makes it `journal->newest`. When the write fails, newest
 * stays as it was. `record` may be &journal->newest. */
to_journal_result to_journal_append(to_journal *journal, const to_record *record);

#endif
