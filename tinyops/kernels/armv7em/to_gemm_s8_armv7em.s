@ Up to three rows of activations times packed weights: the core of convolutions and dense layers (Armv7E-M, DSP).
@
@ void to_gemm_s8_armv7em(const to_gemm *g);
@   g: patch, patch_end, channels, weights, out, row_1, row_2, row_3 (unused), pairs, entry, odd, clamped, start[3]
@
@ A halfword of the weights is 256 b + a + 128 for one tap of two channels a and b. Its product is added to the one sum,
@ that of its upper byte to the other: so sum_a = sum_1 - 256 sum_b - 128 sum of all activations, modulo 2^32.
@ Registers of the inner loop: r4-r6 the one sum for three rows, r7 r10 r11 the other, r12 weights, lr patch, r0-r3 r8 r9
@ operands. One step is 18 instructions of 4 bytes for 24 products.
    .syntax unified
    .thumb

    .macro to_step
    ldrd r0, r2, [r12], #8
    sxtb16 r1, r0, ror #8
    sxtb16 r3, r2, ror #8
    ldrd r8, r9, [lr], #8
    smlad r4, r0, r8, r4
    smlad r7, r1, r8, r7
    smlad r4, r2, r9, r4
    smlad r7, r3, r9, r7
    ldrd r8, r9, [lr], #8
    smlad r5, r0, r8, r5
    smlad r10, r1, r8, r10
    smlad r5, r2, r9, r5
    smlad r10, r3, r9, r10
    ldrd r8, r9, [lr], #8
    smlad r6, r0, r8, r6
    smlad r11, r1, r8, r11
    smlad r6, r2, r9, r6
    smlad r11, r3, r9, r11
    .endm

    .include "to_short_armv7em.inc"

    .macro to_requantize kind
    ldr r3, [sp, #8]
    ldm r3!, {r0-r2}
    \kind r4
    \kind r5
    \kind r6
    ldm r3!, {r0-r2}
    \kind r7
    \kind r10
    \kind r11
    str r3, [sp, #8]
    .endm

    .section .text.to_gemm_s8_armv7em, "ax", %progbits
    .global to_gemm_s8_armv7em
    .type to_gemm_s8_armv7em, %function
    .balign 4
    .thumb_func
to_gemm_s8_armv7em:
    push {r4-r11, lr}
    sub sp, sp, #60
    @ the frame: patch 0, patch_end 4, channels 8, weights 12, out 16, row_1 20, row_2 24, pairs 32, entry 36, odd 40,
    @ clamped 44, start 48
    ldm r0!, {r1-r8}
    stm sp, {r1-r8}
    ldm r0, {r1-r7}
    adr.w r8, .Lto_gemm_end
    sub r2, r8, r2
    orr r2, r2, #1
    add r0, sp, #32
    stm r0, {r1-r7}
    ldr r12, [sp, #12]
.Lto_gemm_pair:
    ldr r3, [sp, #8]
    ldr lr, [sp]
    ldrd r4, r7, [r3], #8
    str r3, [sp, #8]
    add r0, sp, #48
    ldm r0, {r0-r2}
    ldr r3, [sp, #36]
    add r5, r4, r1
    add r6, r4, r2
    add r4, r4, r0
    mov r10, r7
    mov r11, r7
    bx r3
    .balign 4
.Lto_gemm_loop:
    to_step
    to_step
    to_step
    to_step
.Lto_gemm_end:
    ldr.w r0, [sp, #4]
    cmp.w lr, r0
    bne.w .Lto_gemm_loop

    ldr r0, [sp, #44]
    sub r4, r4, r7, lsl #8
    sub r5, r5, r10, lsl #8
    sub r6, r6, r11, lsl #8
    cmp r0, #0
    beq .Lto_gemm_signed
    to_requantize to_short_clamped
    b .Lto_gemm_store
.Lto_gemm_signed:
    to_requantize to_short
.Lto_gemm_store:
    ldrd r0, r1, [sp, #16]
    ldr r2, [sp, #24]
    ldr r3, [sp, #32]
    strb r6, [r0, r2]
    strb r5, [r0, r1]
    strb r4, [r0], #1
    subs r3, r3, #1
    bmi .Lto_gemm_last
    strb r11, [r0, r2]
    strb r10, [r0, r1]
    strb r7, [r0], #1
    str r0, [sp, #16]
    str r3, [sp, #32]
    bne .Lto_gemm_pair
    ldr r0, [sp, #40]
    cmp r0, #0
    bne .Lto_gemm_pair
.Lto_gemm_last:
    add sp, sp, #60
    pop {r4-r11, pc}
    .size to_gemm_s8_armv7em, . - to_gemm_s8_armv7em
