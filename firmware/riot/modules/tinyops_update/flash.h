/* What the memories of the region share. */
#ifndef FLASH_H
#define FLASH_H

#include "tinyops/to_flash.h"

#if !defined(TO_FLASH_REGION_BYTES) || !defined(TO_FLASH_ERASE_BYTES) || !defined(TO_FLASH_WRITE_BYTES)
#error "the region's sizes are missing: they are make variables of this module's Makefile.include"
#endif
#if TO_FLASH_REGION_BYTES % (2 * TO_FLASH_ERASE_BYTES) != 0 ||                                               \
    TO_FLASH_REGION_BYTES < 4 * TO_FLASH_ERASE_BYTES
#error "TINYOPS_UPDATE_REGION_BYTES must be two journal pages and two banks, each of whole erase units"
#endif
#if TO_FLASH_ERASE_BYTES % TO_FLASH_WRITE_BYTES != 0 || TO_FLASH_WRITE_BYTES > 32
#error "TINYOPS_UPDATE_WRITE_BYTES must be at most 32, and a part of TINYOPS_UPDATE_ERASE_BYTES"
#endif

/* Whether [offset, offset + size) are whole units of the region. */
static inline int flash_is_inside(uint32_t offset, uint32_t size, uint32_t unit) {
    return offset % unit == 0 && size % unit == 0 && offset <= TO_FLASH_REGION_BYTES &&
           size <= TO_FLASH_REGION_BYTES - offset;
}

static inline int flash_is_erased(const uint8_t *bytes, uint32_t size, uint8_t erased) {
    while (size > 0 && *bytes == erased) {
        bytes++;
        size--;
    }
    return size == 0;
}

/* Says on the console why the region cannot be used. */
void flash_say(const char *why);

#endif
