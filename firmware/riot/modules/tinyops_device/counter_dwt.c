/* Cortex-M3, M4, M7, M33: CYCCNT of the Data Watchpoint and Trace unit (ARMv7-M Architecture Reference
 * Manual, C1.8; ARMv8-M, B14). */
#include "clk.h"
#include "counter.h"
#include "counter_extend.h"
#include "tinyops/to_port.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define DEMCR REGISTER(0xE000EDFCu)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CYCCNT REGISTER(0xE0001004u)
#define DWT_LAR REGISTER(0xE0001FB0u)

#define DEMCR_TRCENA (1u << 24)
#define DWT_CTRL_CYCCNTENA (1u << 0)
#define LAR_KEY 0xC5ACCE55u /* a Cortex-M7 ignores writes until it has it; others ignore the key */

static uint32_t last;
static uint64_t last_ms;
static uint64_t total;
static int counts;

uint64_t to_port_count(void) {
    uint32_t now = DWT_CYCCNT;
    uint64_t now_ms = to_port_now_ms();
    total += to_counter_elapsed(now - last, now_ms - last_ms, coreclk());
    last_ms = now_ms;
    last = DWT_CYCCNT;
    return total;
}

const char *to_port_count_kind(void) { return counts ? "measured-on-board" : "none"; }

uint32_t to_port_count_hertz(void) { return counts ? coreclk() : 0; }

void to_counter_init(void) {
    DEMCR |= DEMCR_TRCENA;
    DWT_LAR = LAR_KEY;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
    last = DWT_CYCCNT;
    __asm__ volatile("nop\nnop\nnop\nnop" ::: "memory");
    counts = DWT_CYCCNT != last;
    last_ms = to_port_now_ms();
    last = DWT_CYCCNT;
}
