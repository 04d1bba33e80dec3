/* RISC-V: mcycle, of 64 bits (The RISC-V Instruction Set Manual, Volume II, 3.1.10). */
#include "clk.h"
#include "counter.h"
#include "tinyops/to_port.h"

static int counts;

uint64_t to_port_count(void) {
    uint32_t high, low, again;
    do {
        __asm__ volatile("csrr %0, mcycleh\n"
                         "csrr %1, mcycle\n"
                         "csrr %2, mcycleh"
                         : "=&r"(high), "=&r"(low), "=&r"(again)::"memory");
    } while (high != again);
    return (uint64_t)high << 32 | low;
}

static int advances(void) {
    uint64_t before = to_port_count();
    __asm__ volatile("nop\nnop\nnop\nnop" ::: "memory");
    return to_port_count() != before;
}

/* An emulator has no maker; its mcycle follows the computer's clock. */
static int is_hardware(void) {
    uint32_t maker;
    __asm__ volatile("csrr %0, mvendorid" : "=r"(maker));
    return maker != 0;
}

void to_counter_init(void) {
    if (!is_hardware()) {
        return;
    }
    counts = advances();
    if (!counts) {
        /* mcountinhibit, by its number: a processor whose counter stands still after a reset has it. */
        __asm__ volatile("csrci 0x320, 1" ::: "memory");
        counts = advances();
    }
}

const char *to_port_count_kind(void) { return counts ? "measured-on-board" : "none"; }

uint32_t to_port_count_hertz(void) { return counts ? coreclk() : 0; }
