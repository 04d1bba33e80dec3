/* Cortex-M: vectors, start, faults, and an instruction counter on SysTick.
 *
 * Under QEMU's -icount every instruction takes the same virtual time, here longer than a SysTick tick, so
 * that the ticks tell instructions apart exactly: TO_TICK_NUMERATOR / TO_TICK_DENOMINATOR instructions per
 * tick, below 1. */
#include "board.h"
#include "tinyops/to_port.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define SYSTICK_CONTROL REGISTER(0xE000E010u)
#define SYSTICK_RELOAD REGISTER(0xE000E014u)
#define SYSTICK_VALUE REGISTER(0xE000E018u)
#define SCB_ICSR REGISTER(0xE000ED04u)
#define SCB_AIRCR REGISTER(0xE000ED0Cu)
#define SCB_SHCSR REGISTER(0xE000ED24u)
#define SCB_CFSR REGISTER(0xE000ED28u)
#define SCB_BFAR REGISTER(0xE000ED38u)
#define SCB_CPACR REGISTER(0xE000ED88u)

#define SYSTICK_TICKS UINT32_C(0x1000000)
#define SYSTICK_STOP 6u /* processor clock, interrupt */
#define SYSTICK_RUN 7u
#define ICSR_SYSTICK_PENDING (1u << 26)
#define ICSR_SYSTICK_CLEAR (1u << 25)
#define SHCSR_FAULTS (7u << 16)
#define CPACR_FPU (0xFu << 20)
#define AIRCR_RESET 0x05FA0004u /* key, SYSRESETREQ */

/* Instructions of systick_handler, which are counted with the code that it interrupts. */
#define HANDLER_INSTRUCTIONS 5u

/* After k instructions the ticks times the numerator are in (k * denominator - numerator, k * denominator]:
 * any rounding from numerator to denominator - 1 gives k, and the middle is safest. */
#define ROUNDING ((TO_TICK_NUMERATOR + TO_TICK_DENOMINATOR) / 2)

uint32_t to_systick_wraps;

__attribute__((naked)) static void systick_handler(void) {
    __asm__ volatile(".syntax unified\nldr r0, =to_systick_wraps\n"
                     "ldr r1, [r0]\n"
                     "adds r1, #1\n"
                     "str r1, [r0]\n"
                     "bx lr\n"
                     ".ltorg");
}

/* Counts the time from the last call to this one, and starts anew, on an instruction of its own. */
uint64_t to_port_count(void) {
    static uint64_t total;
    __asm__ volatile("cpsid i" ::: "memory");
    SYSTICK_CONTROL = SYSTICK_STOP;
    uint32_t value = SYSTICK_VALUE;
    uint32_t handled = to_systick_wraps;
    uint32_t wraps = handled;
    if (SCB_ICSR & ICSR_SYSTICK_PENDING) {
        SCB_ICSR = ICSR_SYSTICK_CLEAR;
        wraps++;
    }
    uint64_t ticks =
        (uint64_t)wraps * SYSTICK_TICKS + (SYSTICK_TICKS - value); /* the first one loads the timer */
    total += (ticks * TO_TICK_NUMERATOR + ROUNDING) / TO_TICK_DENOMINATOR -
             (uint64_t)handled * HANDLER_INSTRUCTIONS;
    to_systick_wraps = 0;
    SYSTICK_RELOAD = SYSTICK_TICKS - 1;
    SYSTICK_VALUE = 0;
    __asm__ volatile("cpsie i" ::: "memory");
    SYSTICK_CONTROL = SYSTICK_RUN;
    return total;
}

const char *to_port_count_kind(void) { return "emulated-instructions"; }

uint32_t to_port_count_hertz(void) { return 0; }

void to_port_reset(void) {
    __asm__ volatile("dsb" ::: "memory");
    SCB_AIRCR = AIRCR_RESET;
    for (;;) {
    }
}

__attribute__((used, noreturn)) static void report_fault(const uint32_t *frame, uint32_t number) {
    static const char *const kinds[] = {"hard fault", "memory fault", "bus fault", "usage fault"};
    uint32_t status = 0, address = 0;
#if __ARM_ARCH > 6
    status = SCB_CFSR;
    address = SCB_BFAR;
#endif
    int inside = frame >= to_stack_bottom && frame + 8 <= to_stack_top;
    const char *kind = !inside                      ? "stack overflow"
                       : number >= 3 && number <= 6 ? kinds[number - 3]
                                                    : "unexpected interrupt";
    to_fault(kind, inside ? frame[6] : 0, status, address);
}

/* The stack may be the fault's cause: the report starts on an empty one. */
__attribute__((naked)) static void fault_handler(void) {
    __asm__ volatile(".syntax unified\nmrs r0, msp\n"
                     "mrs r1, ipsr\n"
                     "ldr r2, =to_stack_top\n"
                     "msr msp, r2\n"
                     "ldr r2, =report_fault\n"
                     "bx r2\n"
                     ".ltorg");
}

__attribute__((noreturn)) static void reset_handler(void) {
#if __ARM_ARCH > 6
    SCB_SHCSR |= SHCSR_FAULTS;
#endif
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    SCB_CPACR |= CPACR_FPU;
    __asm__ volatile("dsb\nisb" ::: "memory");
#endif
    to_boot();
}

typedef union {
    void (*handler)(void);
    uint32_t *stack;
} vector;

__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    {.stack = to_stack_top},
    {.handler = reset_handler},
    {.handler = fault_handler}, /* NMI */
    {.handler = fault_handler}, /* HardFault */
    {.handler = fault_handler}, /* MemManage */
    {.handler = fault_handler}, /* BusFault */
    {.handler = fault_handler}, /* UsageFault */
    {.handler = fault_handler}, /* SecureFault */
    {.stack = 0},
    {.stack = 0},
    {.stack = 0},
    {.handler = fault_handler}, /* SVCall */
    {.handler = fault_handler}, /* DebugMonitor */
    {.stack = 0},
    {.handler = fault_handler}, /* PendSV */
    {.handler = systick_handler},
};
