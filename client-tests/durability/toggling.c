/* CONFIG SET appendonly yes and no under load, again and again, with checkpoints and reloads
 * between and kills at any moment: what was answered while the log counts is there, and what was
 * answered before it ended. And CONFIG SET appendfsync likewise: all that was answered is there,
 * whichever mode it was. Each writer's list holds the numbers that it pushed, in order: nothing
 * is there twice. SLUICE_SEED=N runs that seed. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/contents.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/random.h"
#include "client-tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 12, TOGGLES_MAX = 6, WRITERS = 4, DUE_MAX = 32 };

static const char *const modes[] = { "always", "everysec", "no" };

/* Numbers [0, answered) were answered, [0, sent) may be there; [0, kept) must be. */
struct writer {
    struct wire *wire;
    long long sent, answered, kept;
};

static struct {
    struct server server;
    struct wire *control;
    struct random random;
    struct writer writers[WRITERS];
    bool counts; /* the log, as far as we know */
} test;

static void push(struct writer *writer, unsigned index)
{
    if (random_below(&test.random, 4) > 0) {
        wire_command(writer->wire, "RPUSH list%u %lld", index, writer->sent++);
        return;
    }
    wire_command(writer->wire, "MULTI");
    wire_command(writer->wire, "INCR count%u", index);
    wire_command(writer->wire, "EXEC");
}

static void read_answers(struct writer *writer, bool waits)
{
    struct text reply = { 0 };

    for (;;) {
        text_clear(&reply);
        if ((waits ? wire_read(writer->wire, &reply) : wire_read_now(writer->wire, &reply)) != 1)
            break;
        ck_assert_msg(reply.bytes[0] != '-', "%s", text_string(&reply));
        if (reply.bytes[0] == ':') writer->answered++; /* in EXEC it is in an array */
        if (waits && writer->answered == writer->sent) break;
    }
    text_finish(&reply);
}

static void work(int64_t ms)
{
    int64_t end_ms = clock_ms() + ms;

    do {
        for (unsigned i = 0; i < WRITERS; i++) {
            struct writer *writer = &test.writers[i];

            if (writer->sent - writer->answered < DUE_MAX) push(writer, i);
            read_answers(writer, false);
            if (test.counts) writer->kept = writer->answered;
        }
    } while (clock_ms() < end_ms);
}

static void settle(void)
{
    for (unsigned i = 0; i < WRITERS; i++) {
        struct writer *writer = &test.writers[i];

        wire_command(writer->wire, "RPUSH list%u %lld", i, writer->sent++);
        read_answers(writer, true);
        ck_assert_int_eq(writer->answered, writer->sent);
        if (test.counts) writer->kept = writer->answered;
    }
}

static void toggle(bool to_yes)
{
    if (!to_yes) test.counts = false; /* what was answered until now is in it */
    expect_ok(test.control, "CONFIG SET appendonly %s", to_yes ? "yes" : "no");
    if (random_below(&test.random, 3) == 0) return; /* the next one comes amid this one */
    while (info_number(test.control, "aof_enabled") != to_yes)
        work(1);
    test.counts = to_yes;
}

/* Nothing is written meanwhile: the same before and after. */
static void reload(void)
{
    struct text before = { 0 }, answer = { 0 };

    settle();
    contents_add(&before, test.control);
    do {
        text_clear(&answer);
        wire_command(test.control, "DEBUG RELOAD");
        ck_assert_int_eq(wire_read(test.control, &answer), 1);
    } while (strstr(text_string(&answer), "beginning or ending"));
    ck_assert_str_eq(text_string(&answer), "+OK\r\n");
    contents_expect(test.control, &before, "after DEBUG RELOAD");
    text_finish(&before);
    text_finish(&answer);
}

static void connect_all(void)
{
    test.control = wire_open(&test.server);
    for (unsigned i = 0; i < WRITERS; i++)
        test.writers[i].wire = wire_open(&test.server);
}

static void expect_all(unsigned index)
{
    struct writer *writer = &test.writers[index];
    long long length = ask_integer(test.control, "LLEN list%u", index);
    char last[32];

    ck_assert_msg(length >= writer->kept && length <= writer->sent,
                  "list%u: %lld elements, %lld had to be there, %lld were sent", index, length,
                  writer->kept, writer->sent);
    (void)snprintf(last, sizeof(last), "%lld", length - 1);
    if (length > 0) expect_string(test.control, last, "LINDEX list%u -1", index);
    if (length > 0) expect_string(test.control, "0", "LINDEX list%u 0", index);
    writer->sent = writer->answered = writer->kept = length;
}

static void kill_and_compare(void)
{
    server_kill(&test.server);
    for (unsigned i = 0; i < WRITERS; i++)
        wire_close(test.writers[i].wire);
    wire_close(test.control);
    server_restart(&test.server);
    connect_all();
    for (unsigned i = 0; i < WRITERS; i++)
        expect_all(i);
}

static void run_round(void)
{
    unsigned toggles = 1 + random_below(&test.random, TOGGLES_MAX);

    test.counts = false;
    for (unsigned i = 0; i < toggles; i++) {
        toggle(i % 2 == 0);
        work(random_below(&test.random, 20));
        if (random_below(&test.random, 3) == 0) {
            wire_command(test.control, "BGSAVE");
            wire_skip(test.control, 1);
        }
        if (random_below(&test.random, 6) == 0) reload();
    }
    kill_and_compare();
}

static void change_mode(void)
{
    expect_ok(test.control, "CONFIG SET appendfsync %s", modes[random_below(&test.random, 3)]);
    work(random_below(&test.random, 10));
    if (random_below(&test.random, 6) > 0) return;
    wire_command(test.control, "BGSAVE");
    wire_skip(test.control, 1);
}

static void run_round_of_modes(void)
{
    unsigned changes = 1 + random_below(&test.random, 3 * TOGGLES_MAX);

    test.counts = true;
    for (unsigned i = 0; i < changes; i++)
        change_mode();
    kill_and_compare();
}

static void run_rounds(const char *appendonly, const char *fsync, void (*run)(void))
{
    const char *seed = getenv("SLUICE_SEED");
    const char *arguments[] = { "--appendonly",
                                appendonly,
                                "--appendfsync",
                                fsync,
                                "--enable-debug-command",
                                "yes",
                                "--maxmemory",
                                "64mb",
                                "--list-memory-max",
                                "256kb",
                                NULL };
    struct server_options options = { .own_arguments = arguments };

    memset(&test, 0, sizeof(test));
    test.random.state = seed ? strtoull(seed, NULL, 10) : (uint64_t)clock_ms();
    (void)printf("SLUICE_SEED=%llu\n", (unsigned long long)test.random.state);
    server_start(&test.server, &options);
    connect_all();
    for (unsigned round = 0; round < suite_scaled(ROUNDS); round++)
        run();
    for (unsigned i = 0; i < WRITERS; i++)
        wire_close(test.writers[i].wire);
    wire_close(test.control);
    server_stop(&test.server);
}

START_TEST(what_counts_stays)
{
    run_rounds("no", modes[_i], run_round);
}
END_TEST

START_TEST(what_was_answered_stays_whatever_the_mode)
{
    run_rounds("yes", modes[_i], run_round_of_modes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("toggling");
    TCase *cases = suite_case(suite, "toggling");

    tcase_add_loop_test(cases, what_counts_stays, 0, 3);
    tcase_add_loop_test(cases, what_was_answered_stays_whatever_the_mode, 0, 3);
    return suite_run(suite);
}
