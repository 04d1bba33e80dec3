@ Rows of one channel of an NHWC image, as int16 (Armv7E-M).
@
@ void to_gather_s8_armv7em(int16_t *to, const int8_t *from, const to_gather_s8 *g);
@   g: channels, width, rows, skip: bytes from the end of a row in `to` to the start of the next
    .syntax unified
    .thumb
    .section .text.to_gather_s8_armv7em, "ax", %progbits
    .global to_gather_s8_armv7em
    .type to_gather_s8_armv7em, %function
    .balign 4
    .thumb_func
to_gather_s8_armv7em:
    push {r4-r10, lr}
    ldm r2, {r2-r5}
    add r6, r2, r2, lsl #1
.Lto_gather_row:
    subs r7, r3, #4
    blt .Lto_gather_tail
.Lto_gather_four:
    ldrsb r8, [r1]
    ldrsb r9, [r1, r2]
    ldrsb r10, [r1, r2, lsl #1]
    ldrsb r12, [r1, r6]
    add r1, r1, r2, lsl #2
    strh r8, [r0], #2
    strh r9, [r0], #2
    strh r10, [r0], #2
    strh r12, [r0], #2
    subs r7, r7, #4
    bge .Lto_gather_four
.Lto_gather_tail:
    adds r7, r7, #4
    beq .Lto_gather_next
.Lto_gather_one:
    ldrsb r8, [r1]
    add r1, r1, r2
    strh r8, [r0], #2
    subs r7, r7, #1
    bne .Lto_gather_one
.Lto_gather_next:
    add r0, r0, r5
    subs r4, r4, #1
    bne .Lto_gather_row
    pop {r4-r10, pc}
    .size to_gather_s8_armv7em, . - to_gather_s8_armv7em
