/* Two banks for the model beside the one in the firmware, and the protocol by which a new one comes to run.
 *
 * The region is [journal page][journal page][bank 0][bank 1], each a multiple of the erase unit. An update is
 *
 *   to_banks_begin      DOWNLOAD: the bank that does not run is erased; or a cut download is resumed
 *   to_banks_write ...
 *   to_banks_finish     all bytes are in flash and have the digest
 *   to_banks_pending    PENDING: sequence numbers and the image are committed in one record
 *   to_banks_try        TRY n, durable before anything of the new image is used, so that a hang is a used try
 *   to_banks_tested     optional, when a health window follows the self-test: still TRY n
 *   to_banks_confirm    CONFIRMED; or to_banks_revert: REVERTED
 *
 * and at every cut of it to_banks_running names a bank whose image is whole and was confirmed, or the factory
 * model. Nothing here is bound to a format of images or manifests; reasons are passed through. */
#ifndef TINYOPS_TO_BANKS_H
#define TINYOPS_TO_BANKS_H

#include <stdint.h>

#include "tinyops/to_flash.h"
#include "tinyops/to_journal.h"

#define TO_BANKS_TRIES 3u

typedef enum {
    TO_BANKS_OK,
    TO_BANKS_FLASH,      /* the flash failed */
    TO_BANKS_LAYOUT,     /* region too small, or sizes that do not fit */
    TO_BANKS_BUSY,       /* an image is pending or on trial: confirm or revert it first */
    TO_BANKS_STATE,      /* not allowed in the present state */
    TO_BANKS_SIZE,       /* the image is empty or larger than a bank; data beyond its size; data missing */
    TO_BANKS_OFFSET,     /* not the next byte; banks->offset is */
    TO_BANKS_DIGEST,     /* what is in flash has not the image's digest */
    TO_BANKS_TRIES_USED, /* all tries of the image are used up: revert it */
    TO_BANKS_LOWERED     /* a sequence number would become lower */
} to_banks_result;

typedef struct {
    to_journal journal;
    uint32_t bank_bytes;
    /* The download of this session. */
    uint32_t size;                      /* of the image; 0: no download is open */
    uint32_t offset;                    /* the next byte that is expected */
    uint8_t complete;                   /* to_banks_finish has found the digest in `image` */
    uint8_t trial;                      /* to_banks_try has begun a try in this session */
    uint8_t buffer[TO_FLASH_WRITE_MAX]; /* the bytes of a write unit that is not complete */
    to_image image;
} to_banks;

/* Reads the journal; once after a reset, before everything else. `journal_bytes` is the size of one of its
 * two pages; the banks share the rest of the region in equal parts of whole erase units. */
to_banks_result to_banks_open(to_banks *banks, const to_flash *flash, uint32_t journal_bytes);

/* The state, valid until the next call that changes it. */
static inline const to_record *to_banks_record(const to_banks *banks) { return &banks->journal.newest; }

/* Where bank 0 or 1 starts, in the address space. */
const uint8_t *to_banks_memory(const to_banks *banks, uint8_t bank);

/* The bank to run: the confirmed one when its digest is right, else the other one when it was confirmed
 * before and its digest is right, else TO_BANK_FACTORY. Never an image that waits for its trial. Reads whole
 * images: to be called after a reset and after a change, not for each inference. */
uint8_t to_banks_running(const to_banks *banks);

/* Begins the download of an image of `size` bytes that the manifest of digest `manifest` brings, with
 * sequence number `sequence`, into a bank that does not run. When a cut interrupted the download of the same
 * manifest, what is surely complete in flash stays: banks->offset, 0 or more, says from where to go on. The
 * rest of the bank is erased as far as the image needs it, which takes as long as the flash takes. BUSY,
 * SIZE, FLASH. */
to_banks_result to_banks_begin(to_banks *banks, const uint8_t manifest[TO_DIGEST_BYTES], uint32_t sequence,
                               uint32_t size);

/* Takes the next `size` bytes of the image, `offset` of which must be banks->offset. OFFSET, SIZE, STATE, and
 * FLASH, after which only to_banks_cancel and to_banks_begin are of use. */
to_banks_result to_banks_write(to_banks *banks, uint32_t offset, const uint8_t *data, uint32_t size);

/* Writes what is left over and compares the digest of what is in flash. SIZE when bytes are missing, DIGEST,
 * FLASH, STATE. */
to_banks_result to_banks_finish(to_banks *banks, const uint8_t digest[TO_DIGEST_BYTES]);

/* The bank of the image that is downloaded, pending or on trial, or was the last one. */
static inline uint8_t to_banks_candidate(const to_banks *banks) { return banks->journal.newest.bank; }

/* Commits the finished image and the sequence numbers, none of which may be lower than before. STATE when no
 * download is finished. */
to_banks_result to_banks_pending(to_banks *banks, const uint32_t sequences[TO_SEQUENCES]);

/* Begins a try of the pending image. DIGEST: the image is damaged; TRIES_USED: it was tried TO_BANKS_TRIES
 * times without being confirmed. In both cases nothing is tried, and to_banks_revert is to be called. */
to_banks_result to_banks_try(to_banks *banks);

/* Notes that the image on trial has passed its self-test: a later reset counts against its health instead. */
to_banks_result to_banks_tested(to_banks *banks);

/* Makes the image on trial the confirmed one. STATE when this session has begun no try. */
to_banks_result to_banks_confirm(to_banks *banks);

/* Gives up the pending image or the one on trial; `reason` is kept, and so are the sequence numbers. */
to_banks_result to_banks_revert(to_banks *banks, uint8_t reason);

/* Ends a download, also one of an earlier session: `reason` is kept, the sequence numbers stay as they were
 * before it, and the bank is erased. OK and nothing changes when there is none; BUSY while one is pending. */
to_banks_result to_banks_cancel(to_banks *banks, uint8_t reason);

/* Commits sequence numbers and revokes the keys of `keys` for ever, in one record; state and trial stay. */
to_banks_result to_banks_revoke(to_banks *banks, uint32_t keys, const uint32_t sequences[TO_SEQUENCES]);

#endif
