#include "client-tests/lib/loop_trace.h"

#include "client-tests/lib/suite.h"
#include <stdlib.h>
#include <string.h>

bool loop_trace_is_of(const char *line, pid_t thread)
{
    return strtol(line, NULL, 10) == thread;
}

/* A look at a socket, which waits for nothing. */
static bool is_a_look(const char *line, size_t length)
{
    return memmem(line, length, " poll(", 6) && memmem(line, length, "], 1, 0", 7);
}

const char *loop_trace_next_line(const char *line)
{
    line += strcspn(line, "\n");
    return *line ? line + 1 : line;
}

static bool is_allocator(const char *stack)
{
    for (; strncmp(stack, " > ", 3) == 0; stack = loop_trace_next_line(stack)) {
        if (memmem(stack, strcspn(stack, "\n"), "jemalloc", 8)) return true;
    }
    return false;
}

/* Where the rest of a call stands that others came in between: the thread's next line. NULL: it has
 * not ended. */
static const char *rest_of(const char *line, pid_t thread)
{
    for (line = loop_trace_next_line(line); *line; line = loop_trace_next_line(line)) {
        if (loop_trace_is_of(line, thread)) return line;
    }
    return NULL;
}

static bool is_unfinished(const char *line, size_t length)
{
    return memmem(line, length, " <unfinished", 12) != NULL;
}

/* Of what is in memory only: what says so is the call's last argument. */
static bool is_for_memory(const char *line, size_t length, pid_t thread)
{
    if (is_unfinished(line, length)) {
        line = rest_of(line, thread);
        length = line ? strcspn(line, "\n") : 0;
    }
    return line && memmem(line, length, "RWF_NOWAIT", 10);
}

/* The allocator's own locks, which its other threads hold for an instant, are its own affair. A
 * call that others come in between has its stack where it has ended. */
static bool is_allocators_wait(const char *line, pid_t thread)
{
    size_t length = strcspn(line, "\n");

    if (!memmem(line, length, "FUTEX_WAIT", 10)) return false;
    if (is_unfinished(line, length)) line = rest_of(line, thread);
    return line && is_allocator(loop_trace_next_line(line));
}

/* /proc is no disk: the server looks there at its own memory. Nor does it wait who wants only what
 * is in memory. */
void loop_trace_expect_no_wait(const struct text *trace, pid_t thread)
{
    static const char *const waiting[] = {
        "pread",  "pwrite",  "sync",      "fallocate", "ftruncate",  "unlink",
        "rename", "openat(", "mkdir(",    "rmdir(",    "FUTEX_WAIT", "FUTEX_LOCK",
        " poll(", " ppoll(", "copy_file", "sendfile",  "fadvise",
    };
    const char *line = text_string(trace);
    unsigned answers = 0;

    for (; *line; line += strcspn(line, "\n") + 1) {
        size_t length = strcspn(line, "\n");
        /* A call that others come in between stands in two lines; the first says which it is. */
        if (!loop_trace_is_of(line, thread) || memmem(line, length, " resumed>", 9)) continue;
        if (memmem(line, length, "sendto(", 7)) {
            answers++; /* whose bytes may say anything */
            continue;
        }
        for (size_t i = 0; i < sizeof(waiting) / sizeof(waiting[0]); i++) {
            const char *found = memmem(line, length, waiting[i], strlen(waiting[i]));
            if (!found || memmem(line, length, "/proc/", 6) || is_a_look(line, length)) continue;
            if (is_for_memory(line, length, thread)) continue;
            if (is_allocators_wait(line, thread)) continue;
            ck_abort_msg("the loop's thread called %.*s", (int)length, line);
        }
    }
    ck_assert_uint_gt(answers, 0); /* it was that thread that was watched */
}
