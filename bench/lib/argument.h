/* argument.h - what command lines say of how often and where, for programs with options of their
 * own. What is out of bounds ends the program. */
#ifndef BENCH_LIB_ARGUMENT_H
#define BENCH_LIB_ARGUMENT_H

enum { ROUND_MAX = 31 };

/* Of which medians are printed: 1 to ROUND_MAX. */
int argument_rounds(const char *text);
/* Of one run: 1 to 10^8. */
long argument_requests(const char *text);
/* Where servers get their directories unless it is said: $TMPDIR or /var/tmp. */
const char *argument_base(void);
#endif
