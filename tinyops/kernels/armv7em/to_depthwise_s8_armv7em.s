@ One channel of a depthwise convolution on an int16 plane, any window (Armv7E-M, DSP).
@
@ void to_depthwise_s8_armv7em(const to_depthwise_run *d);
@   d: plane, out, weights, bias, step, multiplier, addend, shift, height, width, row_skip, entry, advance, kernel_h,
@   line_skip, clamped
@
@ Weights are pairs for the one output, and in turn the same pairs moved by the stride for its neighbour. Registers of
@ the inner loop: r0 plane, r1 weights, r2 rows left, r3 bytes from the end of a window's row to the start of the next,
@ r4 r5 sums, r6-r8 operands, r9 entry; r10 window, r11 outputs left in the row, r12 out.
    .syntax unified
    .thumb

    .macro to_step
    ldr.w r8, [r0], #4
    ldrd r6, r7, [r1], #8
    smlad r4, r8, r6, r4
    smlad r5, r8, r7, r5
    .endm

    .section .text.to_depthwise_s8_armv7em, "ax", %progbits
    .global to_depthwise_s8_armv7em
    .type to_depthwise_s8_armv7em, %function
    .balign 4
    .thumb_func
to_depthwise_s8_armv7em:
    push {r4-r11, lr}
    sub sp, sp, #68
    @ the frame: plane 0, out 4, weights 8, bias 12, step 16, multiplier 20, addend 24, shift 28, height 32, width 36,
    @ row_skip 40, entry 44, advance 48, kernel_h 52, line_skip 56, clamped 60
    ldm r0!, {r1-r8}
    stm sp, {r1-r8}
    ldm r0, {r1-r8}
    adr.w r9, .Lto_depthwise_row_end
    sub r4, r9, r4
    orr r9, r4, #1
    add r0, sp, #32
    stm r0, {r1-r8}
    ldr r10, [sp]
    ldr r12, [sp, #4]
.Lto_depthwise_line:
    ldr r11, [sp, #36]
.Lto_depthwise_window:
    mov r0, r10
    ldrd r1, r4, [sp, #8]
    ldr r2, [sp, #52]
    ldr r3, [sp, #40]
    mov r5, r4
.Lto_depthwise_row:
    bx r9
    .balign 4
    .rept 8
    to_step
    .endr
.Lto_depthwise_row_end:
    add r0, r0, r3
    subs r2, r2, #1
    bne .Lto_depthwise_row

    add r0, sp, #16
    ldm r0, {r0-r3}
    ldr r6, [sp, #60]
    cmp r6, #0
    beq .Lto_depthwise_signed
    smmlar r4, r4, r1, r2
    smmlar r5, r5, r1, r2
    b .Lto_depthwise_store
.Lto_depthwise_signed:
    smmulr r4, r4, r1
    smmulr r5, r5, r1
    add r4, r4, r4, asr #31
    add r5, r5, r5, asr #31
    add r4, r4, r2
    add r5, r5, r2
.Lto_depthwise_store:
    asr r4, r4, r3
    asr r5, r5, r3
    ssat r4, #8, r4
    ssat r5, #8, r5
    ldr r6, [sp, #48]
    strb r4, [r12]
    add r12, r12, r0
    add r10, r10, r6
    subs r11, r11, #1
    beq .Lto_depthwise_line_end
    strb r5, [r12]
    add r12, r12, r0
    subs r11, r11, #1
    bne .Lto_depthwise_window
.Lto_depthwise_line_end:
    ldr r6, [sp, #56]
    ldr r7, [sp, #32]
    add r10, r10, r6
    subs r7, r7, #1
    str r7, [sp, #32]
    bne .Lto_depthwise_line
    add sp, sp, #68
    pop {r4-r11, pc}
    .size to_depthwise_s8_armv7em, . - to_depthwise_s8_armv7em
