/* The flash region of updates, in memory of the emulated machine that is RAM: the end of the board's flash,
 * which keeps its content when the machine is reset. Erased bytes are 0, as the machine's RAM is at the
 * start. */
#include "board.h"

#include <string.h>

#include "tinyops/to_update.h"

#define ERASED 0x00u

static int is_outside(uint32_t offset, uint32_t size, uint32_t unit) {
    return offset % unit != 0 || size % unit != 0 || offset > TO_FLASH_REGION_BYTES ||
           size > TO_FLASH_REGION_BYTES - offset;
}

static int erase(void *context, uint32_t offset) {
    (void)context;
    if (is_outside(offset, TO_FLASH_ERASE_BYTES, TO_FLASH_ERASE_BYTES)) {
        return 1;
    }
    memset(to_region_start + offset, ERASED, TO_FLASH_ERASE_BYTES);
    return 0;
}

static int write(void *context, uint32_t offset, const uint8_t *data, uint32_t size) {
    (void)context;
    if (is_outside(offset, size, TO_FLASH_WRITE_BYTES)) {
        return 1;
    }
    for (uint32_t i = 0; i < size; i++) {
        if (to_region_start[offset + i] != ERASED) {
            return 1;
        }
    }
    memcpy(to_region_start + offset, data, size);
    return 0;
}

static const to_flash flash = {
    .memory = to_region_start,
    .bytes = TO_FLASH_REGION_BYTES,
    .erase_bytes = TO_FLASH_ERASE_BYTES,
    .write_bytes = TO_FLASH_WRITE_BYTES,
    .erased = ERASED,
    .erase = erase,
    .write = write,
};

void to_port_update(to_update_port *port) { port->flash = &flash; }
