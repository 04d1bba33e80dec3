/* A flash memory of the host, in a file or in memory alone, that checks the rules of flash and can lose its
 * power.
 *
 * A write to a place that is not aligned or not erased is refused and counted in `violations`, as is every
 * other breach of the rules. Which write units must not be written before their next erase is kept apart from
 * the content, since erased values that are written count as well, and torn operations too.
 *
 * Operations are counted: an erase of one unit, a write of one write unit. The power can be cut before, in
 * (torn) or after any of them; from then on every operation fails until flash_file_power_on. What the device
 * did with its RAM since the cut has to be thrown away, as a reset does. Units in which an operation was torn
 * may read differently after each flash_file_power_on, until they are erased. */
#ifndef TINYOPS_FLASH_FILE_H
#define TINYOPS_FLASH_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "tinyops/to_flash.h"

typedef enum { FLASH_CUT_NEVER, FLASH_CUT_BEFORE, FLASH_CUT_TORN, FLASH_CUT_AFTER } flash_cut;

/* How a torn operation may leave its unit. */
typedef enum {
    FLASH_TORN_ANY,      /* any bits */
    FLASH_TORN_SOME,     /* some of the bits that should change did */
    FLASH_TORN_NONE,     /* as before */
    FLASH_TORN_ALL,      /* as if complete */
    FLASH_TORN_BEGUN,    /* only a first part is done */
    FLASH_TORN_END,      /* only a last part is done */
    FLASH_TORN_ONE_WRONG /* as if complete, but for one bit */
} flash_torn;

#define FLASH_TORN_KINDS 7u

typedef struct {
    to_flash flash; /* for the device */

    uint64_t operations; /* so far */
    uint32_t violations;
    const char *violation; /* the first one in words, or NULL */
    uint8_t off;           /* the power is cut */

    flash_cut cut;
    uint64_t cut_at; /* the operation, counted from 1 */
    flash_torn torn;
    uint64_t random; /* state of the generator of torn content */

    uint8_t *content;
    uint8_t *written;  /* for each write unit whether it must not be written */
    uint8_t *unstable; /* for each write unit whether it was torn */
    uint8_t *torn_to;  /* what a torn unit may read as besides its content */
    uint32_t unstable_units;
    int descriptor; /* of the file; -1: none */
    void *mapping;
    size_t mapped_bytes;
} flash_file;

/* Opens the flash in the file `path`, or creates it, erased, at once or not at all; NULL: in memory. Returns
 * 0, or -1 with the reason in `error` when the sizes are not valid, the file is of another flash or damaged,
 * or the system refuses. The file is locked against other processes as long as it is open. */
int flash_file_open(flash_file *file, const char *path, uint32_t bytes, uint32_t erase_bytes,
                    uint16_t write_bytes, uint8_t erased, char *error, size_t error_bytes);

void flash_file_close(flash_file *file);

/* Cuts the power at operation `at`, counted from now on from 1; `torn` and `seed` make the content of a torn
 * one. */
void flash_file_cut(flash_file *file, flash_cut cut, uint64_t at, flash_torn torn, uint64_t seed);

/* The power returns; no cut is set. */
void flash_file_power_on(flash_file *file);

/* Makes `to` a copy of `from`, a flash of the same sizes: content, marks, and that no cut is set. */
void flash_file_copy(flash_file *to, const flash_file *from);

/* xorshift64*, for what else needs to be repeatable. */
uint64_t flash_file_random(uint64_t *state);

#endif
