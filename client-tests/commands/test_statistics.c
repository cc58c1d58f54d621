/* What INFO and LATENCY count, beside redis-server: how often, not how long. */
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const debug_on[] = { "--enable-debug-command", "yes", NULL };
static const char *const tiny[] = { "--list-chunk-bytes", "512", "--list-memory-max", "256kb",
                                    NULL };
static struct server server, redis;
static struct wire *wire, *redis_wire;

static void start_servers(void)
{
    struct server_options options = { .arguments = debug_on, .own_arguments = tiny };

    server_start(&server, &options);
    server_start_redis(&redis, &options);
}

static void stop_servers(void)
{
    server_stop(&server);
    server_stop(&redis);
}

static void open_client(struct wire **out_wire, const struct server *to)
{
    *out_wire = wire_open(to);
    expect_ok(*out_wire, "FLUSHALL");
    expect_ok(*out_wire, "CONFIG SET latency-tracking yes");
    expect_ok(*out_wire, "CONFIG RESETSTAT");
}

static void open_clients(void)
{
    open_client(&wire, &server);
    open_client(&redis_wire, &redis);
}

static void close_clients(void)
{
    wire_close(wire);
    wire_close(redis_wire);
    server_must_live(&server);
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

int main(void)
{
    Suite *suite = suite_create("statistics");
    TCase *tcase = suite_case(suite, "statistics");

    tcase_add_unchecked_fixture(tcase, start_servers, stop_servers);
    tcase_add_checked_fixture(tcase, open_clients, close_clients);
    tcase_add_test(tcase, histograms_have_the_borders_of_redis);
    tcase_add_test(tcase, without_latency_tracking_no_durations_are_counted);
    tcase_add_test(tcase, a_call_that_runs_again_in_a_fiber_has_found_its_key_once);
    return suite_run(suite);
}
