/* The RISC-V processors of ESP32-C3, C6 and H2, which have a counter of their own instead of mcycle (ESP32-C3
 * Technical Reference Manual, 1.4): mpcer says what it counts, mpcmr starts it. */
#include "clk.h"
#include "counter.h"
#include "counter_extend.h"
#include "tinyops/to_port.h"

#define MPCER_CYCLES 1u
#define MPCMR_ENABLE 1u /* without the bit of saturation: it wraps */

static uint32_t read_mpccr(void) {
    uint32_t value;
    __asm__ volatile("csrr %0, 0x7e2" : "=r"(value)::"memory");
    return value;
}

static uint32_t last;
static uint64_t last_ms;
static uint64_t total;
static int counts;

uint64_t to_port_count(void) {
    uint32_t now = read_mpccr();
    uint64_t now_ms = to_port_now_ms();
    total += to_counter_elapsed(now - last, now_ms - last_ms, coreclk());
    last_ms = now_ms;
    last = read_mpccr();
    return total;
}

const char *to_port_count_kind(void) { return counts ? "measured-on-board" : "none"; }

uint32_t to_port_count_hertz(void) { return counts ? coreclk() : 0; }

void to_counter_init(void) {
    __asm__ volatile("csrw 0x7e0, %0\ncsrw 0x7e1, %1" ::"r"(MPCER_CYCLES), "r"(MPCMR_ENABLE) : "memory");
    last = read_mpccr();
    __asm__ volatile("nop\nnop\nnop\nnop" ::: "memory");
    counts = read_mpccr() != last;
    last_ms = to_port_now_ms();
    last = read_mpccr();
}
