/* The switch pushes the registers that a called function must preserve, swaps stack pointers, pops
 * those of the other side and returns into it. All else a caller saves itself. Rounding modes and
 * exception masks are not switched: nothing here changes them.
 *
 * A new stack is laid out as if it had been left at fiber_context_begin, with the entry and its
 * argument in two of those registers. */
#include "modules/io/fiber_internal.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#ifdef FIBER_WITH_UCONTEXT

/* makecontext passes ints only: a pointer is cut into two. */
static void begin(unsigned entry_high, unsigned entry_low, unsigned argument_high,
                  unsigned argument_low)
{
    void (*entry)(void *) = (void (*)(void *))(uintptr_t)((uint64_t)entry_high << 32 | entry_low);
    entry((void *)(uintptr_t)((uint64_t)argument_high << 32 | argument_low));
}

void fiber_context_prepare(struct fiber_context *context, void *stack_bottom, size_t stack_bytes,
                           void (*entry)(void *argument), void *argument)
{
    uint64_t entry_bits = (uintptr_t)entry, argument_bits = (uintptr_t)argument;
    int rc = getcontext(&context->registers);
    assert(rc == 0);
    (void)rc;
    context->registers.uc_stack.ss_sp = stack_bottom;
    context->registers.uc_stack.ss_size = stack_bytes;
    context->registers.uc_link = NULL;
    makecontext(&context->registers, (void (*)(void))begin, 4, (unsigned)(entry_bits >> 32),
                (unsigned)entry_bits, (unsigned)(argument_bits >> 32), (unsigned)argument_bits);
}

void fiber_context_switch(struct fiber_context *from, struct fiber_context *to)
{
    int rc = swapcontext(&from->registers, &to->registers);
    assert(rc == 0); /* fails only where contexts are not supported at all */
    (void)rc;
}

#else

void fiber_context_begin(void); /* below; never called, only returned into */
void fiber_context_swap(void **out_from_stack, void *to_stack);

#ifdef __x86_64__
/* The saved frame from the stack pointer up: r15 r14 r13 r12 rbx rbp, return address. */
enum { FRAME_WORDS = 7, FRAME_ARGUMENT = 2, FRAME_ENTRY = 3, FRAME_RETURN = 6 };

__asm__(".text\n"
        ".p2align 4\n"
        ".globl fiber_context_swap\n"
        ".hidden fiber_context_swap\n"
        ".type fiber_context_swap, @function\n"
        "fiber_context_swap:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size fiber_context_swap, . - fiber_context_swap\n"
        /* Debuggers stop unwinding here: nobody called us. */
        ".globl fiber_context_begin\n"
        ".hidden fiber_context_begin\n"
        ".type fiber_context_begin, @function\n"
        "fiber_context_begin:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined rip\n"
        "    movq %r13, %rdi\n"
        "    callq *%r12\n"
        "    ud2\n"
        "    .cfi_endproc\n"
        ".size fiber_context_begin, . - fiber_context_begin\n");
#else
/* The saved frame from the stack pointer up: x19 to x28, x29 (frame), x30 (return), d8 to d15. */
enum { FRAME_WORDS = 20, FRAME_ENTRY = 0, FRAME_ARGUMENT = 1, FRAME_RETURN = 11 };

__asm__(".text\n"
        ".p2align 4\n"
        ".globl fiber_context_swap\n"
        ".hidden fiber_context_swap\n"
        ".type fiber_context_swap, %function\n"
        "fiber_context_swap:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".size fiber_context_swap, . - fiber_context_swap\n"
        ".globl fiber_context_begin\n"
        ".hidden fiber_context_begin\n"
        ".type fiber_context_begin, %function\n"
        "fiber_context_begin:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined x30\n"
        "    mov x0, x20\n"
        "    blr x19\n"
        "    brk #1\n"
        "    .cfi_endproc\n"
        ".size fiber_context_begin, . - fiber_context_begin\n");
#endif

void fiber_context_prepare(struct fiber_context *context, void *stack_bottom, size_t stack_bytes,
                           void (*entry)(void *argument), void *argument)
{
    /* Both machines want the stack pointer on 16 bytes once the frame has been popped. */
    uintptr_t top = ((uintptr_t)stack_bottom + stack_bytes) & ~(uintptr_t)15;
    uint64_t *frame = (uint64_t *)top - FRAME_WORDS;
    assert(stack_bytes >= 1024);
    memset(frame, 0, FRAME_WORDS * sizeof(*frame));
    frame[FRAME_ENTRY] = (uintptr_t)entry;
    frame[FRAME_ARGUMENT] = (uintptr_t)argument;
    frame[FRAME_RETURN] = (uintptr_t)fiber_context_begin;
    context->stack = frame;
}

void fiber_context_switch(struct fiber_context *from, struct fiber_context *to)
{
    fiber_context_swap(&from->stack, to->stack);
}
#endif
