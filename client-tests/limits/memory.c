/* maxmemory is a ceiling: a backlog of any size stays below it, what cannot spill is refused above
 * it, and a reader of everything costs no more than one of little. */
#include "client-tests/lib/command.h"
#include "client-tests/lib/clock.h"
#include "client-tests/lib/element.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MIB = 1048576,
    SLACK_MIB = 16,
    BATCH = 256,
    READ_AT_ONCE_MAX = 300000, /* of 2,000 bytes: this program holds the reply twice */
};

/* Sanitizers keep freed memory and shadow it; what they measure says nothing about the server. */
static bool memory_counts(void)
{
    return strstr(suite_build_directory(), "/release/") != NULL;
}

static void start_with_megabytes(struct server *server, const char *maxmemory)
{
    const char *arguments[] = { "--maxmemory", maxmemory, NULL };

    server_start_with(server, arguments);
}

/* Pushes elements first…first+count-1, a pipeline of BATCH at a time. */
static void push(struct wire *wire, const char *key, size_t size, unsigned first, unsigned count)
{
    char *element = malloc(size + 1);
    struct text commands = { 0 };

    ck_assert_ptr_nonnull(element);
    for (unsigned done = 0; done < count;) {
        unsigned batch = count - done < BATCH ? count - done : BATCH;
        text_clear(&commands);
        for (unsigned i = 0; i < batch; i++) {
            element_make(element, size + 1, first + done + i);
            command_begin(&commands, 3);
            command_add_string(&commands, "RPUSH");
            command_add_string(&commands, key);
            command_add(&commands, element, size);
        }
        ck_assert_int_eq(wire_send(wire, commands.bytes, commands.size), 0);
        for (unsigned i = 0; i < batch; i++)
            expect_integer(wire, (long long)(done + i + 1), "");
        done += batch;
    }
    text_finish(&commands);
    free(element);
}

/* Takes them all out again; each must be the next. */
static void pop(struct wire *wire, const char *key, size_t size, unsigned first, unsigned count)
{
    char *element = malloc(size + 1);
    struct text reply = { 0 }, expected = { 0 };

    ck_assert_ptr_nonnull(element);
    for (unsigned done = 0; done < count; done += BATCH) {
        unsigned batch = count - done < BATCH ? count - done : BATCH;
        for (unsigned i = 0; i < batch; i++)
            wire_command(wire, "LPOP %s", key);
        for (unsigned i = 0; i < batch; i++) {
            element_make(element, size + 1, first + done + i);
            text_clear(&reply);
            text_clear(&expected);
            text_format(&expected, "$%zu\r\n%s\r\n", size, element);
            ck_assert_int_eq(wire_read(wire, &reply), 1);
            ck_assert_uint_eq(reply.size, expected.size);
            ck_assert_mem_eq(reply.bytes, expected.bytes, expected.size);
        }
    }
    text_finish(&reply);
    text_finish(&expected);
    free(element);
}

START_TEST(a_backlog_far_above_maxmemory_comes_back_in_order)
{
    unsigned count = suite_scaled(200000);
    struct server server;
    struct memory_watch *watch;
    struct wire *wire;
    int64_t largest_kib;

    start_with_megabytes(&server, "32mb");
    wire = wire_open(&server);
    watch = memory_watch_start(&server);
    push(wire, "k", 2000, 0, count);
    expect_integer(wire, count, "LLEN k");
    pop(wire, "k", 2000, 0, count);
    expect_integer(wire, 0, "EXISTS k");
    largest_kib = memory_watch_stop(watch);
    if (memory_counts()) ck_assert_int_le(largest_kib, (32 + SLACK_MIB) * 1024);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

START_TEST(elements_of_megabytes_spill_like_small_ones)
{
    unsigned count = suite_scaled(200);
    struct server server;
    struct memory_watch *watch;
    struct wire *wire;
    int64_t largest_kib;

    start_with_megabytes(&server, "32mb");
    wire = wire_open(&server);
    watch = memory_watch_start(&server);
    push(wire, "k", 2 * MIB, 0, count);
    pop(wire, "k", 2 * MIB, 0, count);
    largest_kib = memory_watch_stop(watch);
    if (memory_counts()) ck_assert_int_le(largest_kib, (32 + SLACK_MIB) * 1024);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* What becomes of a transaction, and its copy on the way to the log, find room however much goes as
 * one. */
START_TEST(long_transactions_into_the_log_fit_too)
{
    enum { PUSHES = 18, ROUNDS = 8 };
    static const char *const modes[] = { "everysec", "always" };
    const char *const arguments[] = { "--maxmemory", "128mb",         "--appendonly",
                                      "yes",         "--appendfsync", modes[_i],
                                      NULL };
    unsigned backlog = suite_scaled(200000), rounds = suite_scaled(ROUNDS);
    struct server server;
    struct memory_watch *watch;
    struct wire *wire;
    char *element = calloc(1, MIB);
    int64_t largest_kib;

    ck_assert_ptr_nonnull(element);
    server_start_with(&server, arguments);
    wire = wire_open(&server);
    push(wire, "k", 1000, 0, backlog);
    watch = memory_watch_start(&server);
    for (unsigned i = 0; i < rounds; i++) {
        wire_command(wire, "MULTI");
        for (unsigned k = 0; k < PUSHES; k++)
            wire_command(wire, "RPUSH l:%u %b", i % 2, element, (size_t)MIB);
        wire_command(wire, "EXEC");
        wire_skip(wire, PUSHES + 2);
    }
    largest_kib = memory_watch_stop(watch);
    expect_integer(wire, (long long)PUSHES * ((rounds + 1) / 2), "LLEN l:0");
    if (memory_counts()) ck_assert_int_le(largest_kib, (128 + SLACK_MIB) * 1024);
    free(element);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

START_TEST(many_cold_lists_fit_too)
{
    enum { PER_LIST = 20 };
    unsigned lists = suite_scaled(5000);
    struct server server;
    struct memory_watch *watch;
    struct wire *wire;
    int64_t largest_kib;

    start_with_megabytes(&server, "32mb");
    wire = wire_open(&server);
    watch = memory_watch_start(&server);
    for (unsigned i = 0; i < lists; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "list:%u", i);
        push(wire, key, 1000, i, PER_LIST);
    }
    for (unsigned i = 0; i < lists; i += 7) {
        char key[32];
        (void)snprintf(key, sizeof(key), "list:%u", i);
        pop(wire, key, 1000, i, PER_LIST);
    }
    expect_integer(wire, (long long)(lists - (lists + 6) / 7), "DBSIZE");
    largest_kib = memory_watch_stop(watch);
    if (memory_counts()) ck_assert_int_le(largest_kib, (32 + SLACK_MIB) * 1024);
    expect_ok(wire, "FLUSHALL");
    wire_close(wire);
    server_stop(&server);
}
END_TEST

/* The reply to LRANGE 0 -1 is six times maxmemory; its reader takes a little at a time, while
 * others change the list: the reply is that of the moment it was asked for. */
START_TEST(a_slow_reader_of_everything_costs_little_and_sees_one_moment)
{
    unsigned count = suite_scaled(100000);
    struct server server;
    struct memory_watch *watch;
    struct wire *wire, *slow;
    struct text reply = { 0 };
    const char *at;
    char *element;
    int64_t largest_kib;

    if (count > READ_AT_ONCE_MAX) count = READ_AT_ONCE_MAX;
    start_with_megabytes(&server, "32mb");
    wire = wire_open(&server);
    slow = wire_open(&server);
    push(wire, "k", 2000, 0, count);
    watch = memory_watch_start(&server);
    wire_command(slow, "LRANGE k 0 -1");
    info_wait(wire, "streaming_clients", 1);
    expect_ok(wire, "LSET k 0 changed");
    expect_string(wire, "changed", "LPOP k");
    expect_ok(wire, "LTRIM k 10 20");
    expect_integer(wire, 1, "DEL k");
    ck_assert_int_eq(wire_read(slow, &reply), 1);
    largest_kib = memory_watch_stop(watch);
    if (memory_counts()) ck_assert_int_le(largest_kib, (32 + SLACK_MIB) * 1024);
    element = malloc(2001);
    ck_assert_ptr_nonnull(element);
    at = strchr(text_string(&reply), '\n') + 1;
    for (unsigned i = 0; i < count; i++) {
        element_make(element, 2001, i);
        at = strchr(at, '\n') + 1;
        ck_assert_mem_eq(at, element, 2000);
        at += 2002;
    }
    free(element);
    text_finish(&reply);
    wire_close(slow);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

START_TEST(a_reader_that_vanishes_in_the_middle_of_a_reply_leaves_nothing_behind)
{
    unsigned count = suite_scaled(30000);
    struct server server;
    struct wire *wire;

    start_with_megabytes(&server, "32mb");
    wire = wire_open(&server);
    push(wire, "k", 2000, 0, count);
    for (int i = 0; i < 20; i++) {
        struct wire *slow = wire_open(&server);
        slow->takes_nothing = true;
        wire_command(slow, "LRANGE k 0 -1");
        info_wait(wire, "streaming_clients", 1);
        if (i % 2) {
            wire_reset(slow);
        } else {
            wire_close(slow);
        }
        info_wait(wire, "streaming_clients", 0);
    }
    expect_integer(wire, 1, "DEL k");
    info_wait(wire, "spill_disk_used_bytes", 0);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

START_TEST(strings_are_refused_at_the_limit_and_lists_go_on)
{
    enum { SIZE = 100000, TRIES = 2000 };
    struct server server;
    struct wire *wire;
    char *value = malloc(SIZE + 1);
    struct text reply = { 0 };
    int refused = 0, kept = 0;

    ck_assert_ptr_nonnull(value);
    memset(value, 'x', SIZE);
    value[SIZE] = '\0';
    start_with_megabytes(&server, "32mb");
    wire = wire_open(&server);
    push(wire, "k", 1000, 0, 1); /* a new key would be refused at the limit: it cannot spill */
    for (int i = 0; i < TRIES && refused < 20; i++) {
        text_clear(&reply);
        wire_command(wire, "SET s:%d %s", i, value);
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        if (strncmp(reply.bytes, "-OOM ", 5) == 0) {
            refused++;
            expect_integer(wire, 0, "EXISTS s:%d", i);
        } else {
            ck_assert_str_eq(reply.bytes, "+OK\r\n");
            kept++;
        }
    }
    ck_assert_int_eq(refused, 20);
    ck_assert_int_gt(kept, 50);
    if (memory_counts()) ck_assert_int_le(server_memory_kib(&server), (32 + SLACK_MIB) * 1024);
    /* Refused means untouched; contents of lists never fail because memory is short. */
    expect_error(wire, "OOM", "APPEND s:0 %s", value);
    expect_integer(wire, SIZE, "STRLEN s:0");
    expect_error(wire, "OOM", "RPUSH fresh x");
    for (int i = 0; i < 20000; i++)
        wire_command(wire, "RPUSH k %s", "element");
    wire_skip(wire, 20000);
    expect_integer(wire, 20001, "LLEN k");
    expect_string(wire, "element", "RPOP k");
    pop(wire, "k", 1000, 0, 1);
    for (int i = 0; i < kept; i++)
        expect_integer(wire, 1, "DEL s:%d", i);
    expect_ok(wire, "SET s:0 %s", value);
    wire_close(wire);
    text_finish(&reply);
    free(value);
    server_stop(&server);
}
END_TEST

START_TEST(an_element_above_an_eighth_of_maxmemory_is_refused)
{
    static const char too_large[] = "ERR value is larger than ";
    struct server server;
    struct wire *wire;
    size_t size = 4 * MIB;
    char *value = malloc(size + 2);

    ck_assert_ptr_nonnull(value);
    memset(value, 'x', size + 1);
    start_with_megabytes(&server, "32mb");
    wire = wire_open(&server);
    expect_integer(wire, 1, "RPUSH k small");
    expect_error(wire, too_large, "RPUSH k %b", value, size + 1);
    expect_integer(wire, 1, "LLEN k");
    expect_error(wire, too_large, "LPUSHX k %b", value, size + 1);
    expect_error(wire, too_large, "LSET k 0 %b", value, size + 1);
    expect_error(wire, too_large, "LINSERT k BEFORE small %b", value, size + 1);
    expect_error(wire, too_large, "RPUSH k a b %b c", value, size + 1);
    expect_text(wire, "1) \"small\"", "LRANGE k 0 -1");
    expect_integer(wire, 2, "RPUSH k %b", value, size - 1024);
    wire_close(wire);
    free(value);
    server_stop(&server);
}
END_TEST

START_TEST(a_string_above_an_eighth_of_maxmemory_is_refused)
{
    static const char too_large[] = "ERR value is larger than ";
    struct server server;
    struct wire *wire;
    size_t size = 2 * MIB;
    char *value = malloc(size + 2);

    ck_assert_ptr_nonnull(value);
    memset(value, 'x', size + 1);
    start_with_megabytes(&server, "16mb");
    wire = wire_open(&server);
    expect_ok(wire, "SET s small");
    expect_error(wire, too_large, "SET s %b", value, size + 1);
    expect_error(wire, too_large, "SETEX s 100 %b", value, size + 1);
    expect_error(wire, too_large, "GETSET s %b", value, size + 1);
    expect_error(wire, too_large, "MSET s a t %b", value, size + 1);
    expect_error(wire, too_large, "MSETNX u a t %b", value, size + 1);
    expect_error(wire, too_large, "SETNX t %b", value, size + 1);
    expect_error(wire, too_large, "APPEND t %b", value, size + 1);
    expect_error(wire, too_large, "APPEND s %b", value, size - 4);
    expect_error(wire, too_large, "SETRANGE s %d x", (int)size);
    expect_error(wire, too_large, "SETRANGE t %d x", (int)size);
    expect_string(wire, "small", "GET s");
    expect_integer(wire, 0, "EXISTS t u");
    expect_ok(wire, "SET s %b", value, size);
    /* What is there stays when the limit falls below it, but no second one of it is made. */
    expect_ok(wire, "CONFIG SET maxmemory 15mb");
    expect_error(wire, too_large, "COPY s t");
    expect_error(wire, too_large, "APPEND s x");
    expect_integer(wire, (long long)size, "STRLEN s");
    expect_integer(wire, 1, "DBSIZE");
    wire_close(wire);
    free(value);
    server_stop(&server);
}
END_TEST

START_TEST(an_element_that_became_too_large_can_still_be_moved)
{
    struct server server;
    struct wire *wire;
    size_t size = 2 * MIB;
    char *value = malloc(size + 1);

    ck_assert_ptr_nonnull(value);
    memset(value, 'x', size);
    value[size] = '\0';
    start_with_megabytes(&server, "16mb");
    wire = wire_open(&server);
    expect_integer(wire, 1, "RPUSH k %b", value, size);
    expect_ok(wire, "CONFIG SET maxmemory 15mb");
    expect_error(wire, "ERR value is larger than ", "RPUSH k %b", value, size);
    expect_string(wire, value, "LMOVE k d LEFT RIGHT");
    expect_string(wire, value, "RPOPLPUSH d d");
    expect_string(wire, value, "BLMOVE d k LEFT LEFT 0");
    expect_integer(wire, 0, "LLEN d");
    expect_string(wire, value, "LPOP k");
    wire_close(wire);
    free(value);
    server_stop(&server);
}
END_TEST

START_TEST(lowering_maxmemory_live_makes_room)
{
    unsigned count = suite_scaled(30000);
    struct server server;
    struct wire *wire;
    int64_t deadline_ms;

    start_with_megabytes(&server, "256mb");
    wire = wire_open(&server);
    push(wire, "k", 2000, 0, count);
    expect_ok(wire, "CONFIG SET maxmemory 24mb");
    deadline_ms = clock_ms() + WAIT_MS;
    while (info_number(wire, "spill_memory") > 24 * MIB) {
        if (!clock_probe(deadline_ms)) ck_abort_msg("spill_memory stays above 24 MiB");
    }
    if (memory_counts()) {
        /* What was freed goes back to the kernel, too. */
        while (server_memory_kib(&server) > (24 + SLACK_MIB) * 1024) {
            if (!clock_probe(deadline_ms))
                ck_abort_msg("RssAnon stays %lld KiB", (long long)server_memory_kib(&server));
        }
    }
    pop(wire, "k", 2000, 0, count);
    wire_close(wire);
    server_stop(&server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tcase = suite_case(suite, "memory");

    tcase_add_test(tcase, a_backlog_far_above_maxmemory_comes_back_in_order);
    tcase_add_test(tcase, elements_of_megabytes_spill_like_small_ones);
    tcase_add_loop_test(tcase, long_transactions_into_the_log_fit_too, 0, 2);
    tcase_add_test(tcase, many_cold_lists_fit_too);
    tcase_add_test(tcase, a_slow_reader_of_everything_costs_little_and_sees_one_moment);
    tcase_add_test(tcase, a_reader_that_vanishes_in_the_middle_of_a_reply_leaves_nothing_behind);
    tcase_add_test(tcase, strings_are_refused_at_the_limit_and_lists_go_on);
    tcase_add_test(tcase, an_element_above_an_eighth_of_maxmemory_is_refused);
    tcase_add_test(tcase, a_string_above_an_eighth_of_maxmemory_is_refused);
    tcase_add_test(tcase, an_element_that_became_too_large_can_still_be_moved);
    tcase_add_test(tcase, lowering_maxmemory_live_makes_room);
    return suite_run(suite);
}
