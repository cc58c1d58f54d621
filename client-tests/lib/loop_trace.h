/* loop_trace.h - of a trace (tracer.h) of a server: that its loop's thread waits for nothing. */
#ifndef CLIENT_TESTS_LIB_LOOP_TRACE_H
#define CLIENT_TESTS_LIB_LOOP_TRACE_H
#include "client-tests/lib/text.h"

#include <stdbool.h>
#include <sys/types.h>

/* What is to be traced; with ",futex", and stacks, by which the allocator's locks are told from
 * others, where locks count. That costs a millisecond a call. */
#define LOOP_TRACE_CALLS                                                                           \
    "pread64,preadv,preadv2,pwrite64,pwritev,pwritev2,fsync,fdatasync,sync_file_range,fallocate,"  \
    "ftruncate,unlink,unlinkat,openat,rename,renameat,renameat2,msync,sendto,poll,ppoll,mkdir,"    \
    "rmdir,copy_file_range,sendfile,syncfs,sync,fadvise64"

/* Fails the test if the thread has made a call that may wait for a disk or another thread, but for
 * the allocator's locks; or if it did not answer anybody, so that it was another that was watched.
 */
void loop_trace_expect_no_wait(const struct text *trace, pid_t thread);
/* Whether a line of a trace is of that thread, whose id it begins with. */
bool loop_trace_is_of(const char *line, pid_t thread);
/* The line behind one; that of the text's end is empty. */
const char *loop_trace_next_line(const char *line);
#endif
