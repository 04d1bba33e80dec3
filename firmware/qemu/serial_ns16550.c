/* A 16550 UART with byte-wide registers, polled. */
#include "board.h"
#include "tinyops/to_port.h"

#define REGISTER(n) (((volatile uint8_t *)TO_UART_BASE)[n])

enum { DATA = 0, FIFO = 2, LINE_CONTROL = 3, LINE_STATUS = 5 };
enum { FIFO_ON_CLEARED = 7, EIGHT_BITS = 3, STATUS_RECEIVED = 1, STATUS_CAN_SEND = 0x20 };

void serial_init(void) {
    REGISTER(LINE_CONTROL) = EIGHT_BITS;
    REGISTER(FIFO) = FIFO_ON_CLEARED;
    (void)REGISTER(DATA); /* QEMU offers no more bytes after the clearing until one is read */
}

int to_port_read(uint8_t *data, size_t n) {
    while (!(REGISTER(LINE_STATUS) & STATUS_RECEIVED)) {
    }
    size_t count = 0;
    while (count < n && (REGISTER(LINE_STATUS) & STATUS_RECEIVED)) {
        data[count++] = REGISTER(DATA);
    }
    return (int)count;
}

void to_port_write(const uint8_t *data, size_t n) {
    for (size_t i = 0; i < n; i++) {
        while (!(REGISTER(LINE_STATUS) & STATUS_CAN_SEND)) {
        }
        REGISTER(DATA) = data[i];
    }
}
