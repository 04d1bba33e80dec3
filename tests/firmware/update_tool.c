/* The functions of to_update.h from a script on standard input, one command a line; each prints its result.
 *
 *   tick SECONDS, time SECONDS, manifest HEX, data OFFSET HEX LAST, etag HEX, poll, infer, cancel REASON
 *   running: bank, and whether the model there is what it should be
 *   state: state, reason, attempt, accepted sequence, wanted offset or -1, component or -
 *
 * The argument is the file of the flash. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../firmware/host/flash_file.h"
#include "tinyops/to_sha256.h"
#include "tinyops/to_update.h"

static to_update update;
static flash_file file;
static uint8_t bytes[1 << 16];
static char line[1 << 18];

static uint32_t read_hex(const char *text) {
    uint32_t size = 0;
    unsigned byte;
    for (; size < sizeof bytes && sscanf(text, "%2x", &byte) == 1 && text[0] != '-'; text += 2) {
        bytes[size++] = (uint8_t)byte;
    }
    return size;
}

static void say(const char *const *texts) {
    for (; *texts != NULL; texts++) {
        fputs(*texts, stderr);
    }
}

/* The bank that runs, and whether the model in it is what it is said to be. */
static void print_running(void) {
    to_update_status status;
    uint8_t digest[TO_SHA256_BYTES];
    to_update_get_status(&update, &status);
    int factory = status.bank == TO_BANK_FACTORY;
    const to_capsule_plan *plan = to_device_update.model->plan;
    const uint8_t *image = factory ? plan->factory : to_banks_memory(&update.banks, status.bank);
    to_sha256_of(image, factory ? plan->factory_bytes : to_capsule_bytes(image), digest);
    printf("%s %s\n",
           factory            ? "factory"
           : status.bank == 0 ? "0"
                              : "1",
           memcmp(digest, status.model, sizeof digest) == 0 ? "whole" : "damaged");
}

static void print_state(void) {
    to_update_status status;
    to_update_want want;
    int wants = to_update_wants(&update, &want);
    to_update_get_status(&update, &status);
    printf("%s %s %lu %lu %ld %s\n", to_update_state_name(status.state), to_update_reason_name(status.reason),
           (unsigned long)status.attempt, (unsigned long)status.accepted, wants ? (long)want.offset : -1L,
           wants ? want.component : "-");
}

static void run(void) {
    static char hex[1 << 17];
    unsigned long number;
    int last;
    if (sscanf(line, "tick %lu", &number) == 1) {
        to_update_tick(&update, (uint32_t)number);
        puts("ok");
    } else if (sscanf(line, "time %lu", &number) == 1) {
        to_update_set_time(&update, number);
        puts("ok");
    } else if (sscanf(line, "manifest %131071s", hex) == 1) {
        uint32_t size = read_hex(hex);
        puts(to_update_reason_name(to_update_manifest(&update, bytes, size)));
    } else if (sscanf(line, "data %lu %131071s %d", &number, hex, &last) == 3) {
        uint32_t size = read_hex(hex);
        int result = to_update_data(&update, (uint32_t)number, bytes, size, last);
        puts(result == TO_UPDATE_WRONG_OFFSET ? "wrong-offset" : to_update_reason_name((to_reason)result));
    } else if (sscanf(line, "etag %131071s", hex) == 1) {
        uint32_t size = read_hex(hex);
        puts(to_update_reason_name(to_update_etag(&update, bytes, (uint8_t)size)));
    } else if (sscanf(line, "cancel %lu", &number) == 1) {
        to_update_cancel(&update, (to_reason)number);
        puts("ok");
    } else if (strncmp(line, "poll", 4) == 0) {
        printf("%d\n", to_update_poll(&update));
    } else if (strncmp(line, "infer", 5) == 0) {
        to_update_inference_done(&update);
        puts("ok");
    } else if (strncmp(line, "running", 7) == 0) {
        print_running();
    } else if (strncmp(line, "state", 5) == 0) {
        print_state();
    } else {
        exit(2);
    }
}

int main(int argc, char **argv) {
    char error[160];
    to_update_port port;
    memset(&port, 0, sizeof port);
    if (flash_file_open(&file, argc > 1 ? argv[1] : NULL, TO_FLASH_REGION_BYTES, TO_FLASH_ERASE_BYTES,
                        TO_FLASH_WRITE_BYTES, 0xFF, error, sizeof error) != 0) {
        fprintf(stderr, "error: %s\n", error);
        return 1;
    }
    port.flash = &file.flash;
    port.say = say;
    to_update_start(&update, &to_device_update, &port);
    while (fgets(line, sizeof line, stdin) != NULL) {
        run();
        fflush(stdout);
    }
    return 0;
}
