/* What INFO and LATENCY count, beside redis-server: how often, not how long. */
#include "client-tests/commands/beside_redis.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const debug_on[] = { "--enable-debug-command", "yes", NULL };
static const char *const tiny[] = { "--list-chunk-bytes", "512", "--list-memory-max", "256kb",
                                    NULL };
static void start_servers(void)
{
    struct server_options options = { .arguments = debug_on, .own_arguments = tiny };

    start_both(&options);
}

static void begin_to_count(struct wire *client)
{
    expect_ok(client, "FLUSHALL");
    expect_ok(client, "CONFIG SET latency-tracking yes");
    expect_ok(client, "CONFIG RESETSTAT");
}

static void begin(void)
{
    open_clients();
    begin_to_count(wire);
    begin_to_count(redis_wire);
}

/* ---- how long calls took ----------------------------------------------------------------------
 */

/* Every border that the server names for calls which took about 0.1 ms to a second is one of
 * Redis's, and each call is counted below a border that it did not exceed. */
static void check_borders(struct wire *to)
{
    static const char *const sleeps[] = { "0.00012", "0.0002", "0.0004", "0.001", "0.004", "0.03" };
    static const long long borders[] = { 1,     2,     4,     8,      16,     33,     66,
                                         132,   264,   528,   1056,   2113,   4227,   8454,
                                         16908, 33816, 67633, 135266, 270532, 541065, 1073741 };
    struct text reply = { 0 };
    const char *at;
    int found = 0;

    for (size_t i = 0; i < sizeof(sleeps) / sizeof(sleeps[0]); i++)
        expect_ok(to, "DEBUG SLEEP %s", sleeps[i]);
    wire_command(to, "LATENCY HISTOGRAM debug");
    ck_assert_int_eq(wire_read(to, &reply), 1);
    ck_assert_ptr_nonnull(strstr(text_string(&reply), "\r\n$5\r\ncalls\r\n:6\r\n$14\r\n"));
    at = strstr(text_string(&reply), "histogram_usec\r\n*");
    ck_assert_ptr_nonnull(at);
    at = strstr(at, "\r\n:");
    while (at) { /* a border, and how many calls were not longer */
        long long border = strtoll(at + 3, NULL, 10);
        bool is_known = false;

        for (size_t i = 0; i < sizeof(borders) / sizeof(borders[0]); i++)
            is_known |= borders[i] == border;
        ck_assert_msg(is_known, "Redis has no border at %lld us", border);
        ck_assert_int_ge(border, 132); /* nobody sleeps less than he was told */
        at = strstr(at + 1, "\r\n:");
        ck_assert_ptr_nonnull(at);
        at = strstr(at + 1, "\r\n:");
        found++;
    }
    ck_assert_int_ge(found, 1);
    text_finish(&reply);
}

START_TEST(histograms_have_the_borders_of_redis)
{
    check_borders(redis_wire); /* is the test true? */
    check_borders(wire);
}
END_TEST

static void check_tracking_off(struct wire *to)
{
    static const char *const one[] = { "LATENCY HISTOGRAM ping",
                                       "1) \"ping\"\n2) 1) \"calls\"\n   2) (integer) 1\n…", NULL };
    struct text calls = { 0 }, percentiles = { 0 };

    expect_text(to, "PONG", "PING");
    expect_ok(to, "CONFIG SET latency-tracking no");
    expect_text(to, "PONG", "PING");
    ck_assert(info_text(to, "cmdstat_ping", &calls));
    ck_assert_int_eq(strncmp(text_string(&calls), "calls=2,", 8), 0);
    ck_assert(!info_text(to, "latency_percentiles_usec_ping", &percentiles));
    expect_lines(to, one);
    expect_ok(to, "CONFIG RESETSTAT");
    expect_text(to, "PONG", "PING");
    expect_text(to, "(empty array)", "LATENCY HISTOGRAM ping");
    expect_ok(to, "CONFIG SET latency-tracking yes");
    expect_text(to, "PONG", "PING");
    expect_lines(to, one);
    ck_assert(info_text(to, "latency_percentiles_usec_ping", &percentiles));
    text_finish(&calls);
    text_finish(&percentiles);
}

START_TEST(without_latency_tracking_no_durations_are_counted)
{
    check_tracking_off(redis_wire);
    check_tracking_off(wire);
}
END_TEST

/* ---- keys found and missed --------------------------------------------------------------------
 */

START_TEST(a_call_that_runs_again_in_a_fiber_has_found_its_key_once)
{
    enum { ELEMENTS = 4000 };
    int64_t parked;

    for (int i = 0; i < ELEMENTS; i++)
        wire_command(wire, "RPUSH l %0200d", i);
    wire_skip(wire, ELEMENTS);
    expect_ok(wire, "CONFIG RESETSTAT");
    parked = info_number(wire, "parked_commands");
    for (int i = 0; i < 20; i++) {
        char element[201];

        (void)snprintf(element, sizeof(element), "%0200d", i * 150);
        expect_string(wire, element, "LINDEX l %d", i * 150);
    }
    ck_assert_int_gt(info_number(wire, "parked_commands"), parked);
    ck_assert_int_eq(info_number(wire, "keyspace_hits"), 20);
    ck_assert_int_eq(info_number(wire, "keyspace_misses"), 0);
    expect_nil(wire, "LINDEX none 1");
    ck_assert_int_eq(info_number(wire, "keyspace_misses"), 1);
}
END_TEST

static void check_expired_keys(struct wire *to)
{
    expect_ok(to, "SET key x PX 1");
    info_wait(to, "expired_keys", 1);
    expect_ok(to, "CONFIG RESETSTAT");
    ck_assert_int_eq(info_number(to, "expired_keys"), 0);
    expect_ok(to, "SET key x PX 1");
    info_wait(to, "expired_keys", 1);
}

START_TEST(resetstat_counts_expired_keys_anew)
{
    check_expired_keys(redis_wire);
    check_expired_keys(wire);
}
END_TEST

START_TEST(resetstat_counts_what_spilled_anew_and_keeps_what_is_there)
{
    static const char *const counters[] = { "spill_evicted_chunks", "spill_evicted_bytes",
                                            "spill_fetched_chunks", "spill_fetched_bytes",
                                            "spill_writes",         "spill_reads",
                                            "spill_waits" };
    enum { ELEMENTS = 4000 };
    int64_t before[sizeof(counters) / sizeof(counters[0])];

    for (int i = 0; i < ELEMENTS; i++)
        wire_command(wire, "RPUSH l %0200d", i);
    wire_skip(wire, ELEMENTS);
    info_wait(wire, "spill_writes_in_flight", 0);
    for (int i = 0; i < ELEMENTS; i += 100) {
        wire_command(wire, "MULTI");
        wire_command(wire, "LINDEX l %d", i);
        wire_command(wire, "EXEC");
        wire_command(wire, "LINDEX l %d", ELEMENTS - 1 - i);
        wire_skip(wire, 4);
    }
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        before[i] = info_number(wire, counters[i]);
        ck_assert_msg(before[i] > 0, "%s is 0", counters[i]);
    }
    expect_ok(wire, "CONFIG RESETSTAT");
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        /* A chunk or two may still be on its way. */
        ck_assert_msg(info_number(wire, counters[i]) < before[i] / 2, "%s goes on", counters[i]);
    }
    ck_assert_int_gt(info_number(wire, "spill_disk_used_bytes"), 0);
    ck_assert_int_gt(info_number(wire, "spill_elements"), 0);
}
END_TEST

/* ---- errors, and calls that block -------------------------------------------------------------
 */

/* calls=N and failed_calls=N of INFO commandstats, "" when there is no such field. */
static const char *calls_and_failures(struct wire *to, const char *command)
{
    static char shown[128];
    struct text line = { 0 };
    char field[64];

    shown[0] = '\0';
    (void)snprintf(field, sizeof(field), "cmdstat_%s", command);
    if (info_text(to, field, &line)) {
        const char *text = text_string(&line);

        (void)snprintf(shown, sizeof(shown), "%.*s %s", (int)strcspn(text, ","), text,
                       strstr(text, "rejected_calls="));
    }
    text_finish(&line);
    return shown;
}

static void check_error_count(struct wire *to, const char *code, int count)
{
    struct text line = { 0 };
    char field[64], expected[32];

    (void)snprintf(field, sizeof(field), "errorstat_%s", code);
    (void)snprintf(expected, sizeof(expected), "count=%d", count);
    ck_assert_msg(info_text(to, field, &line), "no %s", field);
    ck_assert_str_eq(text_string(&line), expected);
    text_finish(&line);
}

static struct wire *block(const struct server *at, struct wire *to, const char *command,
                          long long *out_id)
{
    struct wire *waiting = wire_open(at);

    *out_id = ask_integer(waiting, "CLIENT ID");
    expect_ok(to, "CONFIG RESETSTAT");
    wire_command(waiting, command);
    info_wait(to, "blocked_clients", 1);
    return waiting;
}

static void check_unblocked(const struct server *at, struct wire *to)
{
    long long id;
    struct wire *waiting = block(at, to, "BLPOP none 0", &id);

    ck_assert_str_eq(calls_and_failures(to, "blpop"), "calls=1 rejected_calls=0,failed_calls=0");
    expect_integer(to, 1, "CLIENT UNBLOCK %lld ERROR", id);
    expect_error(waiting, "UNBLOCKED ", "");
    ck_assert_str_eq(calls_and_failures(to, "blpop"), "calls=1 rejected_calls=0,failed_calls=1");
    check_error_count(to, "UNBLOCKED", 1);
    ck_assert_int_eq(info_number(to, "total_error_replies"), 1);
    wire_close(waiting);
    info_wait(to, "connected_clients", 1);

    waiting = block(at, to, "BLPOP none 0", &id);
    expect_integer(to, 1, "CLIENT UNBLOCK %lld", id);
    expect_nil(waiting, "");
    ck_assert_str_eq(calls_and_failures(to, "blpop"), "calls=1 rejected_calls=0,failed_calls=1");
    ck_assert_int_eq(info_number(to, "total_error_replies"), 0);
    wire_close(waiting);
}

START_TEST(who_is_unblocked_has_failed_once)
{
    check_unblocked(&redis, redis_wire);
    check_unblocked(&server, wire);
}
END_TEST

static void check_served(const struct server *at, struct wire *to)
{
    long long id;
    struct wire *waiting = block(at, to, "BLPOP list 0", &id);

    expect_integer(to, 1, "RPUSH list x");
    expect_text(waiting, "1) \"list\"\n2) \"x\"", "");
    ck_assert_str_eq(calls_and_failures(to, "blpop"), "calls=1 rejected_calls=0,failed_calls=0");
    wire_close(waiting);
    info_wait(to, "connected_clients", 1);

    expect_ok(to, "SET string x");
    waiting = block(at, to, "BLMOVE list string LEFT LEFT 0", &id);
    expect_integer(to, 1, "RPUSH list x");
    expect_error(waiting, "WRONGTYPE", "");
    ck_assert_str_eq(calls_and_failures(to, "blmove"), "calls=1 rejected_calls=0,failed_calls=1");
    check_error_count(to, "WRONGTYPE", 1);
    ck_assert_int_eq(info_number(to, "total_error_replies"), 1);
    wire_close(waiting);
}

START_TEST(who_blocked_and_was_served_called_once)
{
    check_served(&redis, redis_wire);
    check_served(&server, wire);
}
END_TEST

static void check_refusals(struct wire *to)
{
    expect_error(to, "ERR unknown command", "NOSUCH");
    expect_error(to, "ERR unknown subcommand", "CLIENT NOSUCH");
    expect_error(to, "ERR wrong number", "GET");
    expect_ok(to, "MULTI");
    expect_error(to, "ERR wrong number", "GET");
    expect_error(to, "EXECABORT", "EXEC");
    ck_assert_str_eq(calls_and_failures(to, "get"), "calls=0 rejected_calls=2,failed_calls=0");
    ck_assert_str_eq(calls_and_failures(to, "exec"), "calls=1 rejected_calls=0,failed_calls=1");
    ck_assert_str_eq(calls_and_failures(to, "client"), "");
    check_error_count(to, "ERR", 4);
    check_error_count(to, "EXECABORT", 1);
    ck_assert_int_eq(info_number(to, "total_error_replies"), 5);
}

START_TEST(refusals_are_counted_where_they_belong)
{
    check_refusals(redis_wire);
    check_refusals(wire);
}
END_TEST

static void check_protocol_errors(const struct server *at, struct wire *to)
{
    static const char *const bytes[] = { "*1\r\n$x\r\n", "*x\r\n", "\"open\r\n" };

    expect_ok(to, "CONFIG RESETSTAT");
    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        struct wire *broken = wire_open(at);

        ck_assert_int_eq(wire_send(broken, bytes[i], strlen(bytes[i])), 0);
        expect_error(broken, "ERR Protocol error: ", "");
        expect_end(broken);
        wire_close(broken);
    }
    check_error_count(to, "ERR", 3);
    ck_assert_int_eq(info_number(to, "total_error_replies"), 3);
}

START_TEST(bytes_that_are_no_request_count_as_errors)
{
    check_protocol_errors(&redis, redis_wire);
    check_protocol_errors(&server, wire);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("statistics");
    TCase *tcase = suite_case(suite, "statistics");

    tcase_add_unchecked_fixture(tcase, start_servers, stop_both);
    tcase_add_checked_fixture(tcase, begin, close_clients);
    tcase_add_test(tcase, histograms_have_the_borders_of_redis);
    tcase_add_test(tcase, without_latency_tracking_no_durations_are_counted);
    tcase_add_test(tcase, a_call_that_runs_again_in_a_fiber_has_found_its_key_once);
    tcase_add_test(tcase, who_is_unblocked_has_failed_once);
    tcase_add_test(tcase, who_blocked_and_was_served_called_once);
    tcase_add_test(tcase, refusals_are_counted_where_they_belong);
    tcase_add_test(tcase, bytes_that_are_no_request_count_as_errors);
    tcase_add_test(tcase, resetstat_counts_expired_keys_anew);
    tcase_add_test(tcase, resetstat_counts_what_spilled_anew_and_keeps_what_is_there);
    return suite_run(suite);
}
