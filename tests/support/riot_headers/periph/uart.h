/* RIOT's UARTs. */
#ifndef PERIPH_UART_H
#define PERIPH_UART_H

#include <stddef.h>
#include <stdint.h>

typedef unsigned uart_t;
typedef void (*uart_rx_cb_t)(void *arg, uint8_t byte);

#define UART_DEV(number) ((uart_t)(number))

int uart_init(uart_t uart, uint32_t baudrate, uart_rx_cb_t callback, void *arg);
void uart_write(uart_t uart, const uint8_t *data, size_t size);

#endif
