@ A row of activations times packed int8 weights: the core of dense layers (Armv7E-M, DSP).
@
@ void to_gemv_s8_armv7em(const to_gemv *g);
@   g: row, row_end, weights, bias, out, start, entry, channels, multiplier, addend, shift, clamped
@
@ A halfword of the weights is 256 b + a + 128 for one tap of two channels a and b. Its product is added to the one sum,
@ that of its upper byte to the other: so sum_a = sum_1 - 256 sum_b - 128 sum of all activations, modulo 2^32.
@ Registers of the inner loop: r4 r5 sums of the first two channels, r6 r7 of the next two, r12 weights, lr row, r11
@ its end, r0-r3 r8-r10 operands. One step is 14 instructions of 4 bytes for 16 products.
    .syntax unified
    .thumb

    .macro to_step
    ldm.w r12!, {r0-r3}
    ldrd r8, r9, [lr], #8
    sxtb16 r10, r0, ror #8
    smlad r4, r0, r8, r4
    smlad r5, r10, r8, r5
    sxtb16 r10, r1, ror #8
    smlad r6, r1, r8, r6
    smlad r7, r10, r8, r7
    sxtb16 r10, r2, ror #8
    smlad r4, r2, r9, r4
    smlad r5, r10, r9, r5
    sxtb16 r10, r3, ror #8
    smlad r6, r3, r9, r6
    smlad r7, r10, r9, r7
    .endm

    .include "to_short_armv7em.inc"

    .section .text.to_gemv_s8_armv7em, "ax", %progbits
    .global to_gemv_s8_armv7em
    .type to_gemv_s8_armv7em, %function
    .balign 4
    .thumb_func
to_gemv_s8_armv7em:
    push {r4-r11, lr}
    sub sp, sp, #52
    @ the frame: row 0, row_end 4, weights 8, bias 12, out 16, start 20, entry 24, channels 28, multiplier 32, addend 36,
    @ shift 40, clamped 44
    ldm r0!, {r1-r8}
    adr.w r9, .Lto_gemv_end
    sub r7, r9, r7
    orr r7, r7, #1
    stm sp, {r1-r8}
    ldm r0, {r1-r4}
    add r0, sp, #32
    stm r0, {r1-r4}
    ldrd r11, r12, [sp, #4]
.Lto_gemv_quad:
    ldr r0, [sp, #12]
    ldrd r1, r2, [sp, #20]
    ldr lr, [sp]
    ldm r0!, {r4-r7}
    str r0, [sp, #12]
    add r4, r4, r1
    add r6, r6, r1
    bx r2
    .balign 4
.Lto_gemv_loop:
    .rept 4
    to_step
    .endr
.Lto_gemv_end:
    cmp.w lr, r11
    bne.w .Lto_gemv_loop

    add r0, sp, #32
    ldm r0, {r0-r3}
    sub r4, r4, r5, lsl #8
    sub r6, r6, r7, lsl #8
    cmp r3, #0
    beq .Lto_gemv_signed
    to_short_clamped r4
    to_short_clamped r5
    to_short_clamped r6
    to_short_clamped r7
    b .Lto_gemv_store
.Lto_gemv_signed:
    to_short r4
    to_short r5
    to_short r6
    to_short r7
.Lto_gemv_store:
    ldr r0, [sp, #16]
    ldr r1, [sp, #28]
    strb r4, [r0], #1
    cmp r1, #2
    blt .Lto_gemv_last
    strb r5, [r0], #1
    beq .Lto_gemv_last
    cmp r1, #4
    strb r6, [r0], #1
    blt .Lto_gemv_last
    strb r7, [r0], #1
    str r0, [sp, #16]
    subs r1, r1, #4
    str r1, [sp, #28]
    bne .Lto_gemv_quad
.Lto_gemv_last:
    add sp, sp, #52
    pop {r4-r11, pc}
    .size to_gemv_s8_armv7em, . - to_gemv_s8_armv7em
