/* What a target provides to the portable firmware. */
#ifndef TINYOPS_TO_PORT_H
#define TINYOPS_TO_PORT_H

#include <stddef.h>
#include <stdint.h>

#include "tinyops/to_endpoint.h"

void to_port_init(void);

/* Blocks until at least one byte has arrived; returns the number of bytes stored (1 to n), or -1 when no byte
 * can ever arrive again. */
int to_port_read(uint8_t *data, size_t n);

void to_port_write(const uint8_t *data, size_t n);

/* Instructions executed, or cycles elapsed, so far; it stands still inside the call itself but for a
 * constant. */
uint64_t to_port_count(void);

/* "emulated-instructions", "measured-on-board" or "none". */
const char *to_port_count_kind(void);

/* Cycles per second, where they are what is counted ("measured-on-board"); else 0. */
uint32_t to_port_count_hertz(void);

/* Deepest stack use since start, in bytes; 0 when unknown. */
uint32_t to_port_stack_used(void);

void to_port_exit(int code);

/* Restarts the device; its flash keeps its content. Boards alone have it. */
void to_port_reset(void);

/* What a port with a clock and a network has besides; firmware for it is compiled with -DTO_NETWORK. */

/* Milliseconds since some start; it never goes back. */
uint64_t to_port_now_ms(void);

/* Bytes that nobody can guess. */
void to_port_random(uint8_t *bytes, size_t n);

/* Sends one datagram; one that cannot be sent is lost, as any other. Never called for the serial line. */
void to_port_send(const to_endpoint *to, const uint8_t *message, size_t length);

/* The endpoint of a host's name or literal address, which ends with NUL; 0 on success. */
int to_port_resolve(const char *host, uint16_t port, to_endpoint *endpoint);

#endif
