/* argument.h - command lines of programs with options of their own. What is out of bounds ends the
 * program. */
#ifndef BENCH_LIB_ARGUMENT_H
#define BENCH_LIB_ARGUMENT_H

enum { ROUND_MAX = 31, ARGUMENT_MAX = 8 };

/* "--name VALUE". One of the places gets the value; what is there before is the default. */
struct argument {
    const char *name;
    const char **text;
    int *rounds;    /* of which medians are printed: 1 to ROUND_MAX */
    long *requests; /* or clients, entries, calls: 1 to 10^8 */
};

/* arguments: at most ARGUMENT_MAX, ended by one without a name. Returns what is left, behind "--",
 * ended by NULL. Prints usage and exits with 2 when it does not understand. */
const char *const *argument_parse(int argc, char **argv, const struct argument *arguments,
                                  const char *usage);
/* Where servers get their directories unless it is said: $TMPDIR or /var/tmp. */
const char *argument_base(void);
#endif
