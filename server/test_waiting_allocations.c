/* A whole server that is refused memory while its clients begin to wait, wait and go on: each
 * allocation of each scene in turn. Whoever waited is answered in the end, or closed; and what the
 * sanitizer finds ends the server. And one that is refused it half-way through what its log has to
 * tell. */
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"
#include "server/test_waiting_group.h"

enum { IN_A_ROW = 3, ROUNDS_MAX = 4000 };

/* ---- scenes -----------------------------------------------------------------------------------
 */

/* What clients do while memory is refused, one after the other, each when the server has seen what
 * came before. Then control ends what they wait for. */
struct scene {
    const char *name, *before[4];
    struct {
        int client;
        const char *command;
    } steps[8];
    const char *after[4];
    const char *last;   /* then client 0, if it was not closed, asks this */
    const char *checks; /* and this has one of the answers */
    const char *answers[2];
};

#define MANY_NAMES "n1 n2 n3 n4 n5 n6 n7 n8 n9 n10 n11 n12 n13 n14 n15 n16 n17 n18 n19 n20"

static const struct scene scenes[] = {
    { .name = "blocked",
      .before = { "DEL k l" },
      .steps = { { 0, "BLPOP k l 0" },
                 { 1, "BLMPOP 100 2 l k LEFT" },
                 { 2, "BRPOP " MANY_NAMES " k 0" } },
      .after = { "RPUSH k a b c d" } },
    { .name = "served",
      .before = { "DEL k l" },
      .steps = { { 0, "BLPOP k l 0" }, { 1, "BLMOVE k l LEFT LEFT 0" }, { 2, "RPUSH k a b c" } },
      .after = { "RPUSH k a b c d" } },
    { .name = "streamed",
      .before = { "DEL k" },
      .steps = { { 0, "LRANGE big 0 -1" },
                 { 1, "LINDEX long 0" },
                 { 2, "LMOVE long long LEFT RIGHT" } } },
    { .name = "served a stream",
      .before = { "DEL k l" },
      .steps = { { 0, "BLMOVE k l LEFT LEFT 0" }, { 1, "COPY long k" } },
      .after = { "RPUSH k a" } },
    { .name = "matches streamed",
      .steps = { { 0, "LPOS big same-000000000000000000000000000001 COUNT 0" } } },
    { .name = "queued",
      .before = { "DEL k l" },
      .steps = { { 0, "LPOS big none" },
                 { 1, "LPOS big none" },
                 { 2, "MSET big x " MANY_NAMES },
                 { 3, "LINDEX big 10000" } } },
    { .name = "not queued",
      .before = { "DEL k l" },
      .steps = { { 0, "LPOS big none" },
                 { 1, "DEL " MANY_NAMES },
                 { 2, "BLPOP " MANY_NAMES " k 0" } },
      .after = { "RPUSH k a" } },
    { .name = "queued behind everything",
      .before = { "DEL k l" },
      .steps = { { 0, "LPOS big none" },
                 { 1, "SWAPDB 1 2" },
                 { 2, "RPUSH k a" },
                 { 3, "BLPOP k 0" } },
      .after = { "RPUSH k a b" } },
    { .name = "blocked on what is held",
      .before = { "DEL k l" },
      .steps = { { 0, "BLPOP k big2 0" }, { 1, "COPY big big2" }, { 2, "LPOS big2 none" } },
      .after = { "RPUSH k a b", "DEL big2" } },
    { .name = "paused",
      .before = { "DEL k l", "CLIENT PAUSE 100000" },
      .steps = { { 0, "RPUSH k a" }, { 1, "BLPOP l 0" }, { 2, "LPOS big none" }, { 3, "MULTI" } },
      .after = { "CLIENT UNPAUSE", "RPUSH l a" } },
    { .name = "transactions",
      .before = { "DEL k l", "CLIENT PAUSE 100000" },
      .steps = { { 0, "MULTI" },
                 { 0, "RPUSH k a" },
                 { 0, "EXEC" },
                 { 1, "MULTI" },
                 { 1, "LPOS big none" },
                 { 1, "EXEC" } },
      .after = { "CLIENT UNPAUSE" } },
    { .name = "taken in by a transaction",
      .before = { "DEL k" },
      .steps = { { 0, "MULTI" },
                 { 0, "RPUSH k a" },
                 { 3, "CLIENT PAUSE 100000 WRITE" },
                 { 0, "RPUSH k b" } },
      .after = { "CLIENT UNPAUSE" },
      .last = "EXEC",
      .checks = "LLEN k",
      .answers = { ":0", ":2" } },
    { .name = "executed",
      .before = { "DEL k" },
      .steps = { { 0, "MULTI" },
                 { 0, "RPUSH k a" },
                 { 3, "CLIENT PAUSE 100000 WRITE" },
                 { 0, "EXEC" } },
      .after = { "CLIENT UNPAUSE" },
      .last = "RPUSH k b", /* not taken in by a transaction that is over */
      .checks = "LLEN k",
      .answers = { ":1", ":2" } },
    { .name = "transactions in a fiber",
      .before = { "DEL k l" },
      .steps = { { 0, "MULTI" },
                 { 0, "RPUSH k a" },
                 { 0, "LPOS big none" },
                 { 0, "EXEC" },
                 { 1, "LPUSH k b" },
                 { 2, "LPOS big none" } } },
    { .name = "saved",
      .before = { "RPUSH k a" },
      .steps = { { 0, "SAVE" }, { 1, "WAITAOF 1 0 0" }, { 2, "LREM big 1 none" } } },
};

/* Under a rule it may be closed, too, and again. */
static void wait_until_seen(void)
{
    for (unsigned i = 0; i < WAIT_MS; i++) {
        /* a pause does not hold it back */
        if (*connection_ask(&fixture.control, "CONFIG GET port") == '*') return;
        must_live();
        reopen(&fixture.control);
    }
    ck_abort_msg("it serves nobody");
}

static void send_line(struct connection *connection, const char *command)
{
    char line[512];
    int size = snprintf(line, sizeof(line), "%s\r\n", command);

    connection_send(connection, line, (size_t)size);
}

/* What it waited for has come: it is answered, and so is what it asks then. False: it was closed.
 */
static bool expect_answers(struct connection *connection, const char *scene, uint64_t nth)
{
    send_line(connection, "DISCARD");
    send_line(connection, "PING");
    while (!connection->is_closed) {
        const char *reply = connection_next(connection);

        if (reply && strncmp(reply, "+PONG", 5) == 0) return true;
        if (reply) continue;
        ck_assert_msg(connection_receive(connection, WAIT_MS) || connection->is_closed,
                      "%s, allocation %llu: client %d waits for ever", scene,
                      (unsigned long long)nth, (int)(connection - fixture.clients));
    }
    must_live();
    reopen(connection);
    return false;
}

static void expect_result(const struct scene *scene, uint64_t nth)
{
    const char *got;

    if (!scene->checks) return;
    got = connection_ask(&fixture.control, scene->checks);
    for (int i = 0; i < 2; i++) {
        if (strncmp(got, scene->answers[i], strlen(scene->answers[i])) == 0) return;
    }
    ck_abort_msg("%s, allocation %llu: %s: %.80s", scene->name, (unsigned long long)nth,
                 scene->checks, got);
}

static bool is_there(const char *const *commands, int index)
{
    return index < 4 && commands[index];
}

/* False: nothing was refused. */
static bool play(const struct scene *scene, uint64_t nth, uint64_t in_a_row, bool reads_wait)
{
    uint64_t refused;

    for (int i = 0; is_there(scene->before, i); i++)
        (void)connection_ask(&fixture.control, scene->before[i]);
    refuse(nth, in_a_row);
    atomic_store(&fixture.shared->reads_wait, reads_wait);
    for (int i = 0; i < 8 && scene->steps[i].command; i++) {
        send_line(&fixture.clients[scene->steps[i].client], scene->steps[i].command);
        wait_until_seen();
    }
    grant_all();
    atomic_store(&fixture.shared->reads_wait, false);
    refused = atomic_load(&fixture.shared->rule.refused);
    for (int i = 0; is_there(scene->after, i); i++)
        (void)connection_ask(&fixture.control, scene->after[i]);
    if (scene->last) send_line(&fixture.clients[0], scene->last);
    if (expect_answers(&fixture.clients[0], scene->name, nth)) expect_result(scene, nth);
    for (int i = 1; i < CLIENTS; i++)
        (void)expect_answers(&fixture.clients[i], scene->name, nth);
    return refused > 0;
}

START_TEST(whoever_waits_is_answered_or_closed)
{
    const struct scene *scene = &scenes[_i / 4];
    uint64_t in_a_row = _i % 2 ? IN_A_ROW : 1;
    bool reads_wait = _i / 2 % 2;
    const char *only = getenv("SLUICE_TEST_CALL");
    uint64_t nth = only ? strtoull(only, NULL, 10) : 1;

    for (int i = 0; i < CLIENTS; i++)
        reopen(&fixture.clients[i]);
    ck_assert(!play(scene, UINT64_MAX / 2, 0, reads_wait));
    while (play(scene, nth, in_a_row, reads_wait) && !only) {
        nth++;
        ck_assert_uint_lt(nth, ROUNDS_MAX);
    }
    (void)printf("%s: %llu allocations\n", scene->name, (unsigned long long)nth - 1);
    ck_assert_uint_gt(nth, 1);
    expect("EXISTS big", ":1");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clients that wait, and are refused memory");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_set_timeout(cases, soak_is_full() ? 3000 : 300);
    tcase_add_loop_test(cases, whoever_waits_is_answered_or_closed, 0,
                        4 * sizeof(scenes) / sizeof(scenes[0]));
    tcase_add_test(cases, what_went_of_a_consumer_stays_gone);
    tcase_add_test(cases, who_could_be_given_nothing_is_not_made);
    return test_suite_run(suite);
}
