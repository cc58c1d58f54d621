/* CONFIG SET appendonly yes and no while the server works: what was answered while the log counts
 * is there after a kill, what it had is not done to what is newer, and a step that fails leaves
 * what there was. strace fails calls. */
#include "client-tests/durability/switching.h"
#include <unistd.h>

/* ---- what it is for ---------------------------------------------------------------------------
 */

START_TEST(what_was_answered_is_there_once_it_counts)
{
    start_in("no", modes[_i]);
    expect_ok(wire, "SET before 1");
    expect_integer(wire, 3, "RPUSH list a b c");
    switch_on();
    expect_integer(wire, 2, "INCR before");
    expect_string(wire, "a", "LPOP list");
    kill_and_restart();
    expect_string(wire, "2", "GET before");
    expect_integer(wire, 2, "LLEN list");
    end();
}
END_TEST

START_TEST(what_the_log_had_is_not_done_to_what_is_newer)
{
    start_in("no", modes[_i]);
    for (int64_t round = 0; round < 4; round++) {
        switch_on();
        expect_integer(wire, 3 * round + 1, "INCR n");
        switch_off();
        expect_integer(wire, 3 * round + 2, "INCR n");
        if (round % 2) expect_ok(wire, "SAVE");
        expect_integer(wire, 3 * round + 3, "INCR n");
        if (round % 2) expect_ok(wire, "DEBUG RELOAD");
    }
    expect_ok(wire, "SAVE");
    expect_integer(wire, 13, "INCR n"); /* lost, as it should be */
    kill_and_restart();
    expect_string(wire, "12", "GET n");
    end();
}
END_TEST

START_TEST(a_start_goes_on_from_where_the_log_ended)
{
    start_in("yes", modes[_i]);
    expect_integer(wire, 1, "INCR n");
    switch_off();
    expect_integer(wire, 2, "INCR n");
    kill_and_restart(); /* with the log, as it is told */
    expect_string(wire, "1", "GET n");
    expect_integer(wire, 2, "INCR n");
    switch_off();
    switch_on();
    expect_integer(wire, 3, "INCR n");
    kill_and_restart();
    expect_string(wire, "3", "GET n");
    end();
}
END_TEST

START_TEST(it_may_be_asked_for_the_other_before_it_is_there)
{
    start_in("no", modes[_i]);
    expect_ok(wire, "SET before 1");
    for (unsigned i = 0; i < 30; i++) {
        wire_command(wire, "CONFIG SET appendonly %s", i % 2 ? "no" : "yes");
        wire_command(wire, "RPUSH list %u", i);
        if (i % 3 == 0) wire_command(wire, "BGSAVE");
        wire_skip(wire, i % 3 == 0 ? 3 : 2);
        if (i % 5 == 0) usleep(2000);
    }
    expect_off();
    switch_on();
    expect_integer(wire, 31, "RPUSH list last");
    kill_and_restart();
    expect_integer(wire, 31, "LLEN list");
    end();
}
END_TEST

START_TEST(who_waits_for_a_sync_is_told_that_there_is_no_log)
{
    static const char refusal[] =
        "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
    static const char synced[] = "1) (integer) 1\n2) (integer) 0";
    struct wire *waiting;

    start_in("no", "no");
    expect_error(wire, refusal, "WAITAOF 1 0 0");
    switch_on();
    expect_ok(wire, "SET k 1");
    expect_text(wire, synced, "WAITAOF 1 0 0");
    waiting = wire_open(&server);
    expect_ok(waiting, "SET k 2");
    wire_command(waiting, "WAITAOF 1 1 0"); /* a replica that there is not */
    info_wait(wire, "blocked_clients", 1);
    switch_off();
    expect_error(waiting, refusal, "");
    wire_close(waiting);
    expect_error(wire, refusal, "WAITAOF 1 0 0");
    switch_on();
    expect_ok(wire, "SET k 3");
    expect_text(wire, synced, "WAITAOF 1 0 0");
    end();
}
END_TEST

/* ---- failures ---------------------------------------------------------------------------------
 */

START_TEST(a_failure_leaves_it_off)
{
    struct wire *writer;

    start_in("no", modes[_i]);
    writer = wire_open(&server);
    expect_ok(wire, "SET before 1");
    if (!trace("fdatasync,fsync,msync", "fdatasync,fsync,msync:error=EIO")) goto out;
    expect_ok(wire, "CONFIG SET appendonly yes");
    for (unsigned i = 1; i <= 50; i++) /* whatever it is at: nobody is refused */
        expect_integer(writer, i, "RPUSH list %u", i);
    server_wait_log(&server, "The operation log could not begin: Input/output error");
    expect_off();
    expect_field("log_switch_last_error", "Input/output error");
    expect_integer(wire, 51, "RPUSH list last");
    mend();
    switch_on();
    expect_field("log_switch_last_error", "");
    expect_integer(wire, 52, "RPUSH list more");
    kill_and_restart();
    expect_integer(wire, 52, "LLEN list");
out:
    wire_close(writer);
    end();
}
END_TEST

/* Each sync of the way fails once: it is off, and all is as it was, or on. */
START_TEST(each_sync_fails_once)
{
    char inject[64];

    start_in("no", modes[_i]);
    for (unsigned nth = 1, length = 0; nth <= 8; nth++) {
        (void)snprintf(inject, sizeof(inject), "fdatasync,fsync,msync:error=EIO:when=%u", nth);
        if (!trace("fdatasync,fsync,msync", inject)) goto out;
        expect_ok(wire, "CONFIG SET appendonly yes");
        wait_until_switched();
        mend();
        expect_integer(wire, ++length, "RPUSH list x");
        if (nth % 2) expect_ok(wire, "SAVE");
        switch_on();
        expect_integer(wire, ++length, "RPUSH list x");
        kill_and_restart();
        expect_integer(wire, length, "LLEN list");
    }
out:
    end();
}
END_TEST

START_TEST(a_log_that_cannot_be_synced_does_not_end)
{
    start_in("yes", "no"); /* nothing is synced before it is to end */
    expect_ok(wire, "SET before 1");
    if (!trace("fdatasync,fsync,msync", "fdatasync,fsync,msync:error=EIO")) goto out;
    expect_ok(wire, "SET lost 1");
    expect_ok(wire, "CONFIG SET appendonly no");
    server_wait_log(&server, "The operation log could not be brought to its end");
    expect_text(wire, "1) \"appendonly\"\n2) \"yes\"", "CONFIG GET appendonly");
    expect_error(wire, "MISCONF", "SET k 1");
    expect_error(wire,
                 "ERR CONFIG SET failed (possibly related to argument 'appendonly') - the "
                 "operation log has failed",
                 "CONFIG SET appendonly no");
    mend();
    expect_ok(wire, "SAVE");
    expect_ok(wire, "SET after 1");
    kill_and_restart();
    expect_integer(wire, 3, "EXISTS before lost after");
    switch_off();
    expect_ok(wire, "SET off 1");
out:
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("switching");
    TCase *cases = suite_case(suite, "switching");

    tcase_add_loop_test(cases, what_was_answered_is_there_once_it_counts, 0, 3);
    tcase_add_loop_test(cases, what_the_log_had_is_not_done_to_what_is_newer, 0, 3);
    tcase_add_loop_test(cases, a_start_goes_on_from_where_the_log_ended, 0, 3);
    tcase_add_loop_test(cases, it_may_be_asked_for_the_other_before_it_is_there, 0, 3);
    tcase_add_test(cases, who_waits_for_a_sync_is_told_that_there_is_no_log);
    tcase_add_loop_test(cases, a_failure_leaves_it_off, 0, 3);
    tcase_add_loop_test(cases, each_sync_fails_once, 0, 2);
    tcase_add_test(cases, a_log_that_cannot_be_synced_does_not_end);
    return suite_run(suite);
}
