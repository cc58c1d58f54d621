/* Commands that redis-server 7.0 cannot be asked about: LMOVEM and BLMOVEM (Redis 8.10), SL.LIST.
 */
#include "client-tests/commands/two_clients.h"
#include "client-tests/lib/observe.h"
#include <stdio.h>
#include <string.h>

static const char *const tiny[] = {
    "--list-chunk-bytes", "512", "--list-memory-max", "256kb", "--enable-debug-command", "yes", NULL
};

/* A list far above the budget: "0:…" to "4999:…". */
static void fill(const char *key)
{
    char padding[120];

    memset(padding, 'x', sizeof(padding) - 1);
    padding[sizeof(padding) - 1] = '\0';
    for (int i = 0; i < 5000; i++)
        wire_command(wire, "RPUSH %s %d:%s", key, i, padding);
    wire_skip(wire, 5000);
}

START_TEST(lmovem_moves_several_at_once)
{
    static const char *const lines[] = {
        "RPUSH a 1 2 3 4 5 6", "(integer) 6",
        /* Left as one block: the order stays. */
        "LMOVEM a b LEFT RIGHT COUNT 2 BULK", "1) \"1\"\n2) \"2\"", "LRANGE b 0 -1",
        "1) \"1\"\n2) \"2\"", "LMOVEM a b LEFT LEFT COUNT 2 BULK", "1) \"3\"\n2) \"4\"",
        "LRANGE b 0 -1", "1) \"3\"\n2) \"4\"\n3) \"1\"\n4) \"2\"",
        /* One by one, as so many LMOVEs would; the reply is in the destination's order. */
        "LMOVEM b a LEFT LEFT COUNT 2 OBO", "1) \"4\"\n2) \"3\"", "LRANGE a 0 -1",
        "1) \"4\"\n2) \"3\"\n3) \"5\"\n4) \"6\"", NULL
    };

    expect_lines(wire, lines);
}
END_TEST

START_TEST(lmovem_exactly_moves_all_or_nothing)
{
    static const char *const lines[] = { "RPUSH a 1 2 3",
                                         "(integer) 3",
                                         "LMOVEM a b LEFT RIGHT EXACTLY 4 BULK",
                                         "(nil)",
                                         "EXISTS b",
                                         "(integer) 0",
                                         "LLEN a",
                                         "(integer) 3",
                                         "LMOVEM a b LEFT RIGHT EXACTLY 3 BULK",
                                         "1) \"1\"\n2) \"2\"\n3) \"3\"",
                                         "EXISTS a",
                                         "(integer) 0",
                                         "LMOVEM b a RIGHT LEFT COUNT 100 OBO",
                                         "1) \"1\"\n2) \"2\"\n3) \"3\"",
                                         "LRANGE a 0 -1",
                                         "1) \"1\"\n2) \"2\"\n3) \"3\"",
                                         NULL };

    expect_lines(wire, lines);
}
END_TEST

START_TEST(lmovem_refuses_what_makes_no_sense)
{
    static const char *const lines[] = {
        "LMOVEM",
        "(error) ERR wrong number of arguments for 'lmovem' command",
        "LMOVEM a b LEFT",
        "(error) ERR wrong number of arguments for 'lmovem' command",
        "LMOVEM a b LEFT UP",
        "(error) ERR syntax error",
        "LMOVEM a b LEFT RIGHT COUNT 1",
        "(error) ERR syntax error",
        "LMOVEM a b LEFT RIGHT COUNT 1 FOO",
        "(error) ERR syntax error",
        "LMOVEM a b LEFT RIGHT SOME 1 BULK",
        "(error) ERR syntax error",
        "LMOVEM a b LEFT RIGHT COUNT 0 BULK",
        "(error) ERR…",
        "LMOVEM a b LEFT RIGHT COUNT -1 BULK",
        "(error) ERR…",
        "LMOVEM a b LEFT RIGHT COUNT x BULK",
        "(error) ERR…",
        "LMOVEM a b LEFT RIGHT COUNT 99999999999999999999 BULK",
        "(error) ERR…",
        "LMOVEM a b LEFT RIGHT COUNT 5 BULK",
        "(nil)",
        "SET s string",
        "OK",
        "RPUSH a 1",
        "(integer) 1",
        "LMOVEM s b LEFT RIGHT COUNT 5 BULK",
        "(error) WRONGTYPE…",
        "LMOVEM a s LEFT RIGHT COUNT 5 BULK",
        "(error) WRONGTYPE…",
        "BLMOVEM a b LEFT RIGHT -1 COUNT 5 BULK",
        "(error) ERR timeout is negative",
        "BLMOVEM a b LEFT RIGHT x COUNT 5 BULK",
        "(error) ERR timeout is not a float…",
        "LRANGE a 0 -1",
        "1) \"1\"",
        NULL
    };

    expect_lines(wire, lines);
}
END_TEST

START_TEST(lmovem_within_one_list_turns_it)
{
    static const char *const lines[] = { "RPUSH a 1 2 3 4",
                                         "(integer) 4",
                                         "LMOVEM a a LEFT RIGHT COUNT 2 BULK",
                                         "1) \"1\"\n2) \"2\"",
                                         "LRANGE a 0 -1",
                                         "1) \"3\"\n2) \"4\"\n3) \"1\"\n4) \"2\"",
                                         "LMOVEM a a LEFT RIGHT COUNT 100 BULK",
                                         "1) \"3\"\n2) \"4\"\n3) \"1\"\n4) \"2\"",
                                         "LRANGE a 0 -1",
                                         "1) \"3\"\n2) \"4\"\n3) \"1\"\n4) \"2\"",
                                         NULL };

    expect_lines(wire, lines);
}
END_TEST

START_TEST(lmovem_moves_thousands_that_are_on_disk)
{
    struct text before = { 0 }, moved = { 0 };

    fill("a");
    wire_command(wire, "LRANGE a 0 3999");
    ck_assert_int_eq(wire_read(wire, &before), 1);
    wire_command(wire, "LMOVEM a b LEFT RIGHT COUNT 4000 BULK");
    ck_assert_int_eq(wire_read(wire, &moved), 1);
    ck_assert_uint_eq(before.size, moved.size);
    ck_assert_mem_eq(before.bytes, moved.bytes, before.size);
    text_clear(&moved);
    wire_command(wire, "LRANGE b 0 -1");
    ck_assert_int_eq(wire_read(wire, &moved), 1);
    ck_assert_uint_eq(before.size, moved.size);
    ck_assert_mem_eq(before.bytes, moved.bytes, before.size);
    expect_integer(wire, 1000, "LLEN a");
    text_finish(&before);
    text_finish(&moved);
}
END_TEST

START_TEST(blmovem_waits_until_there_is_one)
{
    wire_command(other, "BLMOVEM a b LEFT RIGHT 0 COUNT 3 BULK");
    info_wait(wire, "blocked_clients", 1);
    expect_integer(wire, 2, "RPUSH a 1 2");
    expect_text(other, "1) \"1\"\n2) \"2\"", "");
    expect_text(wire, "1) \"1\"\n2) \"2\"", "LRANGE b 0 -1");
    expect_text(other, "(nil)", "BLMOVEM a b LEFT RIGHT 0.01 COUNT 3 BULK");
}
END_TEST

START_TEST(blmovem_exactly_waits_until_all_are_there)
{
    wire_command(other, "BLMOVEM a b RIGHT RIGHT 0 EXACTLY 3 OBO");
    info_wait(wire, "blocked_clients", 1);
    expect_integer(wire, 2, "RPUSH a 1 2");
    expect_silence(other, wire);
    expect_integer(wire, 3, "RPUSH a 3");
    expect_text(other, "1) \"3\"\n2) \"2\"\n3) \"1\"", "");
    expect_integer(wire, 0, "EXISTS a");
}
END_TEST

/* The number after name in SL.LIST INFO. */
static long long storage(const char *name)
{
    struct text reply = { 0 }, quoted = { 0 };
    const char *found;
    long long value = -1;

    wire_command(wire, "SL.LIST INFO l");
    ck_assert_int_eq(wire_read(wire, &reply), 1);
    text_format(&quoted, "\r\n%s\r\n:", name);
    found = strstr(text_string(&reply), text_string(&quoted));
    ck_assert_msg(found != NULL, "SL.LIST INFO has no %s: %s", name, text_string(&reply));
    ck_assert_int_eq(sscanf(found + quoted.size, "%lld", &value), 1);
    text_finish(&reply);
    text_finish(&quoted);
    return value;
}

START_TEST(sl_list_info_tells_where_the_elements_are)
{
    fill("l");
    info_wait_least(wire, "spill_evicted_chunks", 1);
    ck_assert_int_eq(storage("elements"), 5000);
    ck_assert_int_gt(storage("bytes"), 5000 * 119);
    ck_assert_int_gt(storage("elements_on_disk"), 2500);
    ck_assert_int_gt(storage("bytes_on_disk"), 0);
    ck_assert_int_le(storage("bytes_in_memory"), 256 * 1024);
    ck_assert_int_gt(storage("chunks"), storage("chunks_in_memory"));
    ck_assert_int_eq(storage("index_height"), 2); /* 1,250 chunks, up to 64 a node */
    expect_integer(wire, 1, "DEL l");
    expect_error(wire, "ERR no such key", "SL.LIST INFO l");
    expect_ok(wire, "SET l string");
    expect_error(wire, "WRONGTYPE", "SL.LIST INFO l");
    expect_error(wire, "ERR wrong number of arguments", "SL.LIST INFO");
    expect_error(wire, "ERR unknown subcommand", "SL.LIST FOO");
}
END_TEST

/* Another client's commands go between: the walk over the list's chunks is parked. */
START_TEST(figures_of_a_long_list_are_gathered_without_holding_others_up)
{
    int64_t parked;

    fill("short");
    fill("l");
    fill("l"); /* 2,500 chunks */
    parked = info_number(wire, "parked_commands");
    ck_assert_int_gt(ask_integer(wire, "MEMORY USAGE short"), 0);
    ck_assert_int_eq(info_number(wire, "parked_commands"), parked);
    ck_assert_int_eq(storage("elements"), 10000);
    ck_assert_int_eq(info_number(wire, "parked_commands"), parked + 1);
    ck_assert_int_gt(ask_integer(wire, "MEMORY USAGE l"), 0);
    ck_assert_int_eq(info_number(wire, "parked_commands"), parked + 2);
}
END_TEST

START_TEST(info_names_what_clients_and_tests_wait_on)
{
    static const char *const fields[] = { "blocked_clients",     "total_blocking_keys",
                                          "expired_keys",        "connected_clients",
                                          "used_memory",         "loading",
                                          "total_error_replies", "total_commands_processed",
                                          "maxclients",          "uptime_in_seconds",
                                          "max_tick_us",         "parked_commands",
                                          "queued_commands",     "spill_evicted_chunks",
                                          "max_tick_cpu_us" };
    struct text version = { 0 }, database = { 0 };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        (void)info_number(wire, fields[i]);
    ck_assert(info_text(wire, "redis_version", &version));
    ck_assert_str_eq(text_string(&version), "7.2.4");
    ck_assert(info_text(wire, "sluice_version", &version));
    expect_ok(wire, "SET k v EX 1000");
    expect_integer(wire, 1, "RPUSH l x");
    ck_assert(info_text(wire, "db0", &database));
    ck_assert_int_eq(strncmp(text_string(&database), "keys=2,expires=1,", 17), 0);
    text_finish(&version);
    text_finish(&database);
}
END_TEST

START_TEST(statistics_of_commands_and_errors_are_kept)
{
    struct text calls = { 0 }, errors = { 0 };

    expect_ok(wire, "CONFIG RESETSTAT");
    expect_integer(wire, 1, "RPUSH l x");
    expect_integer(wire, 2, "RPUSH l x");
    expect_error(wire, "WRONGTYPE", "GET l");
    ck_assert(info_text(wire, "cmdstat_rpush", &calls));
    ck_assert_int_eq(strncmp(text_string(&calls), "calls=2,usec=", 13), 0);
    ck_assert(info_text(wire, "errorstat_WRONGTYPE", &errors));
    ck_assert_str_eq(text_string(&errors), "count=1");
    ck_assert_int_eq(info_number(wire, "total_error_replies"), 1);
    text_finish(&calls);
    text_finish(&errors);
}
END_TEST

/* A turn that waits is told from one that computes. */
START_TEST(a_long_turn_is_measured_in_processor_time_too)
{
    enum { SLEPT_US = 50000, COMPUTED_BYTES = 64 << 20 };

    expect_ok(wire, "CONFIG RESETSTAT");
    expect_ok(wire, "DEBUG SLEEP 0.05");
    ck_assert_int_ge(info_number(wire, "max_tick_us"), SLEPT_US);
    ck_assert_int_lt(info_number(wire, "max_tick_cpu_us"), info_number(wire, "max_tick_us"));
    expect_ok(wire, "CONFIG RESETSTAT");
    expect_integer(wire, COMPUTED_BYTES, "SETRANGE large %d x", COMPUTED_BYTES - 1);
    ck_assert_int_gt(info_number(wire, "max_tick_cpu_us"), 0);
    ck_assert_int_le(info_number(wire, "max_tick_cpu_us"), info_number(wire, "max_tick_us"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("own commands");
    TCase *tcase = two_clients_case(suite, "own", tiny);

    tcase_add_test(tcase, lmovem_moves_several_at_once);
    tcase_add_test(tcase, lmovem_exactly_moves_all_or_nothing);
    tcase_add_test(tcase, lmovem_refuses_what_makes_no_sense);
    tcase_add_test(tcase, lmovem_within_one_list_turns_it);
    tcase_add_test(tcase, lmovem_moves_thousands_that_are_on_disk);
    tcase_add_test(tcase, blmovem_waits_until_there_is_one);
    tcase_add_test(tcase, blmovem_exactly_waits_until_all_are_there);
    tcase_add_test(tcase, sl_list_info_tells_where_the_elements_are);
    tcase_add_test(tcase, figures_of_a_long_list_are_gathered_without_holding_others_up);
    tcase_add_test(tcase, info_names_what_clients_and_tests_wait_on);
    tcase_add_test(tcase, a_long_turn_is_measured_in_processor_time_too);
    tcase_add_test(tcase, statistics_of_commands_and_errors_are_kept);
    return suite_run(suite);
}
