/* Many large requests at once: memory stays within its limit, whatever they wait for, and each is
 * answered in the end; small ones pass. */
#include "client-tests/lib/clock.h"
#include "client-tests/lib/command.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/random.h"
#include "client-tests/lib/suite.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLIENTS = 8,
    LIMIT_MIB = 64,
    SLACK_MIB = 16,
    ARGUMENTS = 1000000, /* of a byte, of one request */
    ELEMENTS = 7,        /* of ELEMENT_BYTES, of another */
    ELEMENT_BYTES = 2000000,
};

/* Sanitizers keep freed memory and shadow it; what they measure says nothing about the server. */
static bool memory_counts(void)
{
    return strstr(suite_build_directory(), "/release/") != NULL;
}

static struct server server;
static struct wire *control;
static struct memory_watch *watch;

static void start_with(const char *name, const char *value)
{
    const char *arguments[] = { "--maxmemory", "64mb", name, value, NULL };

    server_start_with(&server, arguments);
    control = wire_open(&server);
    watch = memory_watch_start(&server);
}

static void stop(void)
{
    int64_t largest_kib = memory_watch_stop(watch);

    if (memory_counts()) ck_assert_int_le(largest_kib, (LIMIT_MIB + SLACK_MIB) * 1024);
    wire_close(control);
    server_stop(&server);
}

/* ---- senders, all at once ---------------------------------------------------------------------
 */

struct sender {
    struct wire *wire; /* NULL: it was killed, or is answered */
    const struct text *request;
    size_t sent;
    unsigned replies; /* still to come */
};

/* LPUSH key and count elements of size bytes. */
static void make_push(struct text *request, const char *key, unsigned count, size_t size)
{
    char *element = malloc(size);

    ck_assert_ptr_nonnull(element);
    memset(element, 'x', size);
    command_begin(request, (int)count + 2);
    command_add_string(request, "LPUSH");
    command_add_string(request, key);
    for (unsigned i = 0; i < count; i++)
        command_add(request, element, size);
    free(element);
}

static void begin(struct sender *sender, const struct text *request)
{
    *sender = (struct sender){ .wire = wire_open(&server), .request = request, .replies = 1 };
}

/* Sends what the socket takes. */
static void go_on(struct sender *sender)
{
    if (!sender->wire || sender->sent == sender->request->size) return;
    sender->sent += wire_send_some(sender->wire, sender->request->bytes + sender->sent,
                                   sender->request->size - sender->sent);
}

/* True: all of its replies are here. */
static bool is_answered(struct sender *sender)
{
    struct text reply = { 0 };

    while (sender->replies > 0) {
        int rc = wire_read_now(sender->wire, &reply);

        if (rc == -EAGAIN) break;
        ck_assert_msg(rc == 1, "the server has closed who asked for much");
        sender->replies--;
    }
    text_finish(&reply);
    return sender->replies == 0;
}

static void end(struct sender *sender)
{
    wire_close(sender->wire);
    sender->wire = NULL;
}

/* Until each is answered. */
static void run_all(struct sender *senders, unsigned count)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    for (unsigned left = count; left > 0;) {
        left = 0;
        for (unsigned i = 0; i < count; i++) {
            go_on(&senders[i]);
            left += senders[i].wire && !is_answered(&senders[i]);
        }
        if (left > 0 && !clock_probe(deadline_ms))
            ck_abort_msg("%u of %u are not answered", left, count);
    }
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static const struct {
    unsigned count;
    size_t size;
} shapes[] = { { ARGUMENTS, 1 }, { ELEMENTS, ELEMENT_BYTES }, { ARGUMENTS / 10, 100 } };

static const char *const syncs[] = { "everysec", "always" };

START_TEST(all_are_answered_and_find_room_one_after_the_other)
{
    struct sender senders[CLIENTS];
    struct text request = { 0 };
    unsigned count = shapes[_i / 2].count;

    make_push(&request, "k", count, shapes[_i / 2].size);
    start_with("--appendfsync", syncs[_i % 2]);
    for (unsigned i = 0; i < CLIENTS; i++)
        begin(&senders[i], &request);
    run_all(senders, CLIENTS);
    expect_integer(control, (long long)CLIENTS * count, "LLEN k");
    for (unsigned i = 0; i < CLIENTS; i++) /* each goes on; none holds what it has sent */
        expect_text(senders[i].wire, "PONG", "PING");
    for (unsigned i = 0; i < CLIENTS; i++)
        end(&senders[i]);
    stop();
    text_finish(&request);
}
END_TEST

START_TEST(transactions_of_many_arguments_are_executed_one_after_the_other)
{
    struct sender senders[CLIENTS];
    struct text request = { 0 };

    command_begin(&request, 1);
    command_add_string(&request, "MULTI");
    make_push(&request, "k", ARGUMENTS, 1);
    command_begin(&request, 1);
    command_add_string(&request, "EXEC");
    start_with("--appendfsync", "everysec");
    for (unsigned i = 0; i < CLIENTS; i++) {
        begin(&senders[i], &request);
        senders[i].replies = 3;
    }
    run_all(senders, CLIENTS);
    ck_assert_int_gt(ask_integer(control, "LLEN k"), 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        end(&senders[i]);
    stop();
    text_finish(&request);
}
END_TEST

/* Large ones are not read beyond the memory that there is for them; small ones are, and wait. */
START_TEST(a_pause_holds_back_no_more_than_there_is_room_for)
{
    enum { SMALL = 50 };
    struct sender senders[CLIENTS];
    struct wire *small[SMALL];
    struct text request = { 0 };

    make_push(&request, "k", shapes[_i].count, shapes[_i].size);
    start_with("--appendfsync", "everysec");
    expect_ok(control, "CLIENT PAUSE 1000000 WRITE");
    for (unsigned i = 0; i < CLIENTS; i++)
        begin(&senders[i], &request);
    for (int round = 0; round < 2000; round++) { /* as much as the server takes */
        for (unsigned i = 0; i < CLIENTS; i++)
            go_on(&senders[i]);
        if (round % 40 == 0) expect_integer(control, 0, "EXISTS k small");
        if (round % 40 != 0) continue;
        small[round / 40] = wire_open(&server);
        wire_command(small[round / 40], "RPUSH small %0300d", round);
    }
    expect_integer(control, 0, "EXISTS k small");
    expect_ok(control, "CLIENT UNPAUSE");
    for (int i = 0; i < SMALL; i++) {
        ck_assert_int_gt(ask_integer(small[i], ""), 0);
        wire_close(small[i]);
    }
    run_all(senders, CLIENTS);
    expect_integer(control, SMALL, "LLEN small");
    expect_integer(control, (long long)CLIENTS * shapes[_i].count, "LLEN k");
    for (unsigned i = 0; i < CLIENTS; i++)
        end(&senders[i]);
    stop();
    text_finish(&request);
}
END_TEST

/* Of requests of all sizes, pauses, and clients that go, by their own will or killed, at any moment
 * of their waiting: who stays is answered. */
START_TEST(who_stays_is_answered_whoever_goes)
{
    enum { SENDERS = 16, REQUESTS = 6 };
    static struct text requests[REQUESTS];
    const char *given = getenv("SLUICE_SEED");
    struct random random = { given ? strtoull(given, NULL, 10) : (uint64_t)_i + 1 };
    struct sender senders[SENDERS] = { 0 };
    unsigned steps = suite_scaled(1500);

    for (unsigned i = 0; i < REQUESTS; i++)
        make_push(&requests[i], i % 2 ? "k" : "l", 1 + ((unsigned)ARGUMENTS / 2 >> (3 * i)),
                  i < 3 ? 1 : 800);
    start_with("--appendfsync", syncs[_i % 2]);
    for (unsigned step = 0; step < steps; step++) {
        struct sender *sender = &senders[random_below(&random, SENDERS)];

        if (!sender->wire) {
            begin(sender, &requests[random_below(&random, REQUESTS)]);
        } else if (random_percent(&random, 3)) {
            wire_reset(sender->wire);
            sender->wire = NULL;
        } else {
            go_on(sender);
            if (is_answered(sender)) end(sender);
        }
        if (random_percent(&random, 2)) expect_ok(control, "CLIENT PAUSE 20 WRITE");
        if (random_percent(&random, 2)) (void)ask_integer(control, "DEL l");
    }
    run_all(senders, SENDERS);
    for (unsigned i = 0; i < SENDERS; i++) {
        if (senders[i].wire) end(&senders[i]);
    }
    stop();
    for (unsigned i = 0; i < REQUESTS; i++)
        text_finish(&requests[i]);
}
END_TEST

/* ---- what is kept of names --------------------------------------------------------------------
 */

/* command, names of client's own, and end unless that is NULL. */
static void make_naming(struct text *request, const char *command, unsigned client, unsigned count,
                        const char *last)
{
    char name[32];

    command_begin(request, (int)count + 1 + (last != NULL));
    command_add_string(request, command);
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(name, sizeof(name), "%u:%u", client, i);
        command_add_string(request, name);
    }
    if (last) command_add_string(request, last);
}

static const struct {
    const char *command, *last;
} naming[] = { { "BLPOP", "0" }, { "WATCH", NULL }, { "MSET", NULL } };

/* Who waits for names, watches them or makes keys of them makes us keep many times what he sends:
 * who asks for more than there is room for is refused, the others are not disturbed. */
START_TEST(names_beyond_memory_are_refused)
{
    enum { NAMES = 200000 };
    struct sender senders[CLIENTS];
    struct text request = { 0 }, reply = { 0 };
    unsigned refused = 0, done = 0;

    start_with("--appendfsync", "everysec");
    for (unsigned i = 0; i < CLIENTS; i++) {
        text_clear(&request);
        make_naming(&request, naming[_i].command, i, NAMES, naming[_i].last);
        begin(&senders[i], &request);
        ck_assert_int_eq(wire_send(senders[i].wire, request.bytes, request.size), 0);
        while (!wire_wait(senders[i].wire, 1) &&
               info_number(control, "blocked_clients") <= (int64_t)done)
            continue;
        text_clear(&reply);
        if (wire_read_now(senders[i].wire, &reply) == 1 && reply.bytes[0] == '-') {
            ck_assert_int_eq(strncmp(reply.bytes, "-OOM ", 5), 0);
            expect_text(senders[i].wire, "PONG", "PING");
            refused++;
        } else {
            done++;
        }
    }
    ck_assert_uint_ge(refused, 1);
    ck_assert_uint_ge(done, 1);
    for (unsigned i = 0; i < CLIENTS; i++)
        end(&senders[i]);
    info_wait(control, "blocked_clients", 0);
    expect_ok(control, "FLUSHALL");
    expect_integer(control, 1, "RPUSH k a"); /* what was refused holds nothing */
    stop();
    text_finish(&request);
    text_finish(&reply);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("large requests");
    TCase *tcase = suite_case(suite, "large requests");

    tcase_add_loop_test(tcase, all_are_answered_and_find_room_one_after_the_other, 0, 6);
    tcase_add_test(tcase, transactions_of_many_arguments_are_executed_one_after_the_other);
    tcase_add_loop_test(tcase, a_pause_holds_back_no_more_than_there_is_room_for, 0, 3);
    tcase_add_loop_test(tcase, names_beyond_memory_are_refused, 0, 3);
    tcase_add_loop_test(tcase, who_stays_is_answered_whoever_goes, 0, 4);
    return suite_run(suite);
}
