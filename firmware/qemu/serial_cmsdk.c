/* The UART of Arm's CMSDK (DDI 0479), polled. */
#include "board.h"
#include "tinyops/to_port.h"

typedef struct {
    uint32_t data, state, control, interrupt, divider;
} cmsdk_uart;

#define UART ((volatile cmsdk_uart *)TO_UART_BASE)

enum { STATE_TX_FULL = 1, STATE_RX_FULL = 2, CONTROL_TX = 1, CONTROL_RX = 2, DIVIDER_MIN = 16 };

void serial_init(void) {
    UART->divider = DIVIDER_MIN;
    UART->control = CONTROL_TX | CONTROL_RX;
}

int to_port_read(uint8_t *data, size_t n) {
    while (!(UART->state & STATE_RX_FULL)) {
    }
    size_t count = 0;
    while (count < n && (UART->state & STATE_RX_FULL)) {
        data[count++] = (uint8_t)UART->data;
    }
    return (int)count;
}

void to_port_write(const uint8_t *data, size_t n) {
    for (size_t i = 0; i < n; i++) {
        while (UART->state & STATE_TX_FULL) {
        }
        UART->data = data[i];
    }
}
