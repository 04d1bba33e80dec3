/* Frames on a UART of their own. */
#include "periph/uart.h"
#include "auto_init_utils.h"
#include "isrpipe.h"
#include "tinyops.h"
#include "tinyops/to_port.h"

static uint8_t memory[CONFIG_TINYOPS_UART_BUFFER];
static isrpipe_t pipe = ISRPIPE_INIT(memory);

static void receive(event_t *event) {
    uint8_t bytes[64];
    (void)event;
    while (tsrb_avail(&pipe.tsrb) > 0) {
        to_device_receive(&tinyops_device, bytes, (size_t)to_port_read(bytes, sizeof bytes));
    }
}

static event_t received = {.handler = receive};

static void take(void *context, uint8_t byte) {
    (void)context;
    isrpipe_write_one(&pipe, byte); /* what does not fit damages its frame, which is asked for again */
    event_post(&tinyops_queue, &received);
}

int to_port_read(uint8_t *data, size_t n) { return isrpipe_read(&pipe, data, n); }

void to_port_write(const uint8_t *data, size_t n) { uart_write(UART_DEV(CONFIG_TINYOPS_UART), data, n); }

static void start_tinyops_slipmux(void) {
    uart_init(UART_DEV(CONFIG_TINYOPS_UART), CONFIG_TINYOPS_UART_BAUD, take, NULL);
}

AUTO_INIT(start_tinyops_slipmux, 1990);
