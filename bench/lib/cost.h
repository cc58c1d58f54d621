/* cost.h - what an operation costs the thread that does it, for programs that measure one module.
 * Everything fails the benchmark (bench_fail) instead of returning an error. */
#ifndef BENCH_LIB_COST_H
#define BENCH_LIB_COST_H
#include <stddef.h>
#include <stdint.h>

/* What this thread has used: other work on the machine does not count. */
uint64_t thread_ns(void);
/* Prints the median of so many rounds, each the nanoseconds of count operations. Sorts them. */
void cost_print(const char *what, uint64_t *round_ns, size_t rounds, uint64_t count);
#endif
