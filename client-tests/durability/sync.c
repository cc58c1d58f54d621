/* What leaves before, and after, the log is on the device; and what happens when it cannot get
 * there. strace watches and fails the calls. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include "client-tests/lib/tracer.h"
#include <stdlib.h>
#include <string.h>

enum { WRITES = 30 };

static struct server server;
static struct wire *wire;

static void start(const char *fsync)
{
    static const char *arguments[] = { "--appendonly", "yes", "--appendfsync", NULL, NULL };
    struct server_options options = { .own_arguments = arguments };

    arguments[3] = fsync;
    server_start(&server, &options);
    wire = wire_open(&server);
}

static bool trace(struct tracer *tracer, const char *calls, const char *inject)
{
    if (strstr(suite_build_directory(), "/asan/")) {
        suite_skip("strace and the leak sanitizer do not go together");
        return false;
    }
    if (tracer_start(tracer, &server, calls, inject)) return true;
    suite_skip("strace may not attach on this machine");
    return false;
}

/* ---- before and after -------------------------------------------------------------------------
 */

/* Of each write the order is: read from the socket, a sync that began after that has ended, sent.
 */
static void expect_sync_between(const struct text *trace, const char *request, const char *reply,
                                unsigned count)
{
    const char *line = text_string(trace);
    bool was_read = false, began = false, was_synced = false;
    unsigned found = 0;

    for (; *line; line += strcspn(line, "\n") + 1) {
        size_t length = strcspn(line, "\n");
        bool is_sync = memmem(line, length, "fdatasync", 9) != NULL;
        bool has_ended = memmem(line, length, "= 0", 3) != NULL;

        if (memmem(line, length, request, strlen(request))) {
            was_read = true;
            began = was_synced = false;
        }
        if (is_sync && was_read && memmem(line, length, "fdatasync(", 10)) began = true;
        if (is_sync && began && has_ended) was_synced = true;
        if (!memmem(line, length, "sendto", 6) || !memmem(line, length, reply, strlen(reply)))
            continue;
        ck_assert_msg(was_synced, "sent before the sync:\n%.*s", 2000, text_string(trace));
        was_read = false;
        found++;
    }
    ck_assert_uint_eq(found, count);
}

START_TEST(no_answer_leaves_before_its_sync)
{
    struct tracer tracer;
    struct text seen = { 0 };

    start("always");
    if (!trace(&tracer, "read,sendto,fdatasync", NULL)) goto out;
    for (unsigned i = 0; i < WRITES; i++)
        expect_ok(wire, "SET k %u", i);
    tracer_stop(&tracer, &seen);
    expect_sync_between(&seen, "SET", "+OK", WRITES);
    text_finish(&seen);
out:
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* The sync is held up; a reader that comes meanwhile must not see what power loss could take back.
 */
START_TEST(a_reader_waits_for_what_it_sees)
{
    struct wire *reader;
    struct tracer tracer;
    struct text seen = { 0 };
    const char *synced, *told;

    start("always");
    reader = wire_open(&server);
    expect_ok(wire, "SET k old");
    if (!trace(&tracer, "read,sendto,fdatasync", "fdatasync:delay_enter=200000")) goto out;
    wire_command(wire, "SET k new");
    while (!wire_wait(wire, 20)) {
        expect_string(reader, "new", "GET k");
    }
    wire_skip(wire, 1);
    tracer_stop(&tracer, &seen);
    expect_sync_between(&seen, "SET", "+OK", 1);
    /* Its own answer, too: the old value was answered before anything was traced. */
    synced = strstr(text_string(&seen), "fdatasync resumed>");
    told = strstr(text_string(&seen), "$3\\r\\nnew\\r\\n\", 9, MSG_NOSIGNAL");
    ck_assert_msg(synced && told && synced < told, "%s", text_string(&seen));
    text_finish(&seen);
out:
    wire_close(reader);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

START_TEST(one_sync_serves_many_clients)
{
    enum { CLIENTS = 20, ROUNDS = 20 };
    struct wire *clients[CLIENTS];
    int64_t syncs;

    start("always");
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = wire_open(&server);
    syncs = info_number(wire, "log_syncs");
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < CLIENTS; i++)
            wire_command(clients[i], "RPUSH k %u", i);
        for (unsigned i = 0; i < CLIENTS; i++)
            wire_skip(clients[i], 1);
    }
    expect_integer(wire, CLIENTS * ROUNDS, "LLEN k");
    /* One for each turn at most, and a turn takes more than one client. */
    ck_assert_int_lt(info_number(wire, "log_syncs") - syncs, CLIENTS * ROUNDS);
    for (unsigned i = 0; i < CLIENTS; i++)
        wire_close(clients[i]);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* ---- many who waited ---------------------------------------------------------------------------
 */

/* Sixteen times as many as are served and flushed together. */
enum { WAITERS = 256 };

static struct wire *waiters[WAITERS];

/* What they wait with, what wakes all of them (its beginning, its end, and what stands between for
 * each), how that is answered, and what stands in each of their answers as strace writes it. What
 * readers of a group are given is logged one by one, behind what woke them. */
static const struct {
    const char *wait, *wake, *wake_each, *wake_end;
    unsigned replies;
    const char *answer;
} waits[] = {
    { "BLPOP list 0", "RPUSH list", " element", "\r\n", 1, "$4\\r\\nlist\\r\\n" },
    { "XREAD BLOCK 0 STREAMS stream $", "XADD stream 1-1 f v", "", "\r\n", 1,
      "$6\\r\\nstream\\r\\n" },
    { "XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS stream >", "MULTI", "\r\nXADD stream * f v",
      "\r\nEXEC\r\n", WAITERS + 2, "$6\\r\\nstream\\r\\n" },
};
enum { WAITS = sizeof(waits) / sizeof(waits[0]) };

static void let_all_wait(int kind)
{
    expect_ok(wire, "XGROUP CREATE stream g 0 MKSTREAM");
    for (unsigned i = 0; i < WAITERS; i++) {
        waiters[i] = wire_open(&server);
        wire_command(waiters[i], waits[kind].wait);
    }
    info_wait(wire, "blocked_clients", WAITERS);
}

static void wake_all(int kind)
{
    struct text command = { 0 };

    text_add_string(&command, waits[kind].wake);
    for (unsigned i = 0; i < WAITERS; i++)
        text_add_string(&command, waits[kind].wake_each);
    text_add_string(&command, waits[kind].wake_end);
    ck_assert_int_eq(wire_send(wire, command.bytes, command.size), 0);
    text_finish(&command);
}

static void close_all(void)
{
    for (unsigned i = 0; i < WAITERS; i++)
        wire_close(waiters[i]);
    wire_close(wire);
}

/* The first answers leave for the sockets long before the last are made, and yet none before a sync
 * that began when what woke them had been read. */
static void expect_all_behind_a_sync(const struct text *trace, const char *request,
                                     const char *answer)
{
    const char *line = strstr(text_string(trace), request);
    bool began = false, was_synced = false;
    unsigned found = 0;

    ck_assert_ptr_nonnull(line);
    for (; *line; line += strcspn(line, "\n") + 1) {
        size_t length = strcspn(line, "\n");

        if (memmem(line, length, "fdatasync(", 10)) began = true;
        if (began && memmem(line, length, "fdatasync", 9) && memmem(line, length, "= 0", 3))
            was_synced = true;
        if (!memmem(line, length, "send", 4) || !memmem(line, length, answer, strlen(answer)))
            continue;
        ck_assert_msg(was_synced, "sent before the sync:\n%.*s", 2000, text_string(trace));
        found++;
    }
    ck_assert_uint_eq(found, WAITERS);
}

START_TEST(none_of_many_who_waited_is_answered_before_the_sync)
{
    struct tracer tracer;
    struct text seen = { 0 };

    start("always");
    let_all_wait(_i);
    if (trace(&tracer, "read,sendto,sendmsg,fdatasync", "fdatasync:delay_enter=100000")) {
        wake_all(_i);
        wire_skip(wire, waits[_i].replies);
        for (unsigned i = 0; i < WAITERS; i++)
            wire_skip(waiters[i], 1);
        tracer_stop(&tracer, &seen);
        expect_all_behind_a_sync(&seen, waits[_i].wake, waits[_i].answer);
        text_finish(&seen);
    }
    close_all();
    server_stop(&server);
}
END_TEST

/* ---- WAITAOF ----------------------------------------------------------------------------------
 */

static const char there[] = "1) (integer) 1\n2) (integer) 0";

START_TEST(waitaof_tells_that_writes_are_on_the_device)
{
    static const char *const modes[] = { "always", "everysec", "no" };

    start(modes[_i]);
    expect_text(wire, there, "WAITAOF 1 0 0"); /* who wrote nothing waits for nothing */
    for (unsigned i = 0; i < 3; i++) {
        expect_ok(wire, "SET k %u", i);
        expect_text(wire, there, "WAITAOF 1 0 0");
        expect_text(wire, there, "WAITAOF 0 0 0");
    }
    ck_assert_int_eq(info_number(wire, "log_unsynced_bytes"), 0);
    expect_ok(wire, "MULTI");
    expect_text(wire, "QUEUED", "SET k 4");
    expect_text(wire, "QUEUED", "WAITAOF 1 1 0"); /* does not block there */
    wire_command(wire, "EXEC");
    wire_skip(wire, 1);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

START_TEST(waitaof_ends_with_its_time_or_when_it_is_unblocked)
{
    struct wire *other;
    long long id;

    start("always");
    other = wire_open(&server);
    id = ask_integer(wire, "CLIENT ID");
    expect_ok(wire, "SET k 1");
    expect_text(wire, there, "WAITAOF 1 1 10"); /* there are no replicas */
    wire_command(wire, "WAITAOF 1 1 0");
    info_wait(other, "blocked_clients", 1);
    expect_integer(other, 1, "CLIENT UNBLOCK %lld", id);
    expect_text(wire, there, "");
    wire_command(wire, "WAITAOF 1 1 0");
    info_wait(other, "blocked_clients", 1);
    expect_integer(other, 1, "CLIENT UNBLOCK %lld ERROR", id);
    expect_error(wire, "UNBLOCKED", "");
    wire_command(wire, "WAITAOF 1 1 0");
    info_wait(other, "blocked_clients", 1);
    wire_close(wire);
    info_wait(other, "blocked_clients", 0);
    wire_close(other);
    server_stop(&server);
}
END_TEST

START_TEST(waitaof_refuses_what_makes_no_sense)
{
    static const char *const lines[] = {
        "WAITAOF 2 0 0",
        "(error) ERR value is out of range…",
        "WAITAOF x 0 0",
        "(error) ERR value is not an integer or out of range",
        "WAITAOF 0 -1 0",
        "(error) ERR value is out of range, must be positive",
        "WAITAOF 0 0 x",
        "(error) ERR timeout is not an integer or out of range",
        "WAITAOF 0 0 -1",
        "(error) ERR timeout is negative",
        "WAITAOF 0 0",
        "(error) ERR wrong number of arguments for 'waitaof' command",
        NULL,
    };

    start("everysec");
    expect_lines(wire, lines);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* Who asks for no log but for replicas waits for the end of the time. */
START_TEST(waitaof_without_a_log)
{
    static const char *const no_log[] = { "--appendonly", "no", NULL };
    struct server_options options = { .own_arguments = no_log };

    server_start(&server, &options);
    wire = wire_open(&server);
    expect_text(wire, "1) (integer) 0\n2) (integer) 0", "WAITAOF 0 1 10");
    expect_text(wire, "1) (integer) 0\n2) (integer) 0", "WAITAOF 0 0 10");
    expect_error(wire, "ERR WAITAOF cannot be used", "WAITAOF 1 0 10");
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* ---- failing ----------------------------------------------------------------------------------
 */

static void expect_refused_writes(struct wire *other)
{
    expect_error(other, "MISCONF Errors writing to the AOF file: Input/output error", "SET k 2");
    expect_error(other, "MISCONF", "LPOP k");
    expect_ok(other, "MULTI");
    expect_error(other, "MISCONF", "SET k 3");
    expect_error(other, "EXECABORT", "EXEC");
    expect_text(other, "PONG", "PING");
    server_wait_log(&server, "The operation log cannot be written any more: Input/output error");
}

static void expect_recovery(void)
{
    server_kill(&server);
    server_restart(&server);
    wire = wire_open(&server);
    expect_string(wire, "value", "GET before");
    expect_ok(wire, "SET k 3");
    wire_close(wire);
    server_stop(&server);
}

START_TEST(who_waits_for_a_sync_that_fails_is_not_answered)
{
    struct wire *other;
    struct tracer tracer;

    start("always");
    other = wire_open(&server);
    expect_ok(wire, "SET before value");
    if (!trace(&tracer, "fdatasync,fsync", "fdatasync,fsync:error=EIO")) {
        wire_close(wire);
        wire_close(other);
        server_stop(&server);
        return;
    }
    wire_command(wire, "SET k 1");
    expect_no_answer(wire);
    expect_refused_writes(other);
    tracer_stop(&tracer, NULL);
    wire_close(wire);
    wire_close(other);
    expect_recovery();
}
END_TEST

/* It is closed before the last of so many replies: what a transaction queues may be told. */
static void expect_no_last_answer(unsigned replies)
{
    unsigned told = 0;

    while (wire_read(wire, NULL) == 1)
        told++;
    ck_assert_uint_lt(told, replies);
}

START_TEST(none_of_many_who_waited_is_told_what_a_failed_sync_loses)
{
    struct tracer tracer;

    start("always");
    let_all_wait(_i);
    if (trace(&tracer, "fdatasync,fsync", "fdatasync,fsync:error=EIO")) {
        wake_all(_i);
        expect_no_last_answer(waits[_i].replies);
        for (unsigned i = 0; i < WAITERS; i++)
            expect_no_answer(waiters[i]);
        tracer_stop(&tracer, NULL);
    }
    close_all();
    server_kill(&server); /* which could not say goodbye: its log is not whole */
}
END_TEST

START_TEST(a_failed_sync_each_second_stops_writes)
{
    struct tracer tracer;
    struct text status = { 0 };

    start("everysec");
    expect_ok(wire, "SET before value");
    expect_text(wire, "1) (integer) 1\n2) (integer) 0", "WAITAOF 1 0 0");
    if (!trace(&tracer, "msync,fsync", "msync,fsync:error=EIO")) {
        wire_close(wire);
        server_stop(&server);
        return;
    }
    expect_ok(wire, "SET k 1");
    server_wait_log(&server, "The operation log cannot be written any more");
    expect_refused_writes(wire);
    expect_string(wire, "1", "GET k"); /* who reads is told what there is */
    ck_assert(info_text(wire, "aof_last_write_status", &status));
    ck_assert_str_eq(text_string(&status), "err");
    tracer_stop(&tracer, NULL);
    text_finish(&status);
    wire_close(wire);
    expect_recovery();
}
END_TEST

/* ---- the mode changes -------------------------------------------------------------------------
 */

START_TEST(the_mode_may_change_at_any_time)
{
    static const char *const modes[] = { "always", "everysec", "no" };

    start("everysec");
    for (unsigned i = 0; i < 60; i++) {
        wire_command(wire, "RPUSH k %u", i);
        wire_command(wire, "CONFIG SET appendfsync %s", modes[i % 3]);
        wire_command(wire, "RPUSH k %u", i);
        wire_skip(wire, 3);
    }
    expect_integer(wire, 120, "LLEN k");
    server_kill(&server);
    wire_close(wire);
    server_restart(&server);
    wire = wire_open(&server);
    expect_integer(wire, 120, "LLEN k");
    wire_close(wire);
    server_stop(&server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sync");
    TCase *cases = suite_case(suite, "sync");

    tcase_add_test(cases, no_answer_leaves_before_its_sync);
    tcase_add_test(cases, a_reader_waits_for_what_it_sees);
    tcase_add_test(cases, one_sync_serves_many_clients);
    tcase_add_loop_test(cases, none_of_many_who_waited_is_answered_before_the_sync, 0, WAITS);
    tcase_add_loop_test(cases, waitaof_tells_that_writes_are_on_the_device, 0, 3);
    tcase_add_test(cases, waitaof_ends_with_its_time_or_when_it_is_unblocked);
    tcase_add_test(cases, waitaof_refuses_what_makes_no_sense);
    tcase_add_test(cases, waitaof_without_a_log);
    tcase_add_test(cases, who_waits_for_a_sync_that_fails_is_not_answered);
    tcase_add_loop_test(cases, none_of_many_who_waited_is_told_what_a_failed_sync_loses, 0, WAITS);
    tcase_add_test(cases, a_failed_sync_each_second_stops_writes);
    tcase_add_test(cases, the_mode_may_change_at_any_time);
    return suite_run(suite);
}
