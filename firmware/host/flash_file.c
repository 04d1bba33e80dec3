#define _POSIX_C_SOURCE 200809L

#include "flash_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file is a header, the content and one byte for each write unit. */
#define HEADER_BYTES 64u
#define MAGIC "TOFLASH1"

uint64_t flash_file_random(uint64_t *state) {
    uint64_t x = *state != 0 ? *state : UINT64_C(0x9E3779B97F4A7C15);
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

static int refuse(flash_file *file, const char *rule) {
    file->violations++;
    if (file->violation == NULL) {
        file->violation = rule;
    }
    return -1;
}

/* Makes `count` bytes at `at`: `before` was there, `after`, which may be `at` itself, should be. */
static void tear(flash_file *file, uint8_t *at, const uint8_t *before, const uint8_t *after, uint32_t count) {
    uint32_t part = (uint32_t)(flash_file_random(&file->random) % (count + 1u));
    for (uint32_t i = 0; i < count; i++) {
        uint8_t any = (uint8_t)(flash_file_random(&file->random) >> 56);
        switch (file->torn) {
        case FLASH_TORN_ANY:
            at[i] = any;
            break;
        case FLASH_TORN_SOME:
            at[i] = (uint8_t)(before[i] ^ ((before[i] ^ after[i]) & any));
            break;
        case FLASH_TORN_NONE:
            at[i] = before[i];
            break;
        case FLASH_TORN_BEGUN:
            at[i] = i < part ? after[i] : before[i];
            break;
        case FLASH_TORN_END:
            at[i] = i < part ? before[i] : after[i];
            break;
        case FLASH_TORN_ALL:
        case FLASH_TORN_ONE_WRONG:
            at[i] = after[i];
            break;
        }
    }
    if (file->torn == FLASH_TORN_ONE_WRONG) {
        at[part % count] ^= (uint8_t)(1u << (flash_file_random(&file->random) >> 61));
    }
}

/* Counts an operation. Returns whether it is to be done at all; `*torn` says how. */
static int begin_operation(flash_file *file, int *torn) {
    file->operations++;
    *torn = 0;
    if (file->cut != FLASH_CUT_NEVER && --file->cut_at == 0) {
        file->off = 1;
        *torn = file->cut == FLASH_CUT_TORN;
        return file->cut != FLASH_CUT_BEFORE;
    }
    return 1;
}

static void set_unstable(flash_file *file, uint32_t first_unit, uint32_t units, uint8_t value) {
    for (uint32_t i = first_unit; i < first_unit + units; i++) {
        file->unstable_units += (uint32_t)value - (uint32_t)file->unstable[i];
        file->unstable[i] = value;
    }
}

static int erase(void *context, uint32_t offset) {
    flash_file *file = context;
    const to_flash *flash = &file->flash;
    int torn;
    if (file->off) {
        return -1;
    }
    if (offset % flash->erase_bytes != 0 || offset >= flash->bytes) {
        return refuse(file, "an erase is not of a whole unit of the region");
    }
    if (!begin_operation(file, &torn)) {
        return -1;
    }
    uint8_t *at = file->content + offset;
    uint32_t first = offset / flash->write_bytes;
    uint32_t units = flash->erase_bytes / flash->write_bytes;
    memset(file->written + first, torn, units);
    if (torn) {
        memcpy(file->torn_to + offset, at, flash->erase_bytes);
    }
    memset(at, flash->erased, flash->erase_bytes);
    if (torn) {
        tear(file, at, file->torn_to + offset, at, flash->erase_bytes);
    }
    if (torn || file->unstable_units != 0) {
        set_unstable(file, first, units, (uint8_t)torn);
    }
    return file->off ? -1 : 0;
}

static int write_unit(flash_file *file, uint32_t offset, const uint8_t *data) {
    uint32_t size = file->flash.write_bytes;
    uint32_t unit = offset / size;
    uint8_t *at = file->content + offset;
    int torn;
    if (file->written[unit]) {
        return refuse(file, "a write unit is written that is not erased");
    }
    if (!begin_operation(file, &torn)) {
        return -1;
    }
    file->written[unit] = 1;
    if (torn) {
        uint8_t before[TO_FLASH_WRITE_MAX];
        memcpy(before, at, size);
        memcpy(file->torn_to + offset, data, size);
        tear(file, at, before, data, size);
        set_unstable(file, unit, 1, 1);
    } else {
        memcpy(at, data, size);
    }
    return file->off ? -1 : 0;
}

static int write_units(void *context, uint32_t offset, const uint8_t *data, uint32_t size) {
    flash_file *file = context;
    const to_flash *flash = &file->flash;
    uint32_t unit = flash->write_bytes;
    if (file->off) {
        return -1;
    }
    if (offset % unit != 0 || size % unit != 0) {
        return refuse(file, "a write is not of whole write units");
    }
    if (offset > flash->bytes || size > flash->bytes - offset) {
        return refuse(file, "a write is not within the region");
    }
    for (uint32_t i = 0; i < size; i += unit) {
        if (write_unit(file, offset + i, data + i) != 0) {
            return -1;
        }
    }
    return 0;
}

void flash_file_cut(flash_file *file, flash_cut cut, uint64_t at, flash_torn torn, uint64_t seed) {
    file->cut = at == 0 ? FLASH_CUT_NEVER : cut;
    file->cut_at = at;
    file->torn = torn;
    file->random = seed;
}

/* Every unit that was torn reads as now, as the other value it may have, as if erased, or as anything. */
static void reread_unstable(flash_file *file) {
    const to_flash *flash = &file->flash;
    uint32_t unit = flash->write_bytes;
    uint32_t left = file->unstable_units;
    uint64_t all =
        flash_file_random(&file->random) >> 61; /* below 4: one way for all units of an erase unit */
    for (uint32_t i = 0; left > 0; i++) {
        if (!file->unstable[i]) {
            continue;
        }
        left--;
        uint8_t *at = file->content + i * unit;
        switch (all < 4 ? all : flash_file_random(&file->random) >> 62) {
        case 1:
            for (uint32_t k = 0; k < unit; k++) {
                uint8_t other = at[k];
                at[k] = file->torn_to[i * unit + k];
                file->torn_to[i * unit + k] = other;
            }
            break;
        case 2:
            memset(at, flash->erased, unit);
            break;
        case 3:
            for (uint32_t k = 0; k < unit; k++) {
                at[k] = (uint8_t)(flash_file_random(&file->random) >> 56);
            }
            break;
        default:
            break;
        }
    }
}

void flash_file_power_on(flash_file *file) {
    file->off = 0;
    file->cut = FLASH_CUT_NEVER;
    reread_unstable(file);
}

void flash_file_copy(flash_file *to, const flash_file *from) {
    uint32_t bytes = from->flash.bytes;
    uint32_t units = bytes / from->flash.write_bytes;
    memcpy(to->content, from->content, bytes);
    memcpy(to->written, from->written, units);
    if (from->unstable_units != 0 || to->unstable_units != 0) {
        memcpy(to->unstable, from->unstable, units);
        memcpy(to->torn_to, from->torn_to, bytes);
    }
    to->unstable_units = from->unstable_units;
    to->operations = 0;
    to->violations = from->violations;
    to->violation = from->violation;
    to->off = 0;
    to->cut = FLASH_CUT_NEVER;
    to->random = from->random;
}

static void make_header(const to_flash *flash, uint8_t header[HEADER_BYTES]) {
    memset(header, 0, HEADER_BYTES);
    /* For this host alone: numbers in its own byte order. */
    memcpy(header, MAGIC, 8);
    memcpy(header + 8, &flash->bytes, 4);
    memcpy(header + 12, &flash->erase_bytes, 4);
    memcpy(header + 16, &flash->write_bytes, 2);
    header[18] = flash->erased;
}

static int write_all(int descriptor, const uint8_t *data, size_t size) {
    while (size > 0) {
        ssize_t count = write(descriptor, data, size);
        if (count < 0 && errno != EINTR) {
            return -1;
        }
        if (count > 0) {
            data += count;
            size -= (size_t)count;
        }
    }
    return 0;
}

/* Writes a new, erased flash beside `path` and links it there, unless another process was faster. */
static int create(const char *path, const to_flash *flash, size_t file_bytes) {
    size_t length = strlen(path);
    char *beside = malloc(length + 12);
    uint8_t *image = malloc(file_bytes);
    int result = -1;
    if (beside != NULL && image != NULL) {
        memcpy(beside, path, length);
        memcpy(beside + length, ".new-XXXXXX", 12);
        memset(image, 0, file_bytes);
        make_header(flash, image);
        memset(image + HEADER_BYTES, flash->erased, flash->bytes);
        int descriptor = mkstemp(beside);
        if (descriptor >= 0) {
            int written = write_all(descriptor, image, file_bytes) == 0 && fsync(descriptor) == 0;
            if (close(descriptor) == 0 && written) {
                result = link(beside, path) == 0 || errno == EEXIST ? 0 : -1;
            }
            int reason = errno;
            (void)unlink(beside);
            errno = reason;
        }
    }
    free(image);
    free(beside);
    return result;
}

static int lock(int descriptor) {
    struct flock whole;
    memset(&whole, 0, sizeof whole);
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    return fcntl(descriptor, F_SETLK, &whole);
}

/* The descriptor stays open as long as the lock is to last. */
static int map(flash_file *file, const char *path, char *error, size_t error_bytes) {
    uint8_t expected[HEADER_BYTES];
    uint8_t header[HEADER_BYTES];
    struct stat about;
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0 && errno == ENOENT && create(path, &file->flash, file->mapped_bytes) == 0) {
        descriptor = open(path, O_RDWR | O_CLOEXEC);
    }
    if (descriptor < 0) {
        (void)snprintf(error, error_bytes, "%s: %s", path, strerror(errno));
        return -1;
    }
    if (lock(descriptor) != 0) {
        (void)snprintf(error, error_bytes, "%s: in use by another process", path);
        (void)close(descriptor);
        return -1;
    }
    make_header(&file->flash, expected);
    if (fstat(descriptor, &about) != 0 || about.st_size != (off_t)file->mapped_bytes ||
        pread(descriptor, header, sizeof header, 0) != (ssize_t)sizeof header ||
        memcmp(header, expected, sizeof header) != 0) {
        (void)snprintf(error, error_bytes,
                       "%s: not a flash of %u bytes, erase unit %u, write unit %u, erased 0x%02x", path,
                       (unsigned)file->flash.bytes, (unsigned)file->flash.erase_bytes,
                       (unsigned)file->flash.write_bytes, (unsigned)file->flash.erased);
        (void)close(descriptor);
        return -1;
    }
    void *mapping = mmap(NULL, file->mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (mapping == MAP_FAILED) {
        (void)snprintf(error, error_bytes, "%s: %s", path, strerror(errno));
        (void)close(descriptor);
        return -1;
    }
    file->descriptor = descriptor;
    file->mapping = mapping;
    file->content = (uint8_t *)mapping + HEADER_BYTES;
    file->written = file->content + file->flash.bytes;
    return 0;
}

int flash_file_open(flash_file *file, const char *path, uint32_t bytes, uint32_t erase_bytes,
                    uint16_t write_bytes, uint8_t erased, char *error, size_t error_bytes) {
    memset(file, 0, sizeof *file);
    file->descriptor = -1;
    file->flash.bytes = bytes;
    file->flash.erase_bytes = erase_bytes;
    file->flash.write_bytes = write_bytes;
    file->flash.erased = erased;
    file->flash.erase = erase;
    file->flash.write = write_units;
    file->flash.context = file;
    if (!to_flash_valid(&file->flash) || bytes == 0) {
        (void)snprintf(error, error_bytes,
                       "a flash of %u bytes with erase unit %u, write unit %u, erased 0x%02x",
                       (unsigned)bytes, (unsigned)erase_bytes, (unsigned)write_bytes, (unsigned)erased);
        return -1;
    }
    uint32_t units = bytes / write_bytes;
    file->mapped_bytes = (size_t)HEADER_BYTES + bytes + units;
    file->unstable = calloc(units, 1);
    file->torn_to = calloc(bytes, 1);
    if (path == NULL) {
        file->content = malloc(bytes);
        file->written = calloc(units, 1);
    } else if (map(file, path, error, error_bytes) != 0) {
        flash_file_close(file);
        return -1;
    }
    if (file->unstable == NULL || file->torn_to == NULL || file->content == NULL || file->written == NULL) {
        (void)snprintf(error, error_bytes, "no memory for a flash of %u bytes", (unsigned)bytes);
        flash_file_close(file);
        return -1;
    }
    if (path == NULL) {
        memset(file->content, erased, bytes);
    }
    file->flash.memory = file->content;
    return 0;
}

void flash_file_close(flash_file *file) {
    if (file->mapping != NULL) {
        (void)munmap(file->mapping, file->mapped_bytes);
        (void)close(file->descriptor);
    } else {
        free(file->content);
        free(file->written);
    }
    free(file->unstable);
    free(file->torn_to);
    memset(file, 0, sizeof *file);
    file->descriptor = -1;
}
