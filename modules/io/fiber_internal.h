/* fiber_internal.h - the processor's part of fibers: leave one stack, go on on another.
 *
 * Two ways: a few instructions for the machines we know, swapcontext for all others (it makes a
 * system call for the signal mask each time, which costs more than many a command). fiber.c only
 * sees this interface. One thread. */
#ifndef MODULES_IO_FIBER_INTERNAL_H
#define MODULES_IO_FIBER_INTERNAL_H
#include <stddef.h>

#if !defined(FIBER_WITH_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define FIBER_WITH_UCONTEXT
#endif

#ifdef FIBER_WITH_UCONTEXT
#include <ucontext.h>
struct fiber_context {
    ucontext_t registers;
};
#else
struct fiber_context {
    void *stack; /* what must survive a switch lies on top of the stack that was left */
};
#endif

/* Makes a context that calls entry(argument) on the given stack when it is first switched to. entry
 * never returns. argument may be any pointer. */
void fiber_context_prepare(struct fiber_context *context, void *stack_bottom, size_t stack_bytes,
                           void (*entry)(void *argument), void *argument);

/* Saves where we are in *from and goes on at *to; returns when somebody switches back to *from. */
void fiber_context_switch(struct fiber_context *from, struct fiber_context *to);
#endif
