/* The region on a memory technology device, with a mirror in RAM, since the device is not mapped.
 *
 * What was erased or written is read back: the mirror has what the device has. */
#include <string.h>

#include "flash.h"
#include "mtd.h"
#include "tinyops_update.h"

#define ERASED 0xFFu

static mtd_dev_t *device;
static uint32_t mirror_words[TO_FLASH_REGION_BYTES / 4u] __attribute__((aligned(16))); /* as capsules are */
static uint8_t *const mirror = (uint8_t *)mirror_words;

static int read_back(uint32_t offset, uint32_t size) {
    return mtd_read(device, mirror + offset, CONFIG_TINYOPS_UPDATE_MTD_OFFSET + offset, size) < 0;
}

static int erase_unit(void *context, uint32_t offset) {
    (void)context;
    return !flash_is_inside(offset, TO_FLASH_ERASE_BYTES, TO_FLASH_ERASE_BYTES) ||
           mtd_erase(device, CONFIG_TINYOPS_UPDATE_MTD_OFFSET + offset, TO_FLASH_ERASE_BYTES) < 0 ||
           read_back(offset, TO_FLASH_ERASE_BYTES) ||
           !flash_is_erased(mirror + offset, TO_FLASH_ERASE_BYTES, ERASED);
}

static int write_units(void *context, uint32_t offset, const uint8_t *data, uint32_t size) {
    (void)context;
    return !flash_is_inside(offset, size, TO_FLASH_WRITE_BYTES) ||
           mtd_write(device, data, CONFIG_TINYOPS_UPDATE_MTD_OFFSET + offset, size) < 0 ||
           read_back(offset, size) || memcmp(mirror + offset, data, size) != 0;
}

static const char *refusal(void) {
    if (device == NULL || mtd_init(device) < 0) {
        return "the memory device does not answer";
    }
    uint64_t sector = (uint64_t)device->pages_per_sector * device->page_size;
    if (sector == 0 || device->write_size == 0 || TO_FLASH_ERASE_BYTES % sector != 0 ||
        CONFIG_TINYOPS_UPDATE_MTD_OFFSET % sector != 0) {
        return "erase units are not whole sectors of the memory device";
    }
    if (TO_FLASH_WRITE_BYTES % device->write_size != 0) {
        return "the memory device writes larger units";
    }
    if (sector * device->sector_count < (uint64_t)CONFIG_TINYOPS_UPDATE_MTD_OFFSET + TO_FLASH_REGION_BYTES) {
        return "the memory device is too small";
    }
    return read_back(0, TO_FLASH_REGION_BYTES) ? "the memory device cannot be read" : NULL;
}

const to_flash *tinyops_update_flash(void) {
    static to_flash flash = {
        .memory = (const uint8_t *)mirror_words,
        .bytes = TO_FLASH_REGION_BYTES,
        .erase_bytes = TO_FLASH_ERASE_BYTES,
        .write_bytes = TO_FLASH_WRITE_BYTES,
        .erased = ERASED,
        .erase = erase_unit,
        .write = write_units,
    };
    device = CONFIG_TINYOPS_UPDATE_MTD < MTD_NUMOF ? mtd_dev_get(CONFIG_TINYOPS_UPDATE_MTD) : NULL;
    const char *why = refusal();
    if (why != NULL) {
        flash_say(why);
        return NULL;
    }
    return &flash;
}
