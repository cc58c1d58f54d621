/* Signals that interrupt system calls (EINTR) are nobody's business: the call is made again,
 * nothing is refused, nothing fails, and what was answered is there after a kill. */
#include "client-tests/lib/contents.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include "client-tests/lib/tracer.h"
#include <stdio.h>
#include <string.h>

/* Not close: the kernel has closed all the same, so it is not made again. */
#define CALLS                                                                                      \
    "pread64,preadv2,pwrite64,fsync,fdatasync,msync,fallocate,ftruncate,openat,madvise,fcntl"

static const char *const modes[] = { "always", "everysec", "no" };

static void work(struct wire *wire)
{
    for (unsigned i = 0; i < 4000; i++)
        wire_command(wire, "RPUSH list:%u element-number-%u-of-a-list-that-spills", i % 10, i);
    wire_skip(wire, 4000);
    for (unsigned i = 0; i < 100; i++) {
        expect_ok(wire, "SET string:%u %u", i, i);
        (void)ask_integer(wire, "LREM list:%u 1 element-number-%u-of-a-list-that-spills", i % 10,
                          i + 1000);
    }
}

static unsigned count(const struct text *trace, const char *words)
{
    const char *at = text_string(trace);
    unsigned found = 0;

    for (; (at = strstr(at, words)) != NULL; at++)
        found++;
    return found;
}

START_TEST(a_call_that_is_interrupted_is_made_again)
{
    const char *arguments[] = {
        "--appendonly", "yes",           "--list-memory-max", "256kb", "--list-chunk-bytes",
        "512",          "--appendfsync", modes[_i],           NULL
    };
    struct server_options options = { .own_arguments = arguments };
    struct text before = { 0 }, trace = { 0 }, error = { 0 };
    struct server server;
    struct tracer tracer;
    struct wire *wire;

    server_start(&server, &options);
    wire = wire_open(&server);
    /* Every second call of each thread. */
    if (!tracer_start(&tracer, &server, CALLS, CALLS ":error=EINTR:when=1+2")) {
        suite_skip("strace may not attach on this machine");
        server_stop(&server);
        return;
    }
    work(wire);
    expect_ok(wire, "SAVE");
    work(wire);
    ck_assert(info_text(wire, "aof_last_write_status", &error));
    ck_assert_str_eq(text_string(&error), "ok");
    ck_assert_int_eq(info_number(wire, "aof_rewrites_consecutive_failures"), 0);
    contents_add(&before, wire);
    tracer_stop(&tracer, &trace);
    ck_assert_uint_gt(count(&trace, "EINTR"), 50);
    server_kill(&server);
    wire_close(wire);
    server_restart(&server);
    wire = wire_open(&server);
    contents_expect(wire, &before, "after calls that were interrupted");
    wire_close(wire);
    server_stop(&server);
    text_finish(&before);
    text_finish(&trace);
    text_finish(&error);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("interrupted calls");
    TCase *tcase = suite_case(suite, "interrupted calls");

    tcase_add_loop_test(tcase, a_call_that_is_interrupted_is_made_again, 0,
                        sizeof(modes) / sizeof(modes[0]));
    return suite_run(suite);
}
