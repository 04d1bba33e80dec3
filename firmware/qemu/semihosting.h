/* Arm's semihosting (IHI 0100): how an emulated board reaches its emulator. */
#ifndef TINYOPS_SEMIHOSTING_H
#define TINYOPS_SEMIHOSTING_H

#include <stdint.h>

enum {
    SEMIHOSTING_WRITEC = 0x03,
    SEMIHOSTING_WRITE0 = 0x04,
    SEMIHOSTING_READC = 0x07,
    SEMIHOSTING_EXIT_EXTENDED = 0x20
};

#define SEMIHOSTING_APPLICATION_EXIT 0x20026u

static inline uint32_t semihosting(uint32_t operation, const void *argument) {
#if defined(__riscv)
    register uint32_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = argument;
    /* The three instructions are uncompressed and on one page: the alignment sees to it. */
    __asm__ volatile(".option push\n.option norvc\n.balign 16\n"
                     "slli zero, zero, 0x1f\nebreak\nsrai zero, zero, 7\n.option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
    return a0;
#else
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
#endif
}

/* The next character of the console. QEMU passes it through the byte below the stack pointer, and
 * versions 7.1 to 8.0 return what that byte held before; versions up to 7.0 leave it alone. So the byte
 * counts when it has changed, and the result when it has not. No interrupt may use the stack meanwhile. */
static inline uint8_t semihosting_readc(void) {
    uint32_t below;
#if defined(__riscv)
    register uint32_t a0 __asm__("a0") = SEMIHOSTING_READC;
    register uint32_t a1 __asm__("a1") = 0;
    __asm__ volatile("sb zero, -1(sp)\n"
                     ".option push\n.option norvc\n.balign 16\n"
                     "slli zero, zero, 0x1f\nebreak\nsrai zero, zero, 7\n.option pop\n"
                     "lbu %1, -1(sp)"
                     : "+r"(a0), "=&r"(below)
                     : "r"(a1)
                     : "memory");
    return (uint8_t)(below != 0 ? below : a0);
#else
    register uint32_t r0 __asm__("r0") = SEMIHOSTING_READC;
    register uint32_t r1 __asm__("r1") = 0;
    uint32_t place;
    __asm__ volatile(".syntax unified\ncpsid i\n"
                     "mov %2, sp\nsubs %2, #1\nmovs %1, #0\nstrb %1, [%2]\n"
                     "bkpt 0xab\n"
                     "ldrb %1, [%2]\ncpsie i"
                     : "+l"(r0), "=&l"(below), "=&l"(place)
                     : "l"(r1)
                     : "memory", "cc");
    return (uint8_t)(below != 0 ? below : r0);
#endif
}

#endif
