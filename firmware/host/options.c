#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

static const char usage[] =
    "usage: firmware.elf [--flash FILE] [--firmware FILE] [--id HEX] [--oscore FILE]...\n"
    "                    [--udp [HOST]:PORT [--server coap://HOST[:PORT] [--check-in SECONDS]]\n"
    "                     [--block-size BYTES] [--ack-timeout MILLISECONDS] [--infer MILLISECONDS]]\n"
    "                    [--seed NUMBER] [--loss PPM] [--duplicates PPM] [--cut OPERATION] [--while-open "
    "FD]\n"
    "Without --udp the device is on standard input and output, in slipmux frames.\n";

void host_fail(const char *where, const char *what) {
    fprintf(stderr, "error: %s: %s\n", where, what);
    exit(1);
}

static void refuse(const char *where, const char *what) {
    fprintf(stderr, "error: %s: %s\n%s", where, what, usage);
    exit(2);
}

static uint32_t read_number(const char *option, const char *text, unsigned long min, unsigned long max) {
    char *end;
    unsigned long value = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : max + 1;
    if (value < min || value > max || *end != '\0') {
        char what[64];
        snprintf(what, sizeof what, "allowed: a number from %lu to %lu", min, max);
        refuse(option, what);
    }
    return (uint32_t)value;
}

static int hex(char digit) {
    const char *digits = "0123456789abcdef";
    const char *at = digit != '\0' ? strchr(digits, digit) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static void read_id(host_options *options, const char *text) {
    size_t length = strlen(text);
    if (length == 0 || length % 2 != 0 || length > 2 * HOST_ID_MAX) {
        refuse("--id", "allowed: 1 to 32 bytes, each as two digits 0-9 a-f");
    }
    for (size_t i = 0; i < length / 2; i++) {
        int high = hex(text[2 * i]), low = hex(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            refuse("--id", "allowed: 1 to 32 bytes, each as two digits 0-9 a-f");
        }
        options->id[i] = (uint8_t)(high << 4 | low);
    }
    options->id_bytes = (uint8_t)(length / 2);
}

static uint8_t read_block_size(const char *text) {
    uint32_t bytes = read_number("--block-size", text, 16, 1024);
    uint8_t szx = 0;
    while (UINT32_C(16) << szx < bytes) {
        szx++;
    }
    if (UINT32_C(16) << szx != bytes) {
        refuse("--block-size", "allowed: 16, 32, 64, 128, 256, 512, 1024");
    }
    return szx;
}

void host_read_options(host_options *options, int argc, char **argv) {
    memset(options, 0, sizeof *options);
    options->check_in_seconds = 3600;
    options->ack_timeout_ms = 2000;
    options->szx = TO_COAP_BLOCK_SZX;
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i];
        const char *value = argv[i + 1]; /* NULL behind the last one */
        if (strcmp(name, "--help") == 0) {
            fputs(usage, stdout);
            exit(0);
        }
        if (value == NULL) {
            refuse(name, "needs a value");
        }
        if (strcmp(name, "--udp") == 0) {
            options->udp = value;
        } else if (strcmp(name, "--flash") == 0) {
            options->flash = value;
        } else if (strcmp(name, "--firmware") == 0) {
            options->firmware = value;
        } else if (strcmp(name, "--server") == 0) {
            options->server = value;
        } else if (strcmp(name, "--oscore") == 0) {
            host_oscore_add(value);
        } else if (strcmp(name, "--id") == 0) {
            read_id(options, value);
        } else if (strcmp(name, "--check-in") == 0) {
            options->check_in_seconds = read_number(name, value, 1, 30ul * 86400ul);
        } else if (strcmp(name, "--ack-timeout") == 0) {
            options->ack_timeout_ms = read_number(name, value, 10, 60000);
        } else if (strcmp(name, "--infer") == 0) {
            options->infer_ms = read_number(name, value, 1, 3600000);
        } else if (strcmp(name, "--while-open") == 0) {
            host_end_with((int)read_number(name, value, 0, 1023));
        } else if (strcmp(name, "--seed") == 0) {
            options->faults.seed = read_number(name, value, 0, 0xFFFFFFFFul);
        } else if (strcmp(name, "--loss") == 0) {
            options->faults.loss = read_number(name, value, 0, 900000);
        } else if (strcmp(name, "--duplicates") == 0) {
            options->faults.duplicates = read_number(name, value, 0, 900000);
        } else if (strcmp(name, "--cut") == 0) {
            options->faults.cut_at = read_number(name, value, 1, 0xFFFFFFFFul);
        } else if (strcmp(name, "--block-size") == 0) {
            options->szx = read_block_size(value);
        } else {
            refuse(name, "no such option");
        }
    }
    if (options->server != NULL && options->udp == NULL) {
        refuse("--server", "needs --udp");
    }
}
