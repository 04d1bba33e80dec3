/* The memories of RIOT that hold a region of updates, in this process, and updates on them that are cut at
 * every operation. One of MEMORY_FLASHPAGE, MEMORY_MTD and MEMORY_VFS is defined.
 *
 * Flash pages and memory devices are of firmware/host/flash_file.c, which checks the rules of flash and tears
 * operations. A file system forgets at a cut any part of what was not synchronized. */
#include <stdlib.h>
#include <string.h>

#include "flash.h"
#include "flash_file.h"
#include "tinyops/to_banks.h"
#include "tinyops/to_sha256.h"
#include "tinyops_update.h"

#define IMAGE_BYTES (TO_FLASH_ERASE_BYTES + TO_FLASH_ERASE_BYTES / 2u + 3u)

static flash_file file;
static unsigned refusals; /* texts of the console */

void flash_say(const char *why) { refusals += *why != '\0'; }

#if defined(MEMORY_FLASHPAGE)

#include "periph/flashpage.h"

#ifdef TEST_CUSTOM_PAGES
#define SMALL 512u
static uint32_t start_of(unsigned page) {
    return page < 4 ? page * SMALL : page == 4 ? 4 * SMALL : (page - 4u) * 8u * SMALL;
}
#define MEMORY_BYTES (8u * 8u * SMALL)
#define MEMORY_ERASE SMALL
size_t flashpage_size(unsigned page) { return page < 4 ? SMALL : page == 4 ? 4 * SMALL : 8 * SMALL; }
#else
static uint32_t start_of(unsigned page) { return page * FLASHPAGE_SIZE; }
#define MEMORY_BYTES (FLASHPAGE_SIZE * FLASHPAGE_NUMOF)
#define MEMORY_ERASE FLASHPAGE_SIZE
size_t flashpage_size(unsigned page) {
    (void)page;
    return FLASHPAGE_SIZE;
}
#endif
#define MEMORY_WRITE FLASHPAGE_WRITE_BLOCK_SIZE

void *flashpage_addr(unsigned page) { return file.content + start_of(page); }

unsigned flashpage_page(const void *addr) {
    uint32_t offset = (uint32_t)((const uint8_t *)addr - file.content);
    unsigned page = 0;
    while (offset >= start_of(page) + flashpage_size(page)) {
        page++;
    }
    return page;
}

void flashpage_erase(unsigned page) {
    for (uint32_t done = 0; done < flashpage_size(page); done += MEMORY_ERASE) {
        (void)file.flash.erase(&file, start_of(page) + done);
    }
}

void flashpage_write(void *target, const void *data, size_t size) {
    uint32_t offset = (uint32_t)((uint8_t *)target - file.content);
    if (offset % FLASHPAGE_WRITE_BLOCK_ALIGNMENT != 0 ||
        (uintptr_t)data % FLASHPAGE_WRITE_BLOCK_ALIGNMENT != 0 || size % FLASHPAGE_WRITE_BLOCK_SIZE != 0) {
        abort();
    }
    (void)file.flash.write(&file, offset, data, (uint32_t)size);
}

#elif defined(MEMORY_MTD)

#include "mtd.h"

#define MEMORY_BYTES (TO_FLASH_REGION_BYTES + CONFIG_TINYOPS_UPDATE_MTD_OFFSET)
#define MEMORY_ERASE 256u
#define MEMORY_WRITE 4u

static mtd_dev_t devices[2];
static unsigned device_count = 2;
static unsigned silent; /* the device does not answer */
static unsigned worn;   /* it changes nothing any more, and does not say so */

unsigned mtd_numof(void) { return device_count; }
mtd_dev_t *mtd_dev_get(unsigned index) { return &devices[index]; }

int mtd_init(mtd_dev_t *device) {
    if (device->page_size == 0) {
        *device = (mtd_dev_t){MEMORY_BYTES / MEMORY_ERASE, 2, MEMORY_ERASE / 2, MEMORY_WRITE};
    }
    return silent ? -1 : 0;
}

int mtd_read(mtd_dev_t *device, void *to, uint32_t address, uint32_t count) {
    if (device != &devices[CONFIG_TINYOPS_UPDATE_MTD] || address + count > MEMORY_BYTES || file.off) {
        return -1;
    }
    memcpy(to, file.content + address, count);
    return 0;
}

int mtd_write(mtd_dev_t *device, const void *from, uint32_t address, uint32_t count) {
    if (worn) {
        return 0;
    }
    return device != &devices[CONFIG_TINYOPS_UPDATE_MTD] || file.flash.write(&file, address, from, count) != 0
               ? -1
               : 0;
}

int mtd_erase(mtd_dev_t *device, uint32_t address, uint32_t count) {
    for (uint32_t done = 0; done < count && !worn; done += MEMORY_ERASE) {
        if (device != &devices[CONFIG_TINYOPS_UPDATE_MTD] || file.flash.erase(&file, address + done) != 0) {
            return -1;
        }
    }
    return 0;
}

/* What the device claims to be: another sector, write unit or size than the region can have. */
void device_is(uint32_t sectors, uint32_t sector, uint32_t write, unsigned is_silent, unsigned count) {
    devices[CONFIG_TINYOPS_UPDATE_MTD] = (mtd_dev_t){sectors, 1, sector, write};
    silent = is_silent;
    device_count = count;
}

#else

#include "vfs.h"

#define MEMORY_BYTES TO_FLASH_REGION_BYTES
#define MEMORY_ERASE TO_FLASH_ERASE_BYTES
#define MEMORY_WRITE 4u
#define CHUNK 16u /* what a file system keeps or forgets as a whole */

static struct {
    char name[64];
    uint32_t size, durable_size, at;
    uint8_t content[MEMORY_BYTES];
    uint8_t durable[MEMORY_BYTES];
} disk[2];
static unsigned missing; /* nothing is mounted */

int vfs_open(const char *name, int flags, mode_t mode) {
    (void)flags;
    (void)mode;
    for (int i = 0; i < 2 && !missing; i++) {
        if (disk[i].name[0] == '\0') {
            strncpy(disk[i].name, name, sizeof disk[i].name - 1);
        }
        if (strcmp(disk[i].name, name) == 0) {
            disk[i].at = 0;
            return i;
        }
    }
    return -1;
}

/* Each counts as an operation of the flash, so that a cut comes in it. */
static int is_on(void) {
    file.operations++;
    if (file.cut != FLASH_CUT_NEVER && --file.cut_at == 0) {
        file.off = 1;
    }
    return !file.off;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

ssize_t vfs_read(int i, void *to, size_t count) {
    count = least(least(count, 100), disk[i].size - least(disk[i].at, disk[i].size)); /* seldom all at once */
    memcpy(to, disk[i].content + disk[i].at, count);
    disk[i].at += (uint32_t)count;
    return (ssize_t)count;
}

ssize_t vfs_write(int i, const void *from, size_t count) {
    count = least(count, 300);
    if (!is_on() || disk[i].at + count > MEMORY_BYTES) {
        return -1;
    }
    memcpy(disk[i].content + disk[i].at, from, count);
    disk[i].at += (uint32_t)count;
    disk[i].size = disk[i].at > disk[i].size ? disk[i].at : disk[i].size;
    return (ssize_t)count;
}

off_t vfs_lseek(int i, off_t offset, int whence) {
    disk[i].at = (uint32_t)offset;
    return whence == SEEK_SET && offset <= disk[i].size ? offset : -1;
}

int vfs_fsync(int i) {
    if (!is_on()) {
        return -1;
    }
    memcpy(disk[i].durable, disk[i].content, sizeof disk[i].durable);
    disk[i].durable_size = disk[i].size;
    return 0;
}

static void lose(void) {
    for (int i = 0; i < 2; i++) {
        for (uint32_t at = 0; at < disk[i].size; at += CHUNK) {
            if (flash_file_random(&file.random) % 2 != 0) {
                memcpy(disk[i].content + at, disk[i].durable + at, least(CHUNK, sizeof disk[i].durable - at));
            }
        }
        if (disk[i].durable_size < disk[i].size && flash_file_random(&file.random) % 2 != 0) {
            disk[i].size = disk[i].durable_size;
        }
        memcpy(disk[i].durable, disk[i].content, sizeof disk[i].durable);
        disk[i].durable_size = disk[i].size;
    }
}

void disk_is_missing(unsigned is_missing) { missing = is_missing; }

#endif

/* Plain calls */

void memory_new(void) {
    char error[100];
    if (file.content != NULL) {
        flash_file_close(&file);
    }
    if (flash_file_open(&file, NULL, MEMORY_BYTES, MEMORY_ERASE, MEMORY_WRITE, 0xFF, error, sizeof error) !=
        0) {
        abort();
    }
#ifdef MEMORY_VFS
    memset(disk, 0, sizeof disk);
#endif
#ifdef MEMORY_MTD
    worn = 0;
#endif
}

int memory_open(void) { return tinyops_update_flash() != NULL; }
unsigned memory_refusals(void) { return refusals; }
const uint8_t *memory_bytes(void) { return tinyops_update_flash()->memory; }
int memory_erase(uint32_t offset) {
    const to_flash *flash = tinyops_update_flash();
    return flash->erase(flash->context, offset);
}
int memory_write(uint32_t offset, const uint8_t *data, uint32_t size) {
    const to_flash *flash = tinyops_update_flash();
    return flash->write(flash->context, offset, data, size);
}
uint32_t memory_violations(void) { return file.violations; }

/* From now on nothing is done; only files say so. */
void memory_fail(void) {
#ifdef MEMORY_MTD
    worn = 1;
#else
    flash_file_cut(&file, FLASH_CUT_BEFORE, 1, FLASH_TORN_NONE, 1);
#endif
}

static void restore_power(void) {
#ifdef MEMORY_VFS
    lose();
#endif
    flash_file_power_on(&file);
}

/* Updates */

static uint8_t images[3][IMAGE_BYTES]; /* by their sequence number */
static uint8_t digests[3][32];

static int start(to_banks *banks) {
    const to_flash *flash = tinyops_update_flash();
    return flash != NULL && to_banks_open(banks, flash, to_journal_page_bytes(flash)) == TO_BANKS_OK;
}

/* Downloads, tries and confirms; 0 at the first step that fails. */
static int update(to_banks *banks, uint32_t sequence) {
    const uint32_t sequences[TO_SEQUENCES] = {sequence, 0, 0, 0};
    const uint8_t *image = images[sequence];
    const to_record *record = to_banks_record(banks);
    if (record->sequences[0] < sequence) {
        if (to_banks_begin(banks, digests[sequence], sequence, IMAGE_BYTES) != TO_BANKS_OK) {
            return 0;
        }
        while (banks->offset < IMAGE_BYTES) {
            uint32_t left = IMAGE_BYTES - banks->offset;
            uint32_t part = left < 100 ? left : 100;
            if (to_banks_write(banks, banks->offset, image + banks->offset, part) != TO_BANKS_OK) {
                return 0;
            }
        }
        to_banks_result finished = to_banks_finish(banks, digests[sequence]);
        if (finished == TO_BANKS_DIGEST) { /* what was resumed was torn: from the start */
            return to_banks_cancel(banks, 1) == TO_BANKS_OK && update(banks, sequence);
        }
        if (finished != TO_BANKS_OK || to_banks_pending(banks, sequences) != TO_BANKS_OK) {
            return 0;
        }
    }
    return record->state == TO_STATE_CONFIRMED ||
           (to_banks_try(banks) == TO_BANKS_OK && to_banks_tested(banks) == TO_BANKS_OK &&
            to_banks_confirm(banks) == TO_BANKS_OK);
}

static int runs(const to_banks *banks, uint32_t sequence) {
    uint8_t bank = to_banks_running(banks);
    return bank != TO_BANK_FACTORY &&
           memcmp(to_banks_memory(banks, bank), images[sequence], IMAGE_BYTES) == 0;
}

/* Brings image 1, and then image 2 with a cut at operation `at`. Returns 0 when the update was done before
 * that, 1 when after the cut either image ran, and the update came to its end at last, else a negative
 * number. */
int cut_update(uint32_t at, int cut, int torn, uint64_t seed) {
    to_banks banks;
    for (unsigned i = 0; i < 3; i++) {
        for (uint32_t k = 0; k < IMAGE_BYTES; k++) {
            images[i][k] = (uint8_t)(k * (i + 3u) + k / 251u + i);
        }
        to_sha256_of(images[i], IMAGE_BYTES, digests[i]);
    }
    memory_new();
    if (!start(&banks) || !update(&banks, 1) || !runs(&banks, 1)) {
        return -1;
    }
    flash_file_cut(&file, (flash_cut)cut, at, (flash_torn)torn, seed);
    if (update(&banks, 2) && !file.off) {
        return start(&banks) && runs(&banks, 2) ? 0 : -2;
    }
    restore_power();
    if (!start(&banks)) {
        return -3;
    }
    uint32_t accepted = to_banks_record(&banks)->sequences[0];
    if (!runs(&banks, 1) && !(accepted == 2 && runs(&banks, 2))) {
        return -4;
    }
    if (accepted != 1 && accepted != 2) {
        return -5;
    }
    if (!update(&banks, 2) || !start(&banks) || !runs(&banks, 2)) {
        return -6;
    }
    return file.violations == 0 ? 1 : -7;
}
