/* Security contexts in files: lines "NAME HEX" with secret, salt, sender, recipient and context; and
 * FILE.sequence with the first sequence number that was never reserved. */
#ifdef TO_OSCORE

#include "tinyops/to_oscore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"

#define CONTEXTS 4u
#define VALUE_MAX 64u
#define PATH_MAX_BYTES 512u

typedef struct {
    uint8_t bytes[VALUE_MAX];
    uint8_t length;
    uint8_t present;
} value;

enum { SECRET, SALT, SENDER, RECIPIENT, CONTEXT, VALUES };
static const char *const names[VALUES] = {"secret", "salt", "sender", "recipient", "context"};

static to_oscore contexts[CONTEXTS];
static char paths[CONTEXTS][PATH_MAX_BYTES];
static uint8_t count;

static int hex(char digit) {
    const char *digits = "0123456789abcdef";
    const char *at = digit != '\0' ? strchr(digits, digit) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static int read_value(value *into, const char *text) {
    size_t length = strlen(text);
    if (into->present || length % 2 != 0 || length / 2 > VALUE_MAX) {
        return 0;
    }
    for (size_t i = 0; i < length / 2; i++) {
        int high = hex(text[2 * i]), low = hex(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return 0;
        }
        into->bytes[i] = (uint8_t)(high << 4 | low);
    }
    into->length = (uint8_t)(length / 2);
    into->present = 1;
    return 1;
}

static int read_line(value values[VALUES], char *line) {
    char *end = line + strcspn(line, "\r\n");
    *end = '\0';
    char *space = strchr(line, ' ');
    const char *text = space != NULL ? space + 1 : "";
    if (space != NULL) {
        *space = '\0';
    }
    for (unsigned i = 0; i < VALUES; i++) {
        if (strcmp(line, names[i]) == 0) {
            return read_value(&values[i], text);
        }
    }
    return 0;
}

static void read_file(const char *path, value values[VALUES]) {
    char line[3 * VALUE_MAX];
    struct stat facts;
    FILE *file = fopen(path, "r");
    if (file == NULL || fstat(fileno(file), &facts) != 0) {
        host_fail(path, strerror(errno));
        return;
    }
    if (!S_ISREG(facts.st_mode) || (facts.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        host_fail(path, "must be a file that nobody else can read: chmod 600");
    }
    memset(values, 0, VALUES * sizeof *values);
    while (fgets(line, sizeof line, file) != NULL) {
        if (!read_line(values, line)) {
            host_fail(path,
                      "is no security context; allowed: lines of secret, salt, sender, recipient or context "
                      "with up to 64 bytes in hexadecimal");
        }
    }
    fclose(file);
}

/* A path beside the context's own. */
static const char *beside(const char *path, const char *ending) {
    static char text[PATH_MAX_BYTES + 16];
    snprintf(text, sizeof text, "%s%s", path, ending);
    return text;
}

static uint64_t read_sequence(const char *path) {
    char text[32] = "";
    FILE *file = fopen(beside(path, ".sequence"), "r");
    if (file == NULL) {
        if (errno != ENOENT) {
            host_fail(beside(path, ".sequence"), strerror(errno));
        }
        return 0;
    }
    char *end = text;
    unsigned long long number = fgets(text, sizeof text, file) != NULL ? strtoull(text, &end, 10) : 0;
    fclose(file);
    if (end == text || *end != '\n') {
        host_fail(beside(path, ".sequence"), "is damaged; make a new security context");
    }
    return (uint64_t)number;
}

/* The number is on the disk before the first message with one of those that were reserved goes out. */
static int reserve(void *context, uint64_t next) {
    const char *path = context;
    char text[32];
    int length = snprintf(text, sizeof text, "%llu\n", (unsigned long long)next);
    char temporary[PATH_MAX_BYTES + 16];
    snprintf(temporary, sizeof temporary, "%s", beside(path, ".sequence.new"));
    int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (file < 0) {
        return -1;
    }
    int written = write(file, text, (size_t)length) == length && fsync(file) == 0;
    if (close(file) != 0 || !written) {
        return -1;
    }
    return rename(temporary, beside(path, ".sequence"));
}

static to_oscore_bytes bytes_of(const value *from) {
    to_oscore_bytes bytes = {from->present ? from->bytes : NULL, from->length};
    return bytes;
}

void host_oscore_add(const char *path) {
    value values[VALUES];
    to_oscore_settings settings;
    if (count == CONTEXTS || strlen(path) >= PATH_MAX_BYTES) {
        host_fail(path, "too many security contexts, or too long a path");
    }
    read_file(path, values);
    strcpy(paths[count], path);
    settings.secret = bytes_of(&values[SECRET]);
    settings.salt = bytes_of(&values[SALT]);
    settings.sender = bytes_of(&values[SENDER]);
    settings.recipient = bytes_of(&values[RECIPIENT]);
    settings.id_context = bytes_of(&values[CONTEXT]);
    settings.sequence = read_sequence(path);
    settings.reserve = reserve;
    settings.context = paths[count];
    if (!values[SENDER].present || !values[RECIPIENT].present ||
        !to_oscore_start(&contexts[count], &settings)) {
        host_fail(
            path,
            "is no security context: secret, sender and recipient are needed, two different ids of up to 7 "
            "bytes, and a context of up to 8");
    }
    count++;
}

to_oscore *host_oscore_contexts(uint8_t *number) {
    *number = count;
    return contexts;
}

#else

#include "host.h"

void host_oscore_add(const char *path) {
    host_fail(path, "this firmware was built without OSCORE; build it with --update-algorithms ed25519,aes");
}

#endif
