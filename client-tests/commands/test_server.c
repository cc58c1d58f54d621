/* The commands that tell about the server or steer it: DEBUG MEMORY LOLWUT ROLE WAIT REPLICAOF
 * SAVE.
 */
#include "client-tests/commands/beside_redis.h"
#include "client-tests/lib/clock.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const debug_on[] = { "--enable-debug-command", "yes", NULL };
static const char *const tiny[] = { "--list-chunk-bytes", "512", "--list-memory-max", "256kb",
                                    NULL };
static struct server plain; /* without DEBUG */

static void start_servers(void)
{
    struct server_options options = { .arguments = debug_on, .own_arguments = tiny };

    start_both(&options);
    server_start(&plain, NULL);
}

static void stop_servers(void)
{
    stop_both();
    server_stop(&plain);
}

static void begin(void)
{
    open_clients();
    expect_ok(wire, "FLUSHALL");
}

/* ---- DEBUG -------------------------------------------------------------------------------------
 */

START_TEST(debug_is_refused_unless_the_configuration_allows_it)
{
    struct wire *to_plain = wire_open(&plain);

    expect_error(to_plain, "ERR DEBUG command not allowed. If the enable-debug-command option is",
                 "DEBUG SLEEP 0");
    expect_error(to_plain, "ERR DEBUG command not allowed.", "DEBUG NOSUCH");
    wire_close(to_plain);
    expect_ok(wire, "DEBUG SLEEP 0");
}
END_TEST

START_TEST(debug_may_be_allowed_to_clients_of_this_host)
{
    static const char *const arguments[] = { "--enable-debug-command", "local", NULL };
    struct server_options options = { .arguments = arguments };
    struct server local;
    struct wire *by_tcp, *by_unix;

    server_start(&local, &options);
    by_tcp = wire_open(&local);
    by_unix = wire_open_unix(&local);
    expect_ok(by_tcp, "DEBUG SLEEP 0");
    expect_ok(by_unix, "DEBUG SLEEP 0");
    wire_close(by_tcp);
    wire_close(by_unix);
    server_stop(&local);
}
END_TEST

START_TEST(debug_protocol_shows_every_type_as_redis_does)
{
    static const char *const types[] = { "string", "integer", "double", "bignum",  "null",
                                         "array",  "set",     "map",    "attrib",  "push",
                                         "true",   "false",   "nosuch", "verbatim" };

    for (int protocol = 2; protocol <= 3; protocol++) {
        speak(protocol);
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
            /* A push brings a reply after it, and no other type does. */
            int replies = protocol == 3 && strcmp(types[i], "push") == 0 ? 2 : 1;
            struct text ours = { 0 }, theirs = { 0 };

            wire_command(wire, "DEBUG PROTOCOL %s", types[i]);
            wire_command(redis_wire, "DEBUG PROTOCOL %s", types[i]);
            for (int k = 0; k < replies; k++) {
                ck_assert_int_eq(wire_read(wire, &ours), 1);
                ck_assert_int_eq(wire_read(redis_wire, &theirs), 1);
            }
            ck_assert_str_eq(text_string(&ours), text_string(&theirs));
            text_finish(&ours);
            text_finish(&theirs);
        }
        expect_text(wire, "PONG", "PING");
    }
}
END_TEST

START_TEST(debug_refuses_what_it_does_not_know)
{
    static const char *const lines[] = {
        "DEBUG NOSUCH",
        "(error) ERR unknown subcommand or wrong number of arguments for 'NOSUCH'. Try DEBUG HELP.",
        "DEBUG SLEEP",
        "(error) ERR unknown subcommand or wrong number of arguments for 'SLEEP'. Try DEBUG HELP.",
        "DEBUG SLEEP x",
        "(error) ERR value is not a valid float",
        "DEBUG SLEEP nan",
        "(error) ERR value is not a valid float",
        "DEBUG OBJECT nokey",
        "(error) ERR no such key",
        "DEBUG QUICKLIST-PACKED-THRESHOLD 100b",
        "OK",
        "DEBUG QUICKLIST-PACKED-THRESHOLD 5gb",
        "(error) ERR argument must be a memory value bigger than 1 and smaller than 4gb",
        "DEBUG SET-ACTIVE-EXPIRE x",
        "(error) ERR value is not an integer or out of range",
        "DEBUG ERROR \"OWN words\"",
        "(error) OWN words",
        NULL
    };

    expect_lines(wire, lines);
}
END_TEST

START_TEST(debug_object_tells_how_a_value_is_stored)
{
    static const char *const lines[] = { "RPUSH l a bb ccc",
                                         "(integer) 3",
                                         "SET s 123",
                                         "OK",
                                         "DEBUG OBJECT l",
                                         "Value at:0x…",
                                         "DEBUG OBJECT s",
                                         "Value at:0x…",
                                         "OBJECT REFCOUNT l",
                                         "(integer) 1",
                                         NULL };

    expect_lines(wire, lines);
}
END_TEST

START_TEST(keys_stay_until_looked_at_while_active_expiry_is_off)
{
    int64_t deadline = clock_ms() + WAIT_MS;

    expect_ok(wire, "DEBUG SET-ACTIVE-EXPIRE 0");
    expect_ok(wire, "SET unseen v PX 1");
    expect_ok(wire, "SET seen v PX 1");
    while (ask_integer(wire, "EXISTS seen") == 1) {
        ck_assert_msg(clock_probe(deadline), "the key never expires");
    }
    expect_integer(wire, 1, "DBSIZE");
    expect_ok(wire, "DEBUG SET-ACTIVE-EXPIRE 1");
    while (ask_integer(wire, "DBSIZE") == 1) {
        ck_assert_msg(clock_probe(deadline), "active expiry does not come back");
    }
}
END_TEST

/* ---- MEMORY ------------------------------------------------------------------------------------
 */

START_TEST(memory_usage_counts_what_is_in_memory)
{
    enum { ELEMENTS = 20000, ELEMENT_BYTES = 100 };
    char element[ELEMENT_BYTES + 1];
    long long one, hundred;

    memset(element, 'x', ELEMENT_BYTES);
    element[ELEMENT_BYTES] = '\0';
    expect_nil(wire, "MEMORY USAGE nokey");
    expect_integer(wire, 1, "RPUSH l %s", element);
    one = ask_integer(wire, "MEMORY USAGE l");
    ck_assert_int_gt(one, ELEMENT_BYTES);
    for (int i = 1; i < 100; i++)
        expect_integer(wire, i + 1, "RPUSH l %s", element);
    hundred = ask_integer(wire, "MEMORY USAGE l SAMPLES 0");
    ck_assert_int_gt(hundred, one + 99 * ELEMENT_BYTES);
    for (int i = 100; i < ELEMENTS; i++)
        wire_command(wire, "RPUSH l %s", element);
    wire_skip(wire, ELEMENTS - 100);
    /* list-memory-max is 256 KiB: nearly all of it is on disk by now. */
    ck_assert_int_lt(ask_integer(wire, "MEMORY USAGE l"), ELEMENTS * ELEMENT_BYTES / 2);
}
END_TEST

START_TEST(memory_usage_refuses_what_redis_refuses)
{
    static const char *const lines[] = {
        "RPUSH l a",
        "(integer) 1",
        "MEMORY USAGE l SAMPLES",
        "(error) ERR syntax error",
        "MEMORY USAGE l SAMPLES -1",
        "(error) ERR syntax error",
        "MEMORY USAGE l SAMPLES x",
        "(error) ERR value is not an integer or out of range",
        "MEMORY USAGE l FOO 1",
        "(error) ERR syntax error",
        "MEMORY NOSUCH",
        "(error) ERR unknown subcommand 'NOSUCH'. Try MEMORY HELP.",
        NULL
    };

    expect_lines(wire, lines);
}
END_TEST

START_TEST(memory_stats_has_the_fields_of_redis)
{
    struct text ours = { 0 }, theirs = { 0 };
    char field[64];

    expect_ok(wire, "SET s v");
    expect_ok(redis_wire, "SET s v");
    wire_command(wire, "MEMORY STATS");
    wire_command(redis_wire, "MEMORY STATS");
    ck_assert_int_eq(wire_read(wire, &ours), 1);
    ck_assert_int_eq(wire_read(redis_wire, &theirs), 1);
    for (const char *at = text_string(&theirs); (at = strchr(at, '$')) != NULL; at++) {
        if (sscanf(at, "$%*d\r\n%63[a-z0-9.-]\r\n", field) != 1 || field[0] < 'a') continue;
        ck_assert_msg(strstr(text_string(&ours), field) != NULL, "no field %s", field);
    }
    text_finish(&ours);
    text_finish(&theirs);
    expect_ok(redis_wire, "FLUSHALL");
}
END_TEST

START_TEST(memory_reports_and_purges)
{
    struct text report = { 0 };

    expect_ok(wire, "MEMORY PURGE");
    wire_command(wire, "MEMORY MALLOC-STATS");
    ck_assert_int_eq(wire_read(wire, &report), 1);
    ck_assert_int_eq(report.bytes[0], '$');
    ck_assert_uint_gt(report.size, 20);
    /* The promise about memory needs pages to go back soon, by threads: see main.c. Sanitizers
     * bring an allocator of their own. */
    if (strstr(suite_build_directory(), "/release/")) {
        ck_assert_ptr_nonnull(strstr(text_string(&report), "opt.background_thread: true"));
        ck_assert_ptr_nonnull(strstr(text_string(&report), "opt.dirty_decay_ms: 200"));
    }
    text_finish(&report);
    wire_command(wire, "MEMORY DOCTOR");
    report = (struct text){ 0 };
    ck_assert_int_eq(wire_read(wire, &report), 1);
    ck_assert_int_eq(report.bytes[0], '$');
    text_finish(&report);
}
END_TEST

/* ---- the others --------------------------------------------------------------------------------
 */

START_TEST(lolwut_ends_with_the_version)
{
    static const char *const forms[] = { "LOLWUT", "LOLWUT VERSION 5", "LOLWUT VERSION 99" };

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct text art = { 0 };

        wire_command_line(wire, forms[i]);
        ck_assert_int_eq(wire_read(wire, &art), 1);
        ck_assert_ptr_nonnull(strstr(text_string(&art), "\nSluice ver. 0.1.0\n\r\n"));
        text_finish(&art);
    }
    expect_error(wire, "ERR value is not an integer", "LOLWUT VERSION x");
}
END_TEST

START_TEST(replication_is_that_of_a_master_alone)
{
    static const char *const lines[] = { "ROLE",
                                         "1) \"master\"\n2) (integer) 0\n3) (empty array)",
                                         "WAIT 0 0",
                                         "(integer) 0",
                                         "WAIT 3 0",
                                         "(integer) 0",
                                         "WAIT x 0",
                                         "(error) ERR value is not an integer or out of range",
                                         "WAIT 0 -1",
                                         "(error) ERR timeout is negative",
                                         "REPLICAOF NO ONE",
                                         "OK",
                                         "slaveof no one",
                                         "OK",
                                         "REPLICAOF 127.0.0.1 6379",
                                         "(error) ERR This server replicates no other server…",
                                         NULL };

    expect_lines(wire, lines);
}
END_TEST

/* Neither is answered a second MONITOR, and neither shows a monitor the RESET that ends it. */
START_TEST(a_monitor_is_told_once_and_not_of_its_own_reset)
{
    struct wire *wires[] = { wire, redis_wire };

    for (int i = 0; i < 2; i++) {
        expect_ok(wires[i], "MONITOR");
        wire_command(wires[i], "MONITOR");
        expect_text(wires[i], "RESET", "RESET");
        expect_text(wires[i], "PONG", "PING");
    }
}
END_TEST

START_TEST(saving_answers_as_redis_does)
{
    struct wire *wires[] = { wire, redis_wire };

    for (int i = 0; i < 2; i++) {
        expect_ok(wires[i], "SAVE");
        ck_assert_int_gt(ask_integer(wires[i], "LASTSAVE"), 1700000000);
        expect_error(wires[i], "ERR syntax error", "BGSAVE NOW");
        expect_error(wires[i], "ERR wrong number of arguments for 'save' command", "SAVE x");
        expect_text(wires[i], "Background saving started", "BGSAVE SCHEDULE");
        info_wait(wires[i], "rdb_bgsave_in_progress", 0);
        expect_text(wires[i], "Background append only file rewriting started", "BGREWRITEAOF");
        info_wait(wires[i], "aof_rewrite_in_progress", 0);
        ck_assert_int_eq(info_number(wires[i], "rdb_changes_since_last_save"), 0);
        ck_assert_int_eq(info_number(wires[i], "rdb_saves"), 2);
    }
}
END_TEST

START_TEST(debug_reload_takes_nosave)
{
    bool has_log = info_number(wire, "aof_enabled") == 1;

    expect_ok(wire, "SET a 1");
    expect_ok(wire, "SAVE");
    expect_ok(wire, "SET a 2");
    expect_ok(wire, "DEBUG RELOAD NOSAVE");
    expect_string(wire, has_log ? "2" : "1", "GET a");
    expect_ok(wire, "SET a 3");
    expect_ok(wire, "DEBUG RELOAD");
    expect_string(wire, "3", "GET a");
    expect_error(wire, "ERR DEBUG RELOAD keeps no keys here", "DEBUG RELOAD NOSAVE NOFLUSH");
    expect_error(wire, "ERR DEBUG RELOAD keeps no keys here", "DEBUG RELOAD MERGE");
    expect_string(wire, "3", "GET a");
}
END_TEST

/* A row is sent at once, so that what the first one starts is in progress for the others. */
static const char *const meeting_saves[][16] = {
    { "BGSAVE", "BGSAVE", "BGSAVE SCHEDULE", "BGREWRITEAOF", "BGREWRITEAOF", "SAVE" },
    { "BGREWRITEAOF", "BGREWRITEAOF", "BGSAVE", "BGSAVE SCHEDULE", "BGSAVE SCHEDULE", "BGSAVE" },
    { "MULTI", "BGSAVE", "BGREWRITEAOF", "BGSAVE SCHEDULE", "EXEC", "BGSAVE" },
    { "BGREWRITEAOF", "MULTI", "BGSAVE", "BGREWRITEAOF", "EXEC" },
    { "BGSAVE x", "BGSAVE SCHEDULE x", "BGREWRITEAOF x", "LASTSAVE x", "MULTI", "SAVE", "EXEC" },
    { "SHUTDOWN ABORT", "SHUTDOWN ABORT ABORT", "SHUTDOWN ABORT NOW", "SHUTDOWN SAVE ABORT",
      "SHUTDOWN NOSAVE SAVE", "SHUTDOWN NEVER" },
    { "DEBUG RELOAD x", "DEBUG RELOAD NOSAVE x", "DEBUG RELOAD" },
};

START_TEST(saves_that_meet_answer_as_in_redis)
{
    struct wire *wires[] = { wire, redis_wire };
    struct text answers[2] = { { 0 }, { 0 } };

    for (size_t i = 0; i < 2; i++) {
        struct text lines = { 0 };
        unsigned count = 0;

        for (; meeting_saves[_i][count]; count++) {
            text_add_string(&lines, meeting_saves[_i][count]);
            text_add_string(&lines, "\r\n");
        }
        ck_assert_int_eq(wire_send(wires[i], lines.bytes, lines.size), 0);
        while (count-- > 0)
            ck_assert_int_eq(wire_read(wires[i], &answers[i]), 1);
        text_finish(&lines);
    }
    ck_assert_str_eq(text_string(&answers[0]), text_string(&answers[1]));
    text_finish(&answers[0]);
    text_finish(&answers[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server commands");
    TCase *tcase = suite_case(suite, "server"), *saves = suite_case(suite, "saves");

    tcase_add_unchecked_fixture(tcase, start_servers, stop_servers);
    tcase_add_checked_fixture(tcase, begin, close_clients);
    tcase_add_test(tcase, debug_is_refused_unless_the_configuration_allows_it);
    tcase_add_test(tcase, debug_may_be_allowed_to_clients_of_this_host);
    tcase_add_test(tcase, debug_protocol_shows_every_type_as_redis_does);
    tcase_add_test(tcase, debug_refuses_what_it_does_not_know);
    tcase_add_test(tcase, debug_object_tells_how_a_value_is_stored);
    tcase_add_test(tcase, keys_stay_until_looked_at_while_active_expiry_is_off);
    tcase_add_test(tcase, memory_usage_counts_what_is_in_memory);
    tcase_add_test(tcase, memory_usage_refuses_what_redis_refuses);
    tcase_add_test(tcase, memory_stats_has_the_fields_of_redis);
    tcase_add_test(tcase, memory_reports_and_purges);
    tcase_add_test(tcase, lolwut_ends_with_the_version);
    tcase_add_test(tcase, replication_is_that_of_a_master_alone);
    tcase_add_test(tcase, a_monitor_is_told_once_and_not_of_its_own_reset);
    tcase_add_test(tcase, saving_answers_as_redis_does);
    tcase_add_test(tcase, debug_reload_takes_nosave);
    tcase_add_checked_fixture(saves, start_servers, stop_servers);
    tcase_add_checked_fixture(saves, begin, close_clients);
    tcase_add_loop_test(saves, saves_that_meet_answer_as_in_redis, 0,
                        sizeof(meeting_saves) / sizeof(meeting_saves[0]));
    return suite_run(suite);
}
