/* A whole server that is refused memory while its clients begin to wait, wait and go on: each
 * allocation of each scene in turn. Whoever waited is answered in the end, or closed; and what the
 * sanitizer finds ends the server. */
#include "modules/base/test_directory.h"
#include "modules/base/test_soak.h"
#include "server/net/test_event_memory.h"
#include "server/test_power_client.h"
#include "server/test_wrapped_malloc.h"

#include <sys/mman.h>
#include <sys/stat.h>

enum {
    CLIENTS = 4,
    IN_A_ROW = 3,
    LONG_BYTES = 200 * 1024, /* of an element that is sent in pieces */
    ELEMENTS = 10000,        /* of a list most of which is on disk */
    AT_ONCE = 4,
    ROUNDS_MAX = 4000,
};

/* With the server. */
struct shared {
    struct memory_rule rule;
    atomic_bool reads_wait; /* the disk does not answer yet */
};

static struct {
    char directory[64], data[80];
    struct process process;
    struct connection control, clients[CLIENTS];
    struct shared *shared;
} fixture;

/* What the sanitizer finds is told apart from a server's own errors. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "exitcode=99";
}

/* ---- a server whose memory we rule ------------------------------------------------------------
 */

static ssize_t read_late(struct os *os, int fd, void *bytes, size_t size, uint64_t offset)
{
    while (atomic_load(&fixture.shared->reads_wait))
        usleep(100);
    return os_real()->pread(os, fd, bytes, size, offset);
}

static int serve(void *context, int argument_count, char *const *arguments)
{
    struct os os = *os_real();

    (void)context;
    test_event_memory(__wrap_malloc, __wrap_realloc, free);
    memory_rule = &fixture.shared->rule;
    os.pread = read_late;
    return boot_and_run(&os, argument_count, arguments);
}

static void grant_all(void)
{
    atomic_store(&fixture.shared->rule.first, UINT64_MAX);
    atomic_store(&fixture.shared->rule.end, UINT64_MAX);
}

/* From now on, and counted from now on. */
static void refuse(uint64_t nth, uint64_t in_a_row)
{
    grant_all();
    atomic_store(&fixture.shared->rule.count, 0);
    atomic_store(&fixture.shared->rule.refused, 0);
    atomic_store(&fixture.shared->rule.end, nth + in_a_row);
    atomic_store(&fixture.shared->rule.first, nth);
}

static void must_live(void)
{
    ck_assert_msg(!process_has_ended(&fixture.process), "the server has ended with status %x",
                  (unsigned)fixture.process.status);
}

static void reopen(struct connection *connection)
{
    connection_close(connection);
    ck_assert_msg(connection_open(connection, &fixture.process), "the server has ended");
}

/* What control asks while nothing is refused. */
static void expect(const char *command, const char *reply)
{
    const char *got = connection_ask(&fixture.control, command);

    ck_assert_msg(strncmp(got, reply, strlen(reply)) == 0, "%s: %.100s", command, got);
}

/* A list most of which is on disk, and one with an element that is sent in pieces. */
static void fill(void)
{
    static char command[LONG_BYTES + 64];
    int size = snprintf(command, sizeof(command), "*3\r\n$5\r\nRPUSH\r\n$4\r\nlong\r\n$%d\r\n",
                        LONG_BYTES);

    memset(command + size, 'x', LONG_BYTES);
    command[size + LONG_BYTES] = '\r';
    command[size + LONG_BYTES + 1] = '\n';
    connection_send(&fixture.control, command, (size_t)size + LONG_BYTES + 2);
    expect("", ":1");
    for (unsigned i = 0; i < ELEMENTS / AT_ONCE; i++) {
        size = snprintf(command, sizeof(command), "RPUSH big");
        for (unsigned k = 0; k < AT_ONCE; k++)
            size += snprintf(command + size, sizeof(command) - (size_t)size, " same-%030u", k % 2);
        expect(command, ":");
    }
}

static void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "waiting");
    (void)snprintf(fixture.data, sizeof(fixture.data), "%s/data", fixture.directory);
    ck_assert_int_eq(mkdir(fixture.data, 0755), 0);
    process_set_paths(&fixture.process, fixture.directory, "");
    fixture.shared = mmap(NULL, sizeof(*fixture.shared), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(fixture.shared != MAP_FAILED);
    grant_all();
    fixture.control.fd = -1;
    for (int i = 0; i < CLIENTS; i++)
        fixture.clients[i].fd = -1;
    process_start_as(&fixture.process, serve, NULL, fixture.data, "no");
    reopen(&fixture.control);
    while (strncmp(connection_ask(&fixture.control, "EXISTS a"), "-LOADING", 8) == 0)
        usleep(1000);
    fill();
    expect("CONFIG SET slowlog-log-slower-than 0", "+OK"); /* which looks at arguments */
}

static void tear_down(void)
{
    process_kill(&fixture.process);
    connection_close(&fixture.control);
    for (int i = 0; i < CLIENTS; i++)
        connection_close(&fixture.clients[i]);
    munmap(fixture.shared, sizeof(*fixture.shared));
    test_directory_remove(fixture.directory);
}

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
    TCase *cases = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_set_timeout(cases, soak_is_full() ? 3000 : 300);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_loop_test(cases, whoever_waits_is_answered_or_closed, 0,
                        4 * sizeof(scenes) / sizeof(scenes[0]));
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
