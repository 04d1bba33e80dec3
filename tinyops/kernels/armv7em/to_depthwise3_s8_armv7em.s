@ One channel of a depthwise 3x3 convolution on an int16 plane (Armv7E-M, DSP).
@
@ void to_depthwise3_s8_armv7em(const to_depthwise3_s8 *d);
@   d: rows[3], out, weights[6], bias, step, multiplier, addend, shift, pair_bytes, skip, height, odd, wide,
@   clamped
@
@ Registers: r0-r2 rows of the plane, r3 outputs, r4-r9 weights (w0, w1) (w1, w2) of each row, r10 r11 sums of two
@ neighbouring outputs, r12 lr operands.
    .syntax unified
    .thumb

    @ Two outputs from one row, with stride 1: x0 w0 + x1 w1 + x2 w2 and x1 w0 + x2 w1 + x3 w2. `first` starts the sums.
    .macro to_row1 row, w01, w12, a, b
    ldr r12, [\row], #4
    ldr lr, [\row]
    smlad r10, r12, \w01, \a
    smlatb r11, r12, \w01, \b
    smlabt r10, lr, \w12, r10
    smlad r11, lr, \w12, r11
    .endm

    @ The same with stride 2: x0 w0 + x1 w1 + x2 w2 and x2 w0 + x3 w1 + x4 w2.
    .macro to_row2 row, w01, w12, a, b
    ldr r12, [\row]
    ldr lr, [\row, #4]
    smlad r10, r12, \w01, \a
    smlad r11, lr, \w01, \b
    smlabt r10, lr, \w12, r10
    ldr r12, [\row, #8]!
    smlabt r11, r12, \w12, r11
    .endm

    @ One output: x0 w0 + x1 w1 + x2 w2.
    .macro to_row_single row, w01, w12, a
    ldr r12, [\row]
    ldr lr, [\row, #4]
    smlad r10, r12, \w01, \a
    smlabt r10, lr, \w12, r10
    .endm

    .macro to_depthwise3 stride, clamped
1:
    ldr r12, [sp, #20]
    adds r12, r3, r12
    str r12, [sp, #36]
    cmp r12, r3
    beq 3f
2:
    ldr r11, [sp]
    to_row\stride r0, r4, r5, r11, r11
    to_row\stride r1, r6, r7, r10, r11
    to_row\stride r2, r8, r9, r10, r11
    ldrd r12, lr, [sp, #8]
    .if \clamped
    smmlar r10, r10, r12, lr
    smmlar r11, r11, r12, lr
    .else
    smmulr r10, r10, r12
    smmulr r11, r11, r12
    add r10, r10, r10, asr #31
    add r11, r11, r11, asr #31
    add r10, r10, lr
    add r11, r11, lr
    .endif
    ldr lr, [sp, #16]
    ldr r12, [sp, #4]
    asr r10, r10, lr
    asr r11, r11, lr
    ssat r10, #8, r10
    ssat r11, #8, r11
    strb r10, [r3]
    strb r11, [r3, r12]
    add r3, r3, r12, lsl #1
    ldr r12, [sp, #36]
    cmp r3, r12
    bne 2b
3:
    ldr r12, [sp, #32]
    cmp r12, #0
    beq 4f
    ldr r10, [sp]
    to_row_single r0, r4, r5, r10
    to_row_single r1, r6, r7, r10
    to_row_single r2, r8, r9, r10
    ldrd r12, lr, [sp, #8]
    .if \clamped
    smmlar r10, r10, r12, lr
    .else
    smmulr r10, r10, r12
    add r10, r10, r10, asr #31
    add r10, r10, lr
    .endif
    ldr lr, [sp, #16]
    ldr r12, [sp, #4]
    asr r10, r10, lr
    ssat r10, #8, r10
    strb r10, [r3]
    add r3, r3, r12
4:
    ldr r12, [sp, #24]
    add r0, r0, r12
    add r1, r1, r12
    add r2, r2, r12
    ldr r12, [sp, #28]
    subs r12, r12, #1
    str r12, [sp, #28]
    bne.w 1b
    b .Lto_depthwise3_end
    .endm

    .section .text.to_depthwise3_s8_armv7em, "ax", %progbits
    .global to_depthwise3_s8_armv7em
    .type to_depthwise3_s8_armv7em, %function
    .balign 4
    .thumb_func
to_depthwise3_s8_armv7em:
    push {r4-r11, lr}
    sub sp, sp, #44
    @ the frame: bias 0, step 4, multiplier 8, addend 12, shift 16, pair_bytes 20, skip 24, height 28, odd 32, row end 36
    add r12, r0, #40
    ldm r12!, {r1-r9}
    stm sp, {r1-r9}
    ldrd r10, r11, [r12]
    mov r12, r0
    ldm r12, {r0-r9}
    cmp r10, #0
    bne .Lto_depthwise3_wide
    cmp r11, #0
    beq .Lto_depthwise3_signed
    to_depthwise3 1, 1
.Lto_depthwise3_signed:
    to_depthwise3 1, 0
.Lto_depthwise3_wide:
    cmp r11, #0
    beq .Lto_depthwise3_wide_signed
    to_depthwise3 2, 1
.Lto_depthwise3_wide_signed:
    to_depthwise3 2, 0
.Lto_depthwise3_end:
    add sp, sp, #44
    pop {r4-r11, pc}
    .size to_depthwise3_s8_armv7em, . - to_depthwise3_s8_armv7em
