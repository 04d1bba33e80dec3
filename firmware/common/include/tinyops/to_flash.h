/* A region of flash memory for updates, as a target's driver provides it.
 *
 * The rules of flash, which every user of this interface keeps and a test driver may check: an erase sets one
 * whole erase unit to the erased value; a write covers whole write units that have not been written since
 * their last erase (many parts have error-correcting codes per write unit, so that a unit cannot be written
 * twice, not even with the same value or with the erased one).
 *
 * A power cut in a write may leave any content in the write unit concerned, in an erase any content in the
 * erase unit: also content that seems erased, seems old or seems complete. */
#ifndef TINYOPS_TO_FLASH_H
#define TINYOPS_TO_FLASH_H

#include <stdint.h>

#define TO_FLASH_WRITE_MAX 32u /* the largest write unit that is supported, in bytes */

typedef struct to_flash {
    const uint8_t *memory; /* the region, readable in place; shows every completed erase and write at once */
    uint32_t bytes;        /* of the region: a multiple of erase_bytes */
    uint32_t erase_bytes;  /* of one erase unit: a multiple of write_bytes */
    uint16_t write_bytes;  /* of one write unit: 1, 2, 4, 8, 16 or 32 */
    uint8_t erased;        /* every byte of an erased unit: 0xff, or 0x00 on some parts */

    /* Erases the unit that starts at `offset`, a multiple of erase_bytes. Returns 0, or another value when
     * the flash failed. */
    int (*erase)(void *context, uint32_t offset);

    /* Writes `size` bytes at `offset`, both multiples of write_bytes, unit by unit in ascending order, at
     * places that are erased. `data` is in RAM or flash, aligned to no more than a byte. Returns 0, or
     * another value when the flash failed. */
    int (*write)(void *context, uint32_t offset, const uint8_t *data, uint32_t size);

    void *context; /* of the driver: the first argument of both */
} to_flash;

/* Whether sizes and erased value are ones that this interface allows. */
static inline int to_flash_valid(const to_flash *flash) {
    uint32_t unit = flash->write_bytes;
    return unit != 0 && unit <= TO_FLASH_WRITE_MAX && (unit & (unit - 1u)) == 0 && flash->erase_bytes != 0 &&
           flash->erase_bytes % unit == 0 && flash->bytes % flash->erase_bytes == 0 &&
           (flash->erased == 0x00u || flash->erased == 0xFFu);
}

/* `size` rounded up to whole write units; it must not be within TO_FLASH_WRITE_MAX of the type's end. */
static inline uint32_t to_flash_padded(const to_flash *flash, uint32_t size) {
    uint32_t unit = flash->write_bytes;
    return (size + unit - 1u) / unit * unit;
}

#endif
