/* The event loop never waits for a disk, nor for who works with it: in steady spilling, draining,
 * logging and saving its thread makes no system call that could, sleeps on no lock and on nothing
 * but its own events, and has no major fault. Nor does it give the memory of large strings back, or
 * of long lists. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/loop_trace.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include "client-tests/lib/tracer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENT_BYTES = 1000, BATCH = 200, MIB = 1 << 20 };

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

/* Others remove what a checkpoint has made superfluous. */
static void expect_removal(const struct text *trace, pid_t loop)
{
    const char *line = text_string(trace);
    unsigned removals = 0;

    for (; *line; line += strcspn(line, "\n") + 1) {
        size_t length = strcspn(line, "\n");

        if (!memmem(line, length, "unlink", 6) || !memmem(line, length, "/checkpoint-", 12))
            continue;
        ck_assert(!loop_trace_is_of(line, loop));
        removals++;
    }
    ck_assert_uint_gt(removals, 0);
}

/* Without the log, and with it in each mode. */
static const char *const fsyncs[] = { NULL, "no", "everysec", "always" };
enum { FSYNCS = sizeof(fsyncs) / sizeof(fsyncs[0]) };

static void save(struct wire *wire)
{
    int64_t saves = info_number(wire, "rdb_saves");

    wire_command(wire, "BGSAVE SCHEDULE"); /* or the log's length has begun one */
    wire_skip(wire, 1);
    info_wait_least(wire, "rdb_saves", saves + 1);
}

/* All that the loop's thread is watched at, on a list that is long already and goes. */
static void work(struct wire *wire, unsigned count)
{
    push(wire, count);
    wire_command(wire, "BGSAVE SCHEDULE");
    wire_skip(wire, 1);
    pop(wire, count);
    for (unsigned i = 0; i < 200; i++) {
        wire_command(wire, "LINDEX k %u", i * 290);
        wire_skip(wire, 1);
    }
    expect_integer(wire, 0, "LREM k 0 nothing");
    transact(wire);
    expect_integer(wire, 1, "DEL k");
    save(wire);
    save(wire); /* this one begins behind a removal */
    info_wait(wire, "spill_lists_being_freed", 0);
}

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
    /* What is done once is done by now: spilling goes on steadily, and no code is new. */
    push(wire, 60000);
    work(wire, 1000);
    push(wire, 60000);
    if (!tracer_start_with_stacks(&tracer, &server, LOOP_TRACE_CALLS ",futex")) {
        suite_skip("strace may not attach on this machine");
        server_stop(&server);
        return;
    }
    faults = server_loop_major_faults(&server);
    work(wire, count);
    ck_assert_int_eq(server_loop_major_faults(&server), faults);
    ck_assert_int_gt(info_number(wire, "spill_writes"), 0);
    ck_assert_int_gt(info_number(wire, "spill_reads"), 0);
    tracer_stop(&tracer, &trace);
    loop_trace_expect_no_wait(&trace, server.pid);
    expect_removal(&trace, server.pid);
    text_finish(&trace);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* ---- large blocks -------------------------------------------------------------------------------
 */

enum { LARGE_BYTES = 32 * MIB, LARGE_STEP_BYTES = MIB };

/* Makes one that takes pages, as its name says nothing else would. */
static void make_large(struct wire *wire, const char *name)
{
    expect_integer(wire, LARGE_BYTES, "SETRANGE %s %d x", name, LARGE_BYTES - 1);
}

/* Its chunks lie side by side: what they leave is one block again. */
static void drop_long_list(struct wire *wire)
{
    push(wire, 4 * LARGE_BYTES / ELEMENT_BYTES / BATCH * BATCH);
    expect_integer(wire, 1, "DEL k");
}

/* Each way in which a large string that nobody else has is let go. */
static void free_large(struct wire *wire)
{
    make_large(wire, "large");
    expect_integer(wire, 1, "DEL large");
    make_large(wire, "large");
    expect_integer(wire, 1, "UNLINK large");
    make_large(wire, "large");
    expect_ok(wire, "SET large small");
    expect_integer(wire, 1, "DEL large");
    make_large(wire, "large");
    expect_integer(wire, 1, "PEXPIRE large 1");
    info_wait(wire, "expired_keys", 1);
    make_large(wire, "large");
    expect_ok(wire, "MULTI");
    expect_text(wire, "QUEUED", "DEL large");
    wire_command(wire, "EXEC");
    wire_skip(wire, 1);
    make_large(wire, "large");
    expect_ok(wire, "FLUSHALL");
    drop_long_list(wire);
}

/* All of it comes back, though. */
static void wait_for_memory(const struct server *server)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    while (server_memory_kib(server) >= LARGE_BYTES / 1024) {
        if (!clock_probe(deadline_ms))
            ck_abort_msg("memory stays %lld KiB", (long long)server_memory_kib(server));
    }
}

/* What the calls of a line give back to the kernel. */
static uint64_t given_back(const char *line, size_t length)
{
    const char *call = memmem(line, length, "madvise(", 8), *size;

    if (call && !memmem(line, length, "MADV_DONTNEED", 13)) return 0;
    if (!call) call = memmem(line, length, "munmap(", 7);
    if (!call) return 0;
    size = memchr(call, ',', length - (size_t)(call - line));
    return size ? strtoull(size + 1, NULL, 10) : 0;
}

/* The kernel takes milliseconds to take back what a large block had: the loop leaves that to
 * others, up to an eighth of maxmemory. */
START_TEST(the_loop_thread_gives_back_no_large_block)
{
    static const char *const arguments[] = { "--maxmemory", "4gb", NULL };
    struct text trace = { 0 };
    struct tracer tracer;
    struct server server;
    struct wire *wire;
    uint64_t others = 0;

    if (has_sanitizer()) {
        suite_skip("large blocks: a sanitizer brings an allocator of its own");
        return;
    }
    server_start_with(&server, arguments);
    wire = wire_open(&server);
    if (tracer_start(&tracer, &server, "madvise,munmap", NULL)) {
        free_large(wire);
        wait_for_memory(&server);
        tracer_stop(&tracer, &trace);
        for (const char *line = text_string(&trace); *line; line = loop_trace_next_line(line)) {
            size_t length = strcspn(line, "\n");
            uint64_t bytes = given_back(line, length);
            if (!loop_trace_is_of(line, server.pid))
                others += bytes;
            else if (bytes >= LARGE_STEP_BYTES)
                ck_abort_msg("the loop's thread called %.*s", (int)length, line);
        }
        ck_assert_uint_ge(others, LARGE_BYTES);
    } else {
        suite_skip("strace may not attach on this machine");
    }
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
    tcase = suite_case(suite, "large blocks");
    tcase_add_test(tcase, the_loop_thread_gives_back_no_large_block);
    return suite_run(suite);
}
