/* A firmware image as a component of updates: a file, which a new image takes the place of when it is
 * accepted.
 *
 * FILE.part receives the image, FILE.staged.N is the verified one of sequence number N. Both renames are
 * atomic, so that a cut leaves the old image or the new one. */
#ifdef TO_UPDATABLE

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"
#include "tinyops/to_update.h"

#define CAPACITY (1u << 20)
#define PATH_MAX_BYTES 512u

static const uint8_t firmware_id[] = {0x81, 0x48, 'f', 'i', 'r', 'm', 'w', 'a', 'r', 'e'};

static const char *place;
static char part[PATH_MAX_BYTES];
static FILE *open_part;
static uint8_t *image;
static uint32_t received;

static void staged_name(char *path, uint32_t sequence) {
    snprintf(path, PATH_MAX_BYTES, "%s.staged.%lu", place, (unsigned long)sequence);
}

static void forget_staged(void);

static void abandon(void *context) {
    (void)context;
    if (open_part != NULL) {
        fclose(open_part);
        open_part = NULL;
    }
    remove(part);
    forget_staged();
    received = 0;
}

static to_reason begin(void *context, uint32_t size) {
    abandon(context);
    if (size > CAPACITY) {
        return TO_REASON_SLOT_TOO_SMALL;
    }
    open_part = fopen(part, "wb");
    return open_part != NULL ? TO_REASON_OK : TO_REASON_FLASH;
}

static to_reason write_part(void *context, const uint8_t *data, uint32_t size) {
    (void)context;
    if (size > CAPACITY - received) {
        return TO_REASON_SLOT_TOO_SMALL;
    }
    received += size;
    return fwrite(data, 1, size, open_part) == size ? TO_REASON_OK : TO_REASON_FLASH;
}

static to_reason end(void *context, to_span *content) {
    (void)context;
    int failed = fflush(open_part) != 0 || fsync(fileno(open_part)) != 0;
    failed |= fclose(open_part) != 0;
    open_part = fopen(part, "rb");
    if (failed || open_part == NULL || fread(image, 1, received, open_part) != received) {
        return TO_REASON_FLASH;
    }
    fclose(open_part);
    open_part = NULL;
    *content = to_span_of(image, received);
    return TO_REASON_OK;
}

static to_reason stage(void *context, const uint8_t digest[32], uint32_t sequence) {
    char staged[PATH_MAX_BYTES];
    (void)context;
    (void)digest; /* the file system keeps files whole */
    staged_name(staged, sequence);
    return rename(part, staged) == 0 ? TO_REASON_OK : TO_REASON_FLASH;
}

/* Of images that were staged before a cut, only the accepted one counts. */
static void forget_staged(void) {
    char pattern[PATH_MAX_BYTES];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s.staged.*", place);
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            remove(found.gl_pathv[i]);
        }
        globfree(&found);
    }
}

static void settle(void *context, uint32_t sequence) {
    char staged[PATH_MAX_BYTES];
    (void)context;
    staged_name(staged, sequence);
    if (rename(staged, place) == 0) {
        static const char *const texts[] = {"firmware: a new image was handed over\n", NULL};
        to_slipmux_send_text(texts);
    }
    forget_staged();
}

static to_update_component component = {
    .name = "firmware",
    .id = {firmware_id, sizeof firmware_id},
    .counter = TO_UPDATE_COUNTER_FREE,
    .capacity = CAPACITY,
    .begin = begin,
    .write = write_part,
    .end = end,
    .stage = stage,
    .settle = settle,
    .abandon = abandon,
};

void host_firmware_open(const char *path) {
    place = path;
    image = malloc(CAPACITY);
    if (image == NULL || snprintf(part, sizeof part, "%s.part", path) >= (int)sizeof part - 16) {
        host_fail(path, "its name is too long");
    }
}

void host_firmware_slot(to_update_port *port) {
    if (place != NULL) {
        component.class_id = to_device_update.class_id;
        port->components = &component;
        port->component_count = 1;
    }
}

#endif
