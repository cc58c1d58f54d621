/* tracer.h - strace on all threads of a server: what they call, and calls that fail on purpose. */
#ifndef CLIENT_TESTS_LIB_TRACER_H
#define CLIENT_TESTS_LIB_TRACER_H
#include "client-tests/lib/server.h"
#include "client-tests/lib/text.h"

struct tracer {
    pid_t pid;
    char path[PATH_MAX + 16]; /* of what it saw */
};

/* calls as behind -e trace=: a line a call, which begins with the thread's id and names the file
 * behind each descriptor; inject as behind -e inject=, or NULL. Returns when all threads are
 * traced. False: strace may not attach on this machine (the caller skips the test). */
bool tracer_start(struct tracer *tracer, const struct server *server, const char *calls,
                  const char *inject);
/* The same; behind each call that has ended come lines that begin with " > ": whence it was made.
 */
bool tracer_start_with_stacks(struct tracer *tracer, const struct server *server,
                              const char *calls);
/* Lets go of the server; adds what was seen to out, which may be NULL. */
void tracer_stop(struct tracer *tracer, struct text *out);
#endif
