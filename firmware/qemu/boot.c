#include "board.h"

#include "semihosting.h"
#include "tinyops/to_port.h"
#include "tinyops/to_slipmux.h"
#include "tinyops/to_text.h"

#define PAINT 0xA5C35A3Cu
#define FAULT_EXIT 70

void to_boot(void) {
    uint32_t *here = __builtin_frame_address(0);
    for (volatile uint32_t *word = to_stack_bottom; word < here - 16; word++) {
        *word = PAINT;
    }
    const uint32_t *from = to_data_load;
    for (uint32_t *word = to_data_start; word < to_data_end; word++) {
        *word = *from++;
    }
    for (uint32_t *word = to_bss_start; word < to_bss_end; word++) {
        *word = 0;
    }
    to_port_exit(main());
    for (;;) {
    }
}

void to_port_init(void) { serial_init(); }

uint32_t to_port_stack_used(void) {
    const volatile uint32_t *word = to_stack_bottom;
    while (word < to_stack_top && *word == PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)to_stack_top - (uintptr_t)word);
}

void to_fault(const char *kind, uint32_t pc, uint32_t status, uint32_t address) {
    to_number_text at, with, on;
    const char *const texts[] = {"fault: ",    kind,
                                 ", pc ",      to_text_hex(&at, pc),
                                 ", status ",  to_text_hex(&with, status),
                                 ", address ", to_text_hex(&on, address),
                                 "\n",         0};
    to_slipmux_send_text(texts);
    to_port_exit(FAULT_EXIT);
    for (;;) {
    }
}

void to_port_exit(int code) {
    const uint32_t block[2] = {SEMIHOSTING_APPLICATION_EXIT, (uint32_t)code};
    semihosting(SEMIHOSTING_EXIT_EXTENDED, block);
}
