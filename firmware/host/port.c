/* The device as a process: the serial line is standard input and output. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "host.h"
#include "tinyops/to_port.h"
#include "tinyops/to_slipmux.h"

static int plain_console;

void host_plain_console(void) { plain_console = 1; }

/* Takes the console text out of the frames that nobody else reads. */
static void print_text(const uint8_t *data, size_t n) {
    static to_slipmux_receiver frames;
    for (size_t i = 0; i < n; i++) {
        if (to_slipmux_feed(&frames, data[i]) == TO_SLIPMUX_TEXT) {
            size_t length;
            const uint8_t *text = to_slipmux_content(&frames, &length);
            fwrite(text, 1, length, stdout);
            fflush(stdout);
        }
    }
}

void to_port_init(void) {}

int to_port_read(uint8_t *data, size_t n) {
    for (;;) {
        ssize_t count = read(STDIN_FILENO, data, n);
        if (count > 0) {
            return (int)count;
        }
        if (count == 0 || errno != EINTR) {
            return -1;
        }
    }
}

void to_port_write(const uint8_t *data, size_t n) {
    if (plain_console) {
        print_text(data, n);
        return;
    }
    while (n > 0) {
        ssize_t count = write(STDOUT_FILENO, data, n);
        if (count > 0) {
            data += count;
            n -= (size_t)count;
        } else if (count == 0 || errno != EINTR) {
            to_port_exit(1);
        }
    }
}

uint64_t to_port_count(void) { return 0; }

const char *to_port_count_kind(void) { return "none"; }

uint32_t to_port_count_hertz(void) { return 0; }

uint32_t to_port_stack_used(void) { return 0; }

void to_port_exit(int code) { exit(code); }
