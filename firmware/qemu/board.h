/* What the parts of this port share. */
#ifndef TINYOPS_QEMU_BOARD_H
#define TINYOPS_QEMU_BOARD_H

#include <stdint.h>

/* Set by the linker script; the stack lies below all other data, so that an overflow leaves the RAM. */
extern uint32_t to_flash_origin[], to_flash_end[];
extern uint8_t to_region_start[]; /* the region of updates, up to to_flash_end */
extern uint32_t to_stack_bottom[], to_stack_top[];
extern uint32_t to_data_start[], to_data_end[];
extern const uint32_t to_data_load[];
extern uint32_t to_bss_start[], to_bss_end[];

void serial_init(void);

/* Copies .data, clears .bss, paints the unused stack, runs main. */
__attribute__((noreturn)) void to_boot(void);

/* Prints what happened on the console and ends the emulator. */
__attribute__((noreturn)) void to_fault(const char *kind, uint32_t pc, uint32_t status, uint32_t address);

int main(void);

#endif
