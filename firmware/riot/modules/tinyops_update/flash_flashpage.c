/* The region in the processor's own flash, which is read in place.
 *
 * It is the end of the ROM that the linker would use, which the module's makefile keeps free; where the
 * linker does not tell, it is the last pages. An erase unit is one page or several. */
#include <string.h>

#include "cpu.h"
#include "flash.h"
#include "periph/flashpage.h"
#include "tinyops_update.h"

#define CHUNK 64u /* bytes for one call of the driver, which wants them aligned */

#ifdef FLASHPAGE_SIZE
typedef char erase_units_are_whole_pages[TO_FLASH_ERASE_BYTES % FLASHPAGE_SIZE == 0 ? 1 : -1];
#endif
typedef char write_units_are_whole_blocks[TO_FLASH_WRITE_BYTES % FLASHPAGE_WRITE_BLOCK_SIZE == 0 &&
                                                  TO_FLASH_WRITE_BYTES % FLASHPAGE_WRITE_BLOCK_ALIGNMENT == 0
                                              ? 1
                                              : -1];
typedef char chunks_are_whole_units[CHUNK % TO_FLASH_WRITE_BYTES == 0 ? 1 : -1];

#ifdef TINYOPS_UPDATE_LINKED_REGION
extern uint8_t _tinyops_update_region[]; /* not const: it changes */
static uint8_t *find_region(void) { return _tinyops_update_region; }
#else
static uint8_t *find_region(void) {
    unsigned last = FLASHPAGE_NUMOF - 1u;
    return (uint8_t *)flashpage_addr(last) + flashpage_size(last) - TO_FLASH_REGION_BYTES;
}
#endif

static uint8_t *region;

static int erase_unit(void *context, uint32_t offset) {
    (void)context;
    if (!flash_is_inside(offset, TO_FLASH_ERASE_BYTES, TO_FLASH_ERASE_BYTES)) {
        return 1;
    }
    uint32_t done = 0;
    while (done < TO_FLASH_ERASE_BYTES) {
        unsigned page = flashpage_page(region + offset + done);
        flashpage_erase(page);
        done += (uint32_t)flashpage_size(page);
    }
    return !flash_is_erased(region + offset, TO_FLASH_ERASE_BYTES, FLASHPAGE_ERASE_STATE);
}

static int write_units(void *context, uint32_t offset, const uint8_t *data, uint32_t size) {
    (void)context;
    uint64_t words[CHUNK / 8u]; /* aligned as any block is */
    if (!flash_is_inside(offset, size, TO_FLASH_WRITE_BYTES)) {
        return 1;
    }
    while (size > 0) {
        uint32_t room = TO_FLASH_ERASE_BYTES - offset % TO_FLASH_ERASE_BYTES; /* no call crosses a page */
        uint32_t part = size < CHUNK ? size : CHUNK;
        part = part < room ? part : room;
        memcpy(words, data, part);
        flashpage_write(region + offset, words, part);
        if (memcmp(region + offset, data, part) != 0) {
            return 1;
        }
        offset += part;
        data += part;
        size -= part;
    }
    return 0;
}

/* Whether each erase unit begins with a page and ends with one. */
static int is_of_whole_pages(void) {
    for (uint32_t offset = 0; offset < TO_FLASH_REGION_BYTES; offset += TO_FLASH_ERASE_BYTES) {
        uint32_t done = 0;
        while (done < TO_FLASH_ERASE_BYTES) {
            unsigned page = flashpage_page(region + offset + done);
            if (page >= FLASHPAGE_NUMOF || (uint8_t *)flashpage_addr(page) != region + offset + done) {
                return 0;
            }
            done += (uint32_t)flashpage_size(page);
        }
        if (done > TO_FLASH_ERASE_BYTES) {
            return 0;
        }
    }
    return 1;
}

const to_flash *tinyops_update_flash(void) {
    static to_flash flash = {
        .bytes = TO_FLASH_REGION_BYTES,
        .erase_bytes = TO_FLASH_ERASE_BYTES,
        .write_bytes = TO_FLASH_WRITE_BYTES,
        .erased = FLASHPAGE_ERASE_STATE,
        .erase = erase_unit,
        .write = write_units,
    };
    region = find_region();
    flash.memory = region;
    if (!is_of_whole_pages()) {
        flash_say("its erase units are not whole pages");
        return NULL;
    }
    return &flash;
}
