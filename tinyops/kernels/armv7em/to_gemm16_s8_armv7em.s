@ Up to four rows of activations times packed int16 weights: the core of convolutions and dense layers (Armv7E-M, DSP).
@
@ void to_gemm16_s8_armv7em(const to_gemm_s8 *g);
@   g: patch, patch_end, channels, weights, out, row_1, row_2, row_3, pairs, entry, odd, clamped
@
@ Registers of the inner loop: r4-r7 sums of the even channel for four rows, r8-r11 of the odd one, r12 weights, lr
@ patch, r0-r3 operands. One step is 11 instructions of 4 bytes for 16 products.
    .syntax unified
    .thumb

    .macro to_step
    ldrd r0, r1, [r12], #8
    ldrd r2, r3, [lr], #8
    smlad r4, r0, r2, r4
    smlad r8, r1, r2, r8
    smlad r5, r0, r3, r5
    smlad r9, r1, r3, r9
    ldrd r2, r3, [lr], #8
    smlad r6, r0, r2, r6
    smlad r10, r1, r2, r10
    smlad r7, r0, r3, r7
    smlad r11, r1, r3, r11
    .endm

    .include "to_short_armv7em.inc"

    .macro to_requantize kind
    ldm r3!, {r0-r2}
    \kind r4
    \kind r5
    \kind r6
    \kind r7
    ldm r3!, {r0-r2}
    \kind r8
    \kind r9
    \kind r10
    \kind r11
    .endm

    .section .text.to_gemm16_s8_armv7em, "ax", %progbits
    .global to_gemm16_s8_armv7em
    .type to_gemm16_s8_armv7em, %function
    .balign 4
    .thumb_func
to_gemm16_s8_armv7em:
    push {r4-r11, lr}
    sub sp, sp, #52
    @ the frame: patch 0, patch_end 4, channels 8, weights 12, out 16, row_1 20, row_2 24, row_3 28, pairs 32, entry 36,
    @ odd 40, clamped 44
    ldm r0!, {r1-r8}
    stm sp, {r1-r8}
    ldm r0, {r1-r4}
    adr.w r5, .Lto_gemm16_end
    sub r2, r5, r2
    orr r2, r2, #1
    add r0, sp, #32
    stm r0, {r1-r4}
    ldr r12, [sp, #12]
.Lto_gemm16_pair:
    ldr r3, [sp, #8]
    ldr lr, [sp]
    ldrd r4, r8, [r3], #8
    str r3, [sp, #8]
    ldr r0, [sp, #36]
    mov r5, r4
    mov r6, r4
    mov r7, r4
    mov r9, r8
    mov r10, r8
    mov r11, r8
    bx r0
    .balign 4
.Lto_gemm16_loop:
    .rept 8
    to_step
    .endr
.Lto_gemm16_end:
    ldr.w r0, [sp, #4]
    cmp.w lr, r0
    bne.w .Lto_gemm16_loop

    ldr r0, [sp, #44]
    ldr r3, [sp, #8]
    cmp r0, #0
    beq .Lto_gemm16_signed
    to_requantize to_short_clamped
    b .Lto_gemm16_store
.Lto_gemm16_signed:
    to_requantize to_short
.Lto_gemm16_store:
    str r3, [sp, #8]
    add r0, sp, #16
    ldm r0, {r0-r3, lr}
    strb r7, [r0, r3]
    strb r6, [r0, r2]
    strb r5, [r0, r1]
    strb r4, [r0], #1
    subs lr, lr, #1
    bmi .Lto_gemm16_last
    strb r11, [r0, r3]
    strb r10, [r0, r2]
    strb r9, [r0, r1]
    strb r8, [r0], #1
    str r0, [sp, #16]
    str lr, [sp, #32]
    bne .Lto_gemm16_pair
    ldr r0, [sp, #40]
    cmp r0, #0
    bne .Lto_gemm16_pair
.Lto_gemm16_last:
    add sp, sp, #52
    pop {r4-r11, pc}
    .size to_gemm16_s8_armv7em, . - to_gemm16_s8_armv7em
