/* Cortex-M0, M0+ and M23, which have no CYCCNT: SysTick at the processor's clock. RIOT leaves it alone.
 *
 * It is a counter of 24 bits; its interrupt, every 2^24 cycles, counts the wraps. */
#include "clk.h"
#include "counter.h"
#include "irq.h"
#include "tinyops/to_port.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define SYSTICK_CONTROL REGISTER(0xE000E010u)
#define SYSTICK_RELOAD REGISTER(0xE000E014u)
#define SYSTICK_VALUE REGISTER(0xE000E018u)
#define SCB_ICSR REGISTER(0xE000ED04u)

#define SYSTICK_TICKS UINT32_C(0x1000000)
#define SYSTICK_STOP 6u /* processor clock, interrupt */
#define SYSTICK_RUN 7u
#define ICSR_SYSTICK_PENDING (1u << 26)
#define ICSR_SYSTICK_CLEAR (1u << 25)

static volatile uint32_t wraps;
static uint64_t total;
static int counts;

void isr_systick(void);

/* RIOT's vector table has it. Nothing is to be woken, so that no scheduler is asked. */
void isr_systick(void) { wraps++; }

/* Counts the time from the last call to this one, and starts anew. */
uint64_t to_port_count(void) {
    unsigned state = irq_disable();
    SYSTICK_CONTROL = SYSTICK_STOP;
    uint32_t value = SYSTICK_VALUE;
    uint32_t wrapped = wraps;
    if (SCB_ICSR & ICSR_SYSTICK_PENDING) {
        SCB_ICSR = ICSR_SYSTICK_CLEAR;
        wrapped++;
    }
    /* A write clears the counter; its first cycle loads it, and it wraps when it goes from 1 to 0. */
    total += (uint64_t)wrapped * SYSTICK_TICKS + (value != 0 ? SYSTICK_TICKS - value : 0);
    wraps = 0;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = SYSTICK_RUN;
    irq_restore(state);
    return total;
}

void to_counter_init(void) {
    SYSTICK_RELOAD = SYSTICK_TICKS - 1u;
    SYSTICK_CONTROL = SYSTICK_STOP;
    (void)to_port_count();
    uint64_t before = to_port_count();
    counts = to_port_count() != before;
}

const char *to_port_count_kind(void) { return counts ? "measured-on-board" : "none"; }

uint32_t to_port_count_hertz(void) { return counts ? coreclk() : 0; }
