/* tinyops_slipmux on standard input and output, or on a UART that is joined to them, in a thread of its own;
 * ends with its input. */
#include <stdlib.h>
#include <unistd.h>

#include "isrpipe.h"
#include "riot_threads.h"

#ifdef TOOL_UART

#include "periph/uart.h"

static uart_rx_cb_t receive;
static void *receive_context;

int uart_init(uart_t uart, uint32_t baudrate, uart_rx_cb_t callback, void *context) {
    receive = callback;
    receive_context = context;
    return uart == 1 && baudrate == 115200 ? 0 : -1;
}

void uart_write(uart_t uart, const uint8_t *data, size_t size) {
    if (write(STDOUT_FILENO, data, size) != (ssize_t)size || uart != 1) {
        exit(1);
    }
}

static void interrupt(const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        receive(receive_context, data[i]);
    }
}

#else

#include "stdio_base.h"

static uint8_t memory[4096];
static isrpipe_t input = ISRPIPE_INIT(memory);
static stdio_notify_cb_t notify;
static void *notify_context;

int stdio_available(void) { return (int)tsrb_avail(&input.tsrb); }

ssize_t stdio_read(void *buffer, size_t size) { return isrpipe_read(&input, buffer, size); }

ssize_t stdio_write(const void *buffer, size_t size) { return write(STDOUT_FILENO, buffer, size); }

void stdio_set_notify(stdio_notify_cb_t callback, void *context) {
    notify = callback;
    notify_context = context;
}

static void interrupt(const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        while (isrpipe_write_one(&input, data[i]) < 0) {
            usleep(100);
        }
    }
    notify(notify_context);
}

#endif

int main(void) {
    uint8_t data[1024];
    riot_start();
    for (;;) {
        ssize_t count = read(STDIN_FILENO, data, sizeof data);
        if (count <= 0) {
            _exit(0);
        }
        interrupt(data, (size_t)count);
    }
}
