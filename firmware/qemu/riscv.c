/* RISC-V (RV32, machine mode): start, traps, memory protection of the flash, and the retired instruction
 * counter. */
#include "board.h"
#include "tinyops/to_port.h"

/* The CSR instructions are an extension of their own since the ISA manual of 2019. */
#define ZICSR(instruction) ".option push\n.option arch, +zicsr\n" instruction "\n.option pop"
#define CSR_READ(name, variable) __asm__ volatile(ZICSR("csrr %0, " name) : "=r"(variable)::"memory")
#define CSR_WRITE(name, value) __asm__ volatile(ZICSR("csrw " name ", %0")::"r"(value) : "memory")

/* PMP entry: locked (so that it binds machine mode too), naturally aligned power of two, execute and read. */
#define PMP_FLASH (0x80u | 0x18u | 0x04u | 0x01u)
/* From the address of the entry before to its own: read and write. */
#define PMP_UPDATE (0x08u | 0x02u | 0x01u)
#define MSTATUS_FS_INITIAL (1u << 13)

/* SiFive's test finisher, as QEMU's virt machine has it. */
#define FINISHER (*(volatile uint32_t *)0x100000u)
#define FINISHER_RESET 0x7777u

static const char *cause_name(uint32_t cause) {
    switch (cause) {
    case 0:
    case 1:
        return "instruction access fault";
    case 2:
        return "illegal instruction";
    case 3:
        return "breakpoint";
    case 4:
    case 6:
        return "misaligned access";
    case 5:
        return "load fault";
    case 7:
        return "store fault";
    default:
        return "unexpected trap";
    }
}

__attribute__((used, noreturn)) static void report_trap(uintptr_t stack) {
    uint32_t cause, pc, value;
    CSR_READ("mcause", cause);
    CSR_READ("mepc", pc);
    CSR_READ("mtval", value);
    int overflow = stack < (uintptr_t)to_stack_bottom;
    to_fault(overflow ? "stack overflow" : cause_name(cause), pc, cause, value);
}

/* The stack may be the trap's cause: the report starts on an empty one. */
__attribute__((naked, aligned(4))) static void trap_handler(void) {
    __asm__ volatile("mv a0, sp\n"
                     "la sp, to_stack_top\n"
                     "tail report_trap");
}

__attribute__((used, noreturn)) static void prepare(void) {
    CSR_WRITE("mtvec", (uintptr_t)trap_handler);
#if defined(__riscv_flen)
    __asm__ volatile(ZICSR("csrs mstatus, %0")::"r"(MSTATUS_FS_INITIAL) : "memory");
#endif
    /* The stack's overflow would run into the flash, which is RAM in the emulator: let writes there fault. */
    uintptr_t origin = (uintptr_t)to_flash_origin;
    uintptr_t bytes = (uintptr_t)to_flash_end - origin;
    CSR_WRITE("pmpaddr0", (uintptr_t)to_region_start >> 2);
    CSR_WRITE("pmpaddr1", (uintptr_t)to_flash_end >> 2);
    CSR_WRITE("pmpaddr2", origin >> 2 | (bytes / 8 - 1));
    CSR_WRITE("pmpcfg0", PMP_FLASH << 16 | PMP_UPDATE << 8);
    CSR_WRITE("mcountinhibit", 0);
    to_boot();
}

/* In a section of its own, which the linker script puts first: the emulator starts at the first byte. */
__attribute__((naked, used, section(".start"))) void to_start(void) {
    __asm__ volatile(".option push\n.option norelax\nla gp, __global_pointer$\n.option pop\n"
                     "la sp, to_stack_top\n"
                     "tail prepare");
}

uint64_t to_port_count(void) {
    uint32_t high, low, again;
    do {
        CSR_READ("minstreth", high);
        CSR_READ("minstret", low);
        CSR_READ("minstreth", again);
    } while (high != again);
    return (uint64_t)high << 32 | low;
}

void to_port_reset(void) {
    FINISHER = FINISHER_RESET;
    for (;;) {
    }
}

const char *to_port_count_kind(void) { return "emulated-instructions"; }

uint32_t to_port_count_hertz(void) { return 0; }
