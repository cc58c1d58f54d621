/* A server whose wall clock is set an hour back while it serves, and forward again: times to live
 * follow the clock and are after each restart what they were before it, what was gone stays gone,
 * and what is no time of day (the sync of each second, timeouts) goes on as if nothing had
 * happened.
 *
 * The program is linked with --wrap=clock_gettime (see the Makefile): the server, which is a child
 * of the test, reads a clock that the test sets. */
#include "modules/base/clock.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"
#include "modules/journal/journal_reader.h"
#include "server/test_power_client.h"
#include "server/test_wrapped_clock.h"

#include <stdatomic.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
    HOUR_MS = 3600 * 1000,
    TO_LIVE_MS = HOUR_MS / 2,
    TEXT_BYTES = 65536,
    LATE_MS = 5 * 60 * 1000, /* a machine as busy as that makes no test fail */
};

static struct {
    char directory[64], data[80];
    struct process process;
    struct connection connection, other;
    const char *fsync;
    int end_signal; /* of a server that starts again */
} fixture;

/* ---- the clock --------------------------------------------------------------------------------
 */

/* What the test tells the server; shared with it. */
static struct {
    _Atomic int64_t ahead_ms;   /* of the real clock */
    atomic_bool holds_renaming; /* who gives a file another name waits for the end of it */
} * told;

/* The server's. */
static int64_t clock_now_ms(void)
{
    return clock_realtime_ms() + atomic_load(&told->ahead_ms);
}

/* ---- the server -------------------------------------------------------------------------------
 */

/* The next reply of a connection as a text, good until the next call. */
static const char *await(struct connection *connection)
{
    static char text[TEXT_BYTES];
    size_t size;

    while ((size = reply_end(connection, connection->used)) == 0)
        ck_assert_msg(connection_receive(connection, WAIT_MS), "no answer");
    size -= connection->used;
    ck_assert_uint_lt(size, sizeof(text));
    memcpy(text, connection_next(connection), size);
    text[size] = '\0';
    return text;
}

static const char *ask(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *ask(const char *format, ...)
{
    char line[200];
    va_list values;
    int size;

    va_start(values, format);
    size = vsnprintf(line, sizeof(line), format, values);
    va_end(values);
    connection_send(&fixture.connection, line, (size_t)size);
    connection_send(&fixture.connection, "\r\n", 2);
    return await(&fixture.connection);
}

static int64_t number_in(const char *reply)
{
    ck_assert_msg(*reply == ':', "no number: %.100s", reply);
    return strtoll(reply + 1, NULL, 10);
}

static int64_t info_number(const char *field)
{
    char name[64];
    const char *at;

    (void)snprintf(name, sizeof(name), "\n%s:", field);
    at = strstr(ask("INFO"), name);
    ck_assert_msg(at != NULL, "no field %s", field);
    return strtoll(at + strlen(name), NULL, 10);
}

/* A checkpoint gets its name then: until it does it is under way. */
static int rename_when_told(struct os *os, const char *from, const char *to)
{
    (void)os;
    while (atomic_load(&told->holds_renaming))
        usleep(1000);
    return os_real()->rename(os_real(), from, to);
}

static int serve(void *context, int count, char *const *arguments)
{
    struct os slow = *os_real();

    (void)context;
    clock_ahead_ms = &told->ahead_ms; /* not before: Check measures with the real clock */
    slow.rename = rename_when_told;
    return boot_and_run(&slow, count, arguments);
}

static void start(void)
{
    process_start_as(&fixture.process, serve, NULL, fixture.data, fixture.fsync);
    ck_assert(connection_open(&fixture.connection, &fixture.process));
    for (int i = 0; strncmp(ask("EXISTS a"), "-LOADING", 8) == 0; i++) {
        ck_assert_int_lt(i, WAIT_MS);
        usleep(1000);
    }
}

static void stop(void)
{
    int status;

    connection_close(&fixture.connection);
    connection_close(&fixture.other);
    ck_assert_int_eq(kill(fixture.process.pid, fixture.end_signal), 0);
    ck_assert_int_eq(waitpid(fixture.process.pid, &status, 0), fixture.process.pid);
    fixture.process.pid = 0;
    if (fixture.end_signal == SIGTERM) ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void restart(void)
{
    stop();
    start();
}

static void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    fixture.connection.fd = fixture.other.fd = -1;
    told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(told != MAP_FAILED);
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "clock");
    (void)snprintf(fixture.data, sizeof(fixture.data), "%s/data", fixture.directory);
    ck_assert_int_eq(mkdir(fixture.data, 0700), 0);
    process_set_paths(&fixture.process, fixture.directory, "");
}

static void tear_down(void)
{
    process_kill(&fixture.process);
    connection_close(&fixture.connection);
    connection_close(&fixture.other);
    munmap(told, sizeof(*told));
    test_directory_remove(fixture.directory);
}

/* _i is the mode, and how the server ends. */
static void start_as(int i)
{
    static const char *const modes[] = { "always", "everysec", "no" };

    fixture.fsync = modes[i % 3];
    fixture.end_signal = i / 3 ? SIGKILL : SIGTERM;
    start();
}

/* Returns when the server goes by it: a turn may still go by what it has read. */
static void set_clock(int64_t ms)
{
    atomic_store(&told->ahead_ms, ms);
    for (int i = 0;; i++) {
        int64_t at_ms;

        ck_assert_int_lt(i, WAIT_MS);
        ck_assert_str_eq(ask("SET probe x PX %d", TO_LIVE_MS), "+OK\r\n");
        at_ms = number_in(ask("PEXPIRETIME probe")) - TO_LIVE_MS - clock_now_ms();
        if (at_ms > -LATE_MS && at_ms < LATE_MS) break;
        usleep(1000);
    }
    (void)ask("DEL probe");
}

/* ---- times to live ----------------------------------------------------------------------------
 */

/* Each way to give a time to live, relative ones above all. %c is the first letter of the key. */
static const char *const ways[][2] = {
    { "RPUSH %c:expire a b c", "EXPIRE %c:expire 1800" },
    { "LPUSH %c:pexpire a b c", "PEXPIRE %c:pexpire 1800000" },
    { "SET %c:ex v EX 1800", NULL },
    { "SET %c:px v PX 1800000", NULL },
    { "SETEX %c:setex 1800 v", NULL },
    { "PSETEX %c:psetex 1800000 v", NULL },
    { "SET %c:getex v", "GETEX %c:getex EX 1800" },
};

enum { WAYS = sizeof(ways) / sizeof(*ways) };

/* Keys that were made together. */
struct group {
    char letter;
    int64_t at_ms[WAYS]; /* when they are over */
};

static int64_t expires_at(char letter, unsigned way)
{
    const char *name = strchr(ways[way][0], ':');
    int size = (int)strcspn(name, " ");

    return number_in(ask("PEXPIRETIME %c%.*s", letter, size, name));
}

static struct group make_group(char letter)
{
    struct group group = { .letter = letter };
    int64_t before_ms = clock_now_ms();

    for (unsigned way = 0; way < WAYS; way++) {
        for (unsigned i = 0; i < 2 && ways[way][i]; i++) {
            char line[100], *mark;

            (void)snprintf(line, sizeof(line), "%s", ways[way][i]);
            mark = strstr(line, "%c");
            mark[0] = letter;
            memmove(mark + 1, mark + 2, strlen(mark + 2) + 1);
            ck_assert_msg(*ask("%s", line) != '-', "%s", line);
        }
        group.at_ms[way] = expires_at(letter, way);
        ck_assert_int_gt(group.at_ms[way] - before_ms, TO_LIVE_MS - LATE_MS);
        ck_assert_int_lt(group.at_ms[way] - before_ms, TO_LIVE_MS + LATE_MS);
    }
    return group;
}

static void expect_group(const struct group *group)
{
    for (unsigned way = 0; way < WAYS; way++)
        ck_assert_int_eq(expires_at(group->letter, way), group->at_ms[way]);
}

/* Nobody asks for its keys by name: that alone would make them go. */
static void expect_keys(int64_t count)
{
    for (int i = 0; number_in(ask("DBSIZE")) != count; i++) {
        ck_assert_msg(i < WAIT_MS, "%lld keys", (long long)number_in(ask("DBSIZE")));
        usleep(1000);
    }
}

START_TEST(times_to_live_follow_the_clock_and_survive_restarts)
{
    struct group first, back, later;

    start_as(_i);
    first = make_group('a');
    set_clock(-HOUR_MS);
    expect_group(&first);
    back = make_group('b');
    restart();
    expect_group(&first);
    expect_group(&back);
    expect_keys(2 * WAYS);
    set_clock(0);
    expect_keys(WAYS); /* what was to live half an hour from an hour ago is over */
    expect_group(&first);
    restart();
    expect_keys(WAYS);
    expect_group(&first);
    set_clock(HOUR_MS);
    expect_keys(0);
    later = make_group('c');
    set_clock(0);
    expect_group(&later);
    expect_keys(WAYS); /* what is over does not come back */
    restart();
    expect_group(&later);
    expect_keys(WAYS);
}
END_TEST

START_TEST(they_are_the_same_in_a_checkpoint)
{
    struct group first, back;

    start_as(_i);
    first = make_group('a');
    set_clock(-HOUR_MS);
    back = make_group('b');
    ck_assert_str_eq(ask("SAVE"), "+OK\r\n");
    ck_assert_int_ge(info_number("rdb_last_bgsave_time_sec"), 0);
    restart();
    expect_group(&first);
    expect_group(&back);
    set_clock(0);
    ck_assert_str_eq(ask("SAVE"), "+OK\r\n");
    restart();
    expect_keys(WAYS);
    expect_group(&first);
}
END_TEST

/* ---- what is no time of day -------------------------------------------------------------------
 */

static void expect_synced(const char *element)
{
    (void)number_in(ask("RPUSH synced %s", element));
    ck_assert_str_eq(ask("WAITAOF 1 0 0"), "*2\r\n:1\r\n:0\r\n");
    ck_assert_int_eq(info_number("log_unsynced_bytes"), 0);
}

START_TEST(the_log_is_synced_as_before)
{
    start_as(_i);
    expect_synced("a");
    set_clock(-HOUR_MS);
    expect_synced("b");
    set_clock(HOUR_MS);
    expect_synced("c");
    set_clock(0);
    expect_synced("d");
    restart();
    ck_assert_str_eq(ask("LRANGE synced 0 -1"),
                     "*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n");
}
END_TEST

static void block(const char *command)
{
    connection_send(&fixture.other, command, strlen(command));
    while (info_number("blocked_clients") != 1)
        usleep(1000);
}

/* By so much it is set, back and forward. */
START_TEST(who_waits_waits_as_long_as_was_said)
{
    static const int64_t jumps_ms[] = { -HOUR_MS, HOUR_MS };

    start_as(1);
    ck_assert(connection_open(&fixture.other, &fixture.process));
    block("BLPOP list 1000\r\n");
    set_clock(jumps_ms[_i]);
    ck_assert_str_eq(ask("BLPOP none 0.05"), "*-1\r\n"); /* begun later, over */
    ck_assert_int_eq(info_number("blocked_clients"), 1);
    ck_assert_int_eq(number_in(ask("RPUSH list x")), 1);
    ck_assert_str_eq(await(&fixture.other), "*2\r\n$4\r\nlist\r\n$1\r\nx\r\n");
    set_clock(0);
    block("BLPOP list 1\r\n");
    set_clock(jumps_ms[_i]);
    ck_assert_str_eq(await(&fixture.other), "*-1\r\n"); /* not an hour late */
    ck_assert_int_eq(info_number("blocked_clients"), 0);
    ck_assert_int_ge(info_number("uptime_in_seconds"), 0);
    ck_assert_int_lt(info_number("uptime_in_seconds"), LATE_MS / 1000);
}
END_TEST

/* Between two that are made by themselves there is a pause, which is longer when they take long. */
START_TEST(a_checkpoint_takes_no_hour_and_the_next_one_comes)
{
    static const int64_t jumps_ms[] = { -HOUR_MS, HOUR_MS };
    int64_t saves;

    start_as(2);
    (void)number_in(ask("RPUSH list x"));
    atomic_store(&told->holds_renaming, true);
    ck_assert_str_eq(ask("BGSAVE"), "+Background saving started\r\n");
    set_clock(jumps_ms[_i]);
    ck_assert_int_eq(info_number("rdb_bgsave_in_progress"), 1);
    ck_assert_int_ge(info_number("rdb_current_bgsave_time_sec"), 0);
    ck_assert_int_lt(info_number("rdb_current_bgsave_time_sec"), LATE_MS / 1000);
    atomic_store(&told->holds_renaming, false);
    while (info_number("rdb_bgsave_in_progress") == 1)
        usleep(1000);
    ck_assert_int_ge(info_number("rdb_last_bgsave_time_sec"), 0);
    ck_assert_int_lt(info_number("rdb_last_bgsave_time_sec"), LATE_MS / 1000);
    saves = info_number("rdb_saves");
    ck_assert_str_eq(ask("CONFIG SET save \"1 1\""), "+OK\r\n");
    (void)number_in(ask("RPUSH list x"));
    for (int i = 0; info_number("rdb_saves") == saves; i++) {
        ck_assert_msg(i < WAIT_MS / 10, "no other checkpoint is made");
        usleep(10000);
    }
}
END_TEST

/* ---- the log ----------------------------------------------------------------------------------
 */

/* What is read by time is found by halving: ids grow, whatever the clock did. */
static void expect_growing_ids(unsigned frames_min)
{
    char path[PATH_MAX];
    struct journal_reader *reader;
    struct journal_entry entry;
    uint64_t last_ms = 0, last_seq = 0, latest_ms = (uint64_t)(clock_now_ms() + LATE_MS);
    unsigned frames = 0;
    int rc;

    (void)snprintf(path, sizeof(path), "%s/log", fixture.data);
    ck_assert_int_eq(journal_reader_open(os_real(), path, &reader), 0);
    while ((rc = journal_reader_next(reader, &entry)) == 1) {
        ck_assert(entry.time_ms > last_ms || (entry.time_ms == last_ms && entry.seq > last_seq));
        ck_assert_uint_lt(entry.time_ms, latest_ms);
        last_ms = entry.time_ms;
        last_seq = entry.seq;
        frames++;
    }
    ck_assert_int_eq(rc, 0);
    ck_assert_uint_ge(frames, frames_min);
    journal_reader_close(reader);
}

START_TEST(frames_have_ids_that_grow)
{
    enum { EACH = 20 };
    static const int64_t steps_ms[] = { 0, -HOUR_MS, -2 * HOUR_MS, -HOUR_MS, 0 };

    start_as(_i);
    for (unsigned step = 0; step < sizeof(steps_ms) / sizeof(*steps_ms); step++) {
        set_clock(steps_ms[step]);
        for (unsigned i = 0; i < EACH; i++)
            ck_assert_int_eq(number_in(ask("RPUSH list %u", i)), step * 2 * EACH + i + 1);
        restart();
        for (unsigned i = 0; i < EACH; i++)
            ck_assert_int_eq(number_in(ask("RPUSH list %u", i)), step * 2 * EACH + EACH + i + 1);
    }
    fixture.end_signal = SIGTERM;
    stop();
    expect_growing_ids(5 * 2 * EACH);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("a clock that is set");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_loop_test(cases, times_to_live_follow_the_clock_and_survive_restarts, 0, 6);
    tcase_add_loop_test(cases, they_are_the_same_in_a_checkpoint, 0, 6);
    tcase_add_loop_test(cases, the_log_is_synced_as_before, 0, 6);
    tcase_add_loop_test(cases, who_waits_waits_as_long_as_was_said, 0, 2);
    tcase_add_loop_test(cases, a_checkpoint_takes_no_hour_and_the_next_one_comes, 0, 2);
    tcase_add_loop_test(cases, frames_have_ids_that_grow, 0, 6);
    return test_suite_run(suite);
}
