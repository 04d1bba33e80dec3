/* Frames on RIOT's standard input and output, whatever that is: a UART, USB, a process's pipes. Text that
 * other code prints stands between frames; where it falls into one, that frame is damaged and asked for
 * again. */
#include "auto_init_utils.h"
#include "stdio_base.h"
#include "tinyops.h"
#include "tinyops/to_port.h"

static void receive(event_t *event) {
    uint8_t bytes[64];
    (void)event;
    while (stdio_available() > 0) {
        int count = to_port_read(bytes, sizeof bytes);
        if (count <= 0) {
            return;
        }
        to_device_receive(&tinyops_device, bytes, (size_t)count);
    }
}

static event_t received = {.handler = receive};

static void notify(void *context) {
    (void)context;
    event_post(&tinyops_queue, &received);
}

int to_port_read(uint8_t *data, size_t n) { return (int)stdio_read(data, n); }

void to_port_write(const uint8_t *data, size_t n) {
    while (n > 0) {
        ssize_t count = stdio_write(data, n);
        if (count <= 0) {
            return; /* nobody is there */
        }
        data += count;
        n -= (size_t)count;
    }
}

static void start_tinyops_slipmux(void) {
    stdio_set_notify(notify, NULL);
    notify(NULL); /* bytes may have come before */
}

AUTO_INIT(start_tinyops_slipmux, 1990);
