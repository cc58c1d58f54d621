/* switching.h - for switching.c and switching_steps.c: a server whose log begins and ends while it
 * works (CONFIG SET appendonly), and whose calls strace may fail. */
#ifndef CLIENT_TESTS_DURABILITY_SWITCHING_H
#define CLIENT_TESTS_DURABILITY_SWITCHING_H
#include "client-tests/durability/one_server.h"
#include "client-tests/lib/clock.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include "client-tests/lib/tracer.h"
#include <stdio.h>
#include <string.h>

enum { EITHER = -1 };

static const char *const modes[] = { "always", "everysec", "no" };

static struct tracer tracer;
static bool is_traced;

static inline void start_with(const char *appendonly, const char *fsync, const char *threads)
{
    static const char *arguments[] = { "--appendonly",
                                       NULL,
                                       "--appendfsync",
                                       NULL,
                                       "--enable-debug-command",
                                       "yes",
                                       "--spill-io-threads",
                                       NULL,
                                       NULL };

    arguments[1] = appendonly;
    arguments[3] = fsync;
    arguments[7] = threads;
    start(arguments);
}

static inline void start_in(const char *appendonly, const char *fsync)
{
    start_with(appendonly, fsync, "1"); /* strace counts the calls of each thread */
}

static inline void end(void)
{
    if (is_traced) tracer_stop(&tracer, NULL);
    is_traced = false;
    stop();
}

static inline void expect_field(const char *field, const char *value)
{
    struct text text = { 0 };

    ck_assert(info_text(wire, field, &text));
    ck_assert_str_eq(text_string(&text), value);
    text_finish(&text);
}

/* What it is at; a switch is a dozen syncs, each of which a busy disk may hold up for seconds. */
static inline void read_steps(struct text *out)
{
    text_clear(out);
    ck_assert(info_text(wire, "log_switch", out));
    text_format(out, " ");
    ck_assert(info_text(wire, "checkpoint_state", out));
}

/* Until nothing is under way and there is a log that counts, or none, or either; as long as it gets
 * on. */
static inline void wait_until(int64_t is_enabled)
{
    struct text before = { 0 }, now = { 0 };
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    for (;;) {
        read_steps(&now);
        if (text_string(&now)[0] == ' ' &&
            (is_enabled == EITHER || info_number(wire, "aof_enabled") == is_enabled))
            break;
        if (strcmp(text_string(&now), text_string(&before)) != 0)
            deadline_ms = clock_ms() + WAIT_MS;
        text_clear(&before);
        text_format(&before, "%s", text_string(&now));
        ck_assert_msg(clock_probe(deadline_ms), "it stays at: %s", text_string(&now));
    }
    text_finish(&before);
    text_finish(&now);
}

static inline void wait_until_switched(void)
{
    wait_until(EITHER);
}

static inline void switch_on(void)
{
    expect_ok(wire, "CONFIG SET appendonly yes");
    wait_until(1);
    ck_assert_int_eq(info_number(wire, "aof_rewrite_in_progress"), 0);
}

static inline void switch_off(void)
{
    expect_ok(wire, "CONFIG SET appendonly no");
    wait_until(0);
}

static inline void expect_off(void)
{
    wait_until_switched();
    expect_text(wire, "1) \"appendonly\"\n2) \"no\"", "CONFIG GET appendonly");
    expect_field("aof_enabled", "0");
    expect_field("aof_last_write_status", "ok");
}

/* False: this test is skipped. */
static inline bool trace(const char *calls, const char *inject)
{
    if (strstr(suite_build_directory(), "/asan/")) {
        suite_skip("strace and the leak sanitizer do not go together");
        return false;
    }
    is_traced = tracer_start(&tracer, &server, calls, inject);
    if (!is_traced) suite_skip("strace may not attach on this machine");
    return is_traced;
}

static inline void mend(void)
{
    tracer_stop(&tracer, NULL);
    is_traced = false;
}
#endif
