/* A device that lives through updates and power cuts, and what must hold whatever happens. */
#ifndef TINYOPS_POWERCUT_DEVICE_H
#define TINYOPS_POWERCUT_DEVICE_H

#include <stdint.h>

#include "flash_file.h"
#include "tinyops/to_banks.h"

/* What the image of the update under test does. */
typedef enum {
    IMAGE_GOOD,
    IMAGE_BAD,       /* its self-test fails */
    IMAGE_HANGS,     /* its self-test ends in a reset */
    IMAGE_CRASHES,   /* a reset in its health window */
    IMAGE_CORRUPTED, /* the first download brings wrong bytes */
    IMAGE_CANCELLED, /* the first download is cancelled in the middle */
    IMAGE_KINDS
} image_kind;

enum { FACTORY, OLD, NEW, NEXT, VERSIONS }; /* the sequence number of a version is its number */

typedef enum {
    REVOKE_NEVER,
    REVOKE_AT_BOOT,
    REVOKE_IN_DOWNLOAD,
    REVOKE_IN_TRIAL,
    REVOKE_AT_END,
    REVOKE_TIMES
} revoke_time;

typedef struct {
    uint32_t erase_bytes;
    uint32_t page_bytes;
    uint32_t bank_bytes;
    uint32_t image_bytes[VERSIONS];
    uint32_t chunk_bytes; /* of the download */
    uint32_t fill;        /* records before the update, in the same session */
    uint16_t write_bytes;
    uint8_t erased;
    uint8_t start; /* FACTORY or OLD: what runs before the update */
    image_kind kind;
    revoke_time revoke;
} plan;

/* The outside world of one device: it survives resets. */
typedef struct {
    const plan *plan;
    const uint8_t *images[VERSIONS];
    uint8_t digests[VERSIONS][TO_DIGEST_BYTES];
    flash_file *flash;
    uint32_t sequences[TO_SEQUENCES]; /* the highest that any session has seen */
    uint32_t revoked;                 /* all that any session has seen */
    uint32_t tests[VERSIONS];         /* begun self-tests */
    uint8_t running;                  /* the newest version that any session has seen running */
    uint8_t spoiled;                  /* a download was refused or cancelled already */
    const char *failure;              /* the first broken invariant, or NULL */
} world;

/* The reasons of the image kinds, as codes of to_reason.h. */
enum { REASON_DIGEST = 22, REASON_TEST = 34, REASON_HANG = 35, REASON_HEALTH = 36, REASON_CANCELLED = 38 };

/* Resets the device again and again, with the update to `target` offered, until it is at rest or its power is
 * cut (flash->off). With `fill` the first session appends that many records before the update. */
void world_run(world *w, uint8_t target, uint32_t fill);

/* Checks the state at rest when `target` was offered last and `kind` is what its image does. */
void world_check_rest(world *w, uint8_t target, image_kind kind);

#endif
