/* A server that may lock no memory: it says so, and does all that it does otherwise. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STREAMS = 80 /* more than have files open at a time */, ENTRIES = 12, VALUE_BYTES = 4000 };
enum {
    JOURNALS_KIB_MOST = 528,
    CODE_KIB_LEAST = 700, /* more than journals could have locked without it */
    CODE_KIB_MOST = 7 * 1024,
    /* What the log has made ready ahead: half of 4 MiB at least, when it is as long. */
    ROOM_KIB_LEAST = 1024,
    ROOM_KIB_MOST = 8 * 1024
};

static struct server server;
static struct wire *wire;

static void start(bool may_lock_nothing)
{
    static const char *const arguments[] = { "--appendonly", "yes", NULL };
    struct server_options options = { .own_arguments = arguments,
                                      .may_lock_nothing = may_lock_nothing };

    server_start(&server, &options);
    wire = wire_open(&server);
}

static void stop(void)
{
    wire_close(wire);
    server_stop(&server);
}

/* Of the process, in KiB. */
static long locked_kib(void)
{
    struct text status = { 0 };
    char path[64];
    const char *found;
    long kib;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)server.pid);
    ck_assert_int_eq(text_add_file(&status, path), 0);
    found = strstr(text_string(&status), "VmLck:");
    ck_assert_ptr_nonnull(found);
    kib = strtol(found + sizeof("VmLck:") - 1, NULL, 10);
    text_finish(&status);
    return kib;
}

/* An I/O thread may be about to lock it. */
static void expect_locked_kib(long least)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    while (locked_kib() < least)
        ck_assert(clock_probe(deadline_ms));
}

/* Streams that are too long for memory, and a group of each. */
static void add(void)
{
    char value[VALUE_BYTES + 1];

    memset(value, 'v', VALUE_BYTES);
    value[VALUE_BYTES] = '\0';
    for (unsigned stream = 0; stream < STREAMS; stream++) {
        for (unsigned entry = 1; entry <= ENTRIES; entry++)
            wire_command(wire, "XADD s%u %u-0 f %s", stream, entry, value);
        wire_command(wire, "XGROUP CREATE s%u g 0", stream);
        wire_skip(wire, ENTRIES + 1);
    }
}

static void expect_all(void)
{
    for (unsigned stream = 0; stream < STREAMS; stream++) {
        expect_integer(wire, ENTRIES, "XLEN s%u", stream);
        wire_command(wire, "XREADGROUP GROUP g c STREAMS s%u >", stream);
        wire_skip(wire, 1);
        expect_integer(wire, ENTRIES, "XACK s%u g 1 2 3 4 5 6 7 8 9 10 11 12", stream);
    }
}

/* A sanitizer's runtime locks nothing, and says that it has. */
static bool locks_are_real(void)
{
    if (strstr(suite_build_directory(), "/release/")) return true;
    suite_skip("locked memory: a sanitizer's runtime locks nothing");
    return false;
}

START_TEST(who_may_lock_nothing_works_and_says_so)
{
    start(true);
    add();
    if (locks_are_real()) {
        ck_assert(server_log_has(&server, "528 KiB may not be locked in memory"));
        ck_assert(server_log_has(&server, "The program's code may not be locked in memory"));
        ck_assert_int_eq(locked_kib(), 0);
    }
    expect_ok(wire, "SAVE");
    server_kill(&server);
    wire_close(wire);
    server_restart(&server);
    wire = wire_open(&server);
    expect_all();
    stop();
}
END_TEST

/* So that the other test is one. */
START_TEST(who_may_lock_memory_does)
{
    bool may_lock;
    long before_kib;

    start(false);
    may_lock = locks_are_real() && !server_log_has(&server, "may not be locked in memory");
    before_kib = locked_kib();
    if (may_lock) ck_assert_int_ge(before_kib, CODE_KIB_LEAST);
    add();
    if (may_lock) {
        expect_locked_kib(before_kib + ROOM_KIB_LEAST);
        ck_assert_int_le(locked_kib(), JOURNALS_KIB_MOST + CODE_KIB_MOST + ROOM_KIB_MOST);
    }
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("locked memory");
    TCase *cases = suite_case(suite, "locked memory");

    tcase_add_test(cases, who_may_lock_nothing_works_and_says_so);
    tcase_add_test(cases, who_may_lock_memory_does);
    return suite_run(suite);
}
