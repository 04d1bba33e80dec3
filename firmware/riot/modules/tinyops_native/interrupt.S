/* What an interrupt leaves to the thread that it comes to, on native64.
 *
 * RIOT's way out of a signal handler keeps the general registers below the thread's stack pointer. On x86-64 the
 * 128 bytes there belong to the function that was interrupted (System V ABI, 3.2.2), and vector registers, which
 * memcpy and vectorized kernels use, are lost to whichever thread runs next. This one steps over those bytes and keeps
 * all registers. The linker puts it in the place of RIOT's. */
#ifdef __x86_64__

/* x87, SSE, AVX and AVX-512 in the standard format of XSAVE, whose header must be zero. */
#define COMPONENTS 0xE7
#define STATE_BYTES 2752
#define STATE_HEADER 512

    .text
    .globl __wrap__native_sig_leave_tramp
__wrap__native_sig_leave_tramp:
    lea     -128(%rsp), %rsp
    pushq   _native_user_fptr(%rip)
    pushfq
    pushq   %rax
    pushq   %rcx
    pushq   %rdx
    pushq   %rbx
    pushq   %rbp
    pushq   %rsi
    pushq   %rdi
    pushq   %r8
    pushq   %r9
    pushq   %r10
    pushq   %r11
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    cld

    mov     %rsp, %rbp
    sub     $STATE_BYTES, %rsp
    and     $-64, %rsp
    mov     %rsp, %rbx
    lea     STATE_HEADER(%rbx), %rdi
    xor     %eax, %eax
    mov     $8, %ecx
    rep stosq
    mov     $COMPONENTS, %eax
    xor     %edx, %edx
    xsave64 (%rbx)

    mov     _native_current_context(%rip), %rdi
    mov     _native_isr_context(%rip), %rsi
    call    swapcontext
    call    irq_enable
    movl    $0, _native_in_isr(%rip)

    mov     $COMPONENTS, %eax
    xor     %edx, %edx
    xrstor64 (%rbx)
    mov     %rbp, %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %r11
    popq    %r10
    popq    %r9
    popq    %r8
    popq    %rdi
    popq    %rsi
    popq    %rbp
    popq    %rbx
    popq    %rdx
    popq    %rcx
    popq    %rax
    popfq
    ret     $128

#endif
    .section .note.GNU-stack, "", @progbits
