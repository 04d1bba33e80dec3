/* What a target provides to the portable firmware. */
#ifndef TINYOPS_TO_PORT_H
#define TINYOPS_TO_PORT_H

#include <stddef.h>
#include <stdint.h>

void to_port_init(void);

/* Blocks until at least one byte has arrived; returns the number of bytes stored (1 to n), or -1 when no byte
 * can ever arrive again. */
int to_port_read(uint8_t *data, size_t n);

void to_port_write(const uint8_t *data, size_t n);

/* Instructions executed so far; it stands still inside the call itself but for a constant. */
uint64_t to_port_count(void);

/* "emulated-instructions", "measured-on-board" or "none". */
const char *to_port_count_kind(void);

/* Deepest stack use since start, in bytes; 0 when unknown. */
uint32_t to_port_stack_used(void);

void to_port_exit(int code);

#endif
