/* The event loop never waits for a disk: in steady spilling and draining its thread makes no system
 * call that could and has no major fault. */
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include "client-tests/lib/tracer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENT_BYTES = 1000, BATCH = 200 };

static bool has_sanitizer(void)
{
    return strstr(suite_build_directory(), "/release/") == NULL;
}

static void push(struct wire *wire, unsigned count)
{
    char element[ELEMENT_BYTES + 1];

    memset(element, 'x', ELEMENT_BYTES);
    element[ELEMENT_BYTES] = '\0';
    for (unsigned done = 0; done < count; done += BATCH) {
        for (int i = 0; i < BATCH; i++)
            wire_command(wire, "RPUSH k %s", element);
        wire_skip(wire, BATCH);
    }
}

static void pop(struct wire *wire, unsigned count)
{
    for (unsigned done = 0; done < count; done += BATCH) {
        for (int i = 0; i < BATCH; i++)
            wire_command(wire, "LPOP k");
        wire_skip(wire, BATCH);
    }
}

/* What walks, inside a transaction. */
static void transact(struct wire *wire)
{
    static const char *const commands[] = {
        "LRANGE k 1000 1999",    "LREM k 0 nothing",   "LINSERT k AFTER nothing x",
        "LPOS k nothing RANK 1", "LINDEX k 30000",     "LPOP k 100",
        "LTRIM k 100 -101",      "LSET k 20000 other", "LLEN k",
    };
    size_t count = sizeof(commands) / sizeof(commands[0]);

    expect_ok(wire, "MULTI");
    for (size_t i = 0; i < count; i++)
        wire_command(wire, commands[i]);
    wire_skip(wire, count);
    wire_command(wire, "EXEC");
    wire_skip(wire, 1);
    expect_integer(wire, 60000 - 300, "LLEN k");
}

static const char calls[] = "pread64,preadv,preadv2,pwrite64,pwritev,pwritev2,fsync,fdatasync,"
                            "sync_file_range,fallocate,ftruncate,unlink,unlinkat,openat,rename,"
                            "renameat,msync,sendto";

/* Whether a line of the trace is of that thread, whose id it begins with. */
static bool is_of(const char *line, pid_t thread)
{
    return strtol(line, NULL, 10) == thread;
}

/* /proc is no disk: the server looks there at its own memory. */
static void expect_no_call(const struct text *trace, pid_t thread)
{
    static const char *const waiting[] = { "pread",     "pwrite", "sync",   "fallocate",
                                           "ftruncate", "unlink", "rename", "openat(" };
    const char *line = text_string(trace);
    unsigned answers = 0;

    for (; *line; line += strcspn(line, "\n") + 1) {
        size_t length = strcspn(line, "\n");
        /* A call that others come in between stands in two lines; the first has it all. */
        if (!is_of(line, thread) || memmem(line, length, " resumed>", 9)) continue;
        if (memmem(line, length, "sendto(", 7)) {
            answers++; /* whose bytes may say anything */
            continue;
        }
        for (size_t i = 0; i < sizeof(waiting) / sizeof(waiting[0]); i++) {
            const char *found = memmem(line, length, waiting[i], strlen(waiting[i]));
            if (!found || memmem(line, length, "/proc/", 6)) continue;
            ck_abort_msg("the loop's thread called %.*s", (int)length, line);
        }
    }
    ck_assert_uint_gt(answers, 0); /* it was that thread that was watched */
}

/* Without the log, and with it in each mode. */
static const char *const fsyncs[] = { NULL, "no", "everysec", "always" };
enum { FSYNCS = sizeof(fsyncs) / sizeof(fsyncs[0]) };

START_TEST(the_loop_thread_touches_no_disk)
{
    const char *arguments[] = { "--maxmemory",
                                "32mb",
                                "--appendonly",
                                fsyncs[_i] ? "yes" : "no",
                                "--appendfsync",
                                fsyncs[_i] ? fsyncs[_i] : "no",
                                NULL };
    struct server server;
    struct wire *wire;
    struct tracer tracer;
    struct text trace = { 0 };
    int64_t faults;
    unsigned count = suite_scaled(100) * 400;

    if (has_sanitizer()) {
        suite_skip("system calls of the loop: a sanitizer's runtime makes its own");
        return;
    }
    server_start_with(&server, arguments);
    wire = wire_open(&server);
    push(wire, 60000); /* what is done once is done by now: spilling goes on steadily */
    if (!tracer_start(&tracer, &server, calls, NULL)) {
        suite_skip("strace may not attach on this machine");
        server_stop(&server);
        return;
    }
    faults = server_loop_major_faults(&server);
    push(wire, count);
    wire_command(wire, "BGSAVE SCHEDULE"); /* or the log's length has begun one */
    wire_skip(wire, 1);
    pop(wire, count);
    for (unsigned i = 0; i < 200; i++) {
        wire_command(wire, "LINDEX k %u", i * 290);
        wire_skip(wire, 1);
    }
    expect_integer(wire, 0, "LREM k 0 nothing");
    transact(wire);
    expect_integer(wire, 1, "DEL k");
    info_wait_least(wire, "rdb_saves", 1);
    info_wait(wire, "spill_lists_being_freed", 0);
    ck_assert_int_eq(server_loop_major_faults(&server), faults);
    ck_assert_int_gt(info_number(wire, "spill_writes"), 0);
    ck_assert_int_gt(info_number(wire, "spill_reads"), 0);
    tracer_stop(&tracer, &trace);
    expect_no_call(&trace, server.pid);
    text_finish(&trace);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loop thread");
    TCase *tcase = suite_case(suite, "loop thread");

    tcase_add_loop_test(tcase, the_loop_thread_touches_no_disk, 0, FSYNCS);
    return suite_run(suite);
}
