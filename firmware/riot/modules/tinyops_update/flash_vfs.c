/* The region in two files of a mounted file system, with a mirror in RAM.
 *
 * A file system keeps files whole, but gives no order between them: what was written to the banks is made
 * durable before the journal says something of it, and the journal at once. Bytes behind the end of a file
 * are erased. */
#include <fcntl.h>
#include <string.h>

#include "flash.h"
#include "tinyops_update.h"
#include "vfs.h"

#define ERASED 0xFFu

enum { JOURNAL, BANKS };

typedef struct {
    const char *path;
    uint32_t start; /* in the region */
    uint32_t bytes;
    int descriptor;
    int dirty;
} part_file;

static part_file files[] = {
    {CONFIG_TINYOPS_UPDATE_VFS_PATH ".journal", 0, 0, -1, 0},
    {CONFIG_TINYOPS_UPDATE_VFS_PATH ".banks", 0, 0, -1, 0},
};
static uint32_t mirror_words[TO_FLASH_REGION_BYTES / 4u] __attribute__((aligned(16)));
static uint8_t *const mirror = (uint8_t *)mirror_words;

static int put(const part_file *file, uint32_t offset, const uint8_t *data, uint32_t size) {
    if (vfs_lseek(file->descriptor, (off_t)(offset - file->start), SEEK_SET) < 0) {
        return 1;
    }
    while (size > 0) {
        ssize_t count = vfs_write(file->descriptor, data, size);
        if (count <= 0) {
            return 1;
        }
        data += count;
        size -= (uint32_t)count;
    }
    return 0;
}

static int synchronize(part_file *file) {
    if (file->dirty && vfs_fsync(file->descriptor) < 0) {
        return 1;
    }
    file->dirty = 0;
    return 0;
}

/* Stores the mirror's bytes of [offset, offset + size). */
static int store(uint32_t offset, uint32_t size) {
    part_file *file = &files[offset < files[BANKS].start ? JOURNAL : BANKS];
    if (file == &files[JOURNAL] && synchronize(&files[BANKS])) {
        return 1;
    }
    file->dirty = 1;
    return put(file, offset, mirror + offset, size) || (file == &files[JOURNAL] && synchronize(file));
}

static int erase_unit(void *context, uint32_t offset) {
    (void)context;
    if (!flash_is_inside(offset, TO_FLASH_ERASE_BYTES, TO_FLASH_ERASE_BYTES)) {
        return 1;
    }
    memset(mirror + offset, ERASED, TO_FLASH_ERASE_BYTES);
    return store(offset, TO_FLASH_ERASE_BYTES);
}

static int write_units(void *context, uint32_t offset, const uint8_t *data, uint32_t size) {
    (void)context;
    if (!flash_is_inside(offset, size, TO_FLASH_WRITE_BYTES)) {
        return 1;
    }
    memcpy(mirror + offset, data, size);
    return store(offset, size);
}

/* Reads a file to its end; all of it is there afterwards. */
static int load(part_file *file) {
    uint32_t known = 0;
    file->descriptor = vfs_open(file->path, O_CREAT | O_RDWR, 0644);
    if (file->descriptor < 0) {
        return 1;
    }
    while (known < file->bytes) {
        ssize_t count = vfs_read(file->descriptor, mirror + file->start + known, file->bytes - known);
        if (count < 0) {
            return 1;
        }
        if (count == 0) {
            break;
        }
        known += (uint32_t)count;
    }
    if (known == file->bytes) {
        return 0;
    }
    file->dirty = 1;
    return put(file, file->start + known, mirror + file->start + known, file->bytes - known) ||
           synchronize(file);
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
    memset(mirror, ERASED, TO_FLASH_REGION_BYTES);
    files[JOURNAL].bytes = 2u * to_journal_page_bytes(&flash);
    files[BANKS].start = files[JOURNAL].bytes;
    files[BANKS].bytes = TO_FLASH_REGION_BYTES - files[JOURNAL].bytes;
    if (load(&files[JOURNAL]) || load(&files[BANKS])) {
        flash_say("the files cannot be used");
        return NULL;
    }
    return &flash;
}
