/* A whole server of which one system call fails: each in turn, once or from then on, each way. It
 * refuses to start and has changed nothing; or it refuses a command, or closes the connection of
 * who waited, and goes on. Either way a start on what is left behind, after a kill or an end by
 * signal, finds all that was answered and nothing that was refused; and when the call failed only
 * once, writes are taken again before that. */
#include "modules/base/test_directory.h"
#include "server/test_power_client.h"
#include "server/test_power_model.h"

#include "modules/base/fault.h"
#include "modules/base/test_soak.h"

#include <sys/mman.h>
#include <sys/stat.h>

enum {
    BEFORE = 60,  /* commands that are in the directory already */
    SAVE_AT = 85, /* a checkpoint begins there; another at the end */
    SEED = 4,
};

/* What the server's process, which has the fault, tells of it. */
struct figures {
    uint64_t calls, fired;
};

static struct {
    char directory[64], golden[80], data[80];
    struct process process;
    struct connection connection;
    struct model base, model; /* in the golden directory; what is in this one */
    struct model other;       /* or this, when it is not known */
    bool is_unknown;
    struct figures *figures;
    const char *fsync;
    unsigned refused, closed, starts_refused; /* in all attempts */
} fixture;

/* What the sanitizer finds is told apart from a server that refuses. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "exitcode=99";
}

static void shell(const char *command)
{
    ck_assert_int_eq(system(command), 0);
}

static void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "calls");
    (void)snprintf(fixture.golden, sizeof(fixture.golden), "%s/golden", fixture.directory);
    (void)snprintf(fixture.data, sizeof(fixture.data), "%s/data", fixture.directory);
    (void)snprintf(fixture.process.socket_path, sizeof(fixture.process.socket_path), "%s/socket",
                   fixture.directory);
    (void)snprintf(fixture.process.log_path, sizeof(fixture.process.log_path), "%s/log",
                   fixture.directory);
    fixture.figures = mmap(NULL, sizeof(*fixture.figures), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(fixture.figures != MAP_FAILED);
    ck_assert_int_eq(mkdir(fixture.golden, 0755), 0);
    fixture.connection.fd = -1;
}

static void tear_down(void)
{
    process_kill(&fixture.process);
    connection_close(&fixture.connection);
    munmap(fixture.figures, sizeof(*fixture.figures));
    test_directory_remove(fixture.directory);
}

/* ---- a server ---------------------------------------------------------------------------------
 */

struct failing {
    uint64_t nth; /* 0: none */
    int error;
    enum fault_duration duration;
    size_t transfer_bytes_max; /* 0: no limit */
};

static int serve(void *context, int argument_count, char *const *arguments)
{
    const struct failing *failing = context;
    struct fault *fault;
    int code;

    if (fault_create(os_real(), &fault) < 0) return 98;
    if (failing->nth > 0)
        fault_fail(fault, FAULT_ANY, failing->nth, failing->error, failing->duration);
    fault_limit_transfer(fault, failing->transfer_bytes_max);
    code = boot_and_run(fault_os(fault), argument_count, arguments);
    fixture.figures->calls = fault_count(fault, FAULT_ANY);
    fixture.figures->fired = fault_fired(fault);
    return code;
}

static void expect_end(int signal_sent, bool may_fail)
{
    int status;

    if (signal_sent) ck_assert_int_eq(kill(fixture.process.pid, signal_sent), 0);
    ck_assert_int_eq(waitpid(fixture.process.pid, &status, 0), fixture.process.pid);
    fixture.process.pid = 0;
    ck_assert_msg(WIFEXITED(status), "it ended by signal %d", WTERMSIG(status));
    ck_assert_msg(WEXITSTATUS(status) == 0 || (may_fail && WEXITSTATUS(status) == EXIT_FAILURE),
                  "exit code %d", WEXITSTATUS(status));
}

/* False: it has ended instead. */
static bool connect_again(void)
{
    connection_close(&fixture.connection);
    if (!connection_open(&fixture.connection, &fixture.process)) return false;
    for (;;) {
        const char *reply = connection_ask(&fixture.connection, "EXISTS a0");
        if (fixture.connection.is_closed) return false;
        if (strncmp(reply, "-LOADING", 8) != 0) return true;
        usleep(1000);
    }
}

/* True: it serves. False: it has refused to start, in good order. */
static bool start(struct failing failing)
{
    process_start_as(&fixture.process, serve, &failing, fixture.data, fixture.fsync);
    if (connect_again()) return true;
    connection_close(&fixture.connection);
    if (fixture.process.pid != 0) {
        expect_end(0, true);
    } else {
        ck_assert(WIFEXITED(fixture.process.status));
        ck_assert_int_eq(WEXITSTATUS(fixture.process.status), EXIT_FAILURE);
    }
    return false;
}

/* ---- commands ---------------------------------------------------------------------------------
 */

enum outcome { DONE, REFUSED, UNKNOWN };

/* A command within a transaction has failed. */
static bool has_inner_error(const char *reply, size_t size)
{
    return *reply == '*' && memmem(reply, size, "\r\n-", 3) != NULL;
}

/* Also on a disk that stays full: who was taken is answered, or told by the connection's end. */
static enum outcome receive(unsigned replies)
{
    enum outcome outcome = DONE;

    while (replies > 0) {
        const struct connection *connection = &fixture.connection;
        size_t size = reply_end(connection, connection->used) - connection->used;
        const char *reply = connection_next(&fixture.connection);

        if (!reply) {
            bool has_come = connection_receive(&fixture.connection, WAIT_MS);
            if (fixture.connection.is_closed) return UNKNOWN;
            ck_assert_msg(has_come, "no answer");
            continue;
        }
        replies--;
        if (*reply == '-') outcome = REFUSED;
        ck_assert_msg(!has_inner_error(reply, size), "half a transaction was done: %.200s", reply);
    }
    return outcome;
}

/* What a client is shown is promised as well. */
static void learn(const struct model *before, const struct model *after)
{
    static struct model found;

    for (unsigned i = 0;; i++) {
        ck_assert_uint_lt(i, WAIT_MS);
        ck_assert_msg(connect_again(), "the server has ended");
        if (read_model(&fixture.connection, 0, &found)) break;
        usleep(1000); /* reads are refused while the log is replaced */
    }
    ck_assert_msg(models_are_equal(&found, before) || models_are_equal(&found, after),
                  "it holds neither what was before the command nor what it makes");
    fixture.model = found;
}

/* What always fails from some time on may keep a server from being read, too. */
static void command(unsigned index, bool can_recover)
{
    static struct model before, after;
    static struct text text;
    unsigned replies;

    before = after = fixture.model;
    replies = do_command(SEED, 0, index, &after, &text);
    connection_send(&fixture.connection, text.bytes, text.size);
    switch (receive(replies)) {
    case DONE:
        fixture.model = after;
        break;
    case REFUSED:
        fixture.refused++;
        break;
    case UNKNOWN:
        fixture.closed++;
        if (can_recover) {
            learn(&before, &after);
            break;
        }
        fixture.other = after;
        fixture.is_unknown = true;
        break;
    }
}

static void save(const char *how)
{
    (void)connection_ask(&fixture.connection, how);
    if (fixture.connection.is_closed) ck_assert_msg(connect_again(), "the server has ended");
}

/* What adds is taken again. */
static void expect_recovery(void)
{
    for (unsigned i = 0;; i++) {
        const char *reply = connection_ask(&fixture.connection, "SET other 1");

        if (*reply == '+') break;
        ck_assert_msg(i < WAIT_MS / 10, "writes do not come back: %.80s", reply);
        if (fixture.connection.is_closed) ck_assert_msg(connect_again(), "the server has ended");
        usleep(10000);
    }
}

static void expect_model(void)
{
    static struct model found;

    ck_assert_msg(read_model(&fixture.connection, 0, &found), "it holds what was never sent");
    ck_assert_msg(models_are_equal(&found, &fixture.model) ||
                      (fixture.is_unknown && models_are_equal(&found, &fixture.other)),
                  "what was answered is missing, or what was refused was done");
}

static void work(bool can_recover)
{
    for (unsigned index = BEFORE; index < COMMANDS && !fixture.is_unknown; index++) {
        if (index == SAVE_AT) save("BGSAVE");
        command(index, can_recover);
    }
    if (!fixture.is_unknown) save("SAVE");
}

/* ---- attempts ---------------------------------------------------------------------------------
 */

static void make_golden(void)
{
    char command_line[512];

    (void)snprintf(fixture.data, sizeof(fixture.data), "%s", fixture.golden);
    ck_assert(start((struct failing){ 0 }));
    for (unsigned index = 0; index < BEFORE; index++) {
        if (index == BEFORE / 2) save("SAVE");
        command(index, true);
    }
    process_kill(&fixture.process);
    fixture.base = fixture.model;
    (void)snprintf(fixture.data, sizeof(fixture.data), "%s/data", fixture.directory);
    (void)snprintf(command_line, sizeof(command_line), "cp -r %s %s", fixture.golden, fixture.data);
    shell(command_line);
}

static void attempt(struct failing failing)
{
    char command_line[512];

    (void)snprintf(command_line, sizeof(command_line), "rm -rf %s && cp -r %s %s && : > %s",
                   fixture.data, fixture.golden, fixture.data, fixture.process.log_path);
    shell(command_line);
    fixture.model = fixture.base;
    fixture.is_unknown = false;
    if (start(failing)) {
        work(failing.duration == FAULT_ONCE);
        if (failing.duration == FAULT_ONCE) expect_recovery();
        if (failing.nth % 2)
            process_kill(&fixture.process);
        else
            expect_end(SIGTERM, failing.nth > 0);
    } else {
        ck_assert_uint_gt(failing.nth, 0);
        fixture.starts_refused++;
    }
    ck_assert_msg(start((struct failing){ 0 }), "no server starts on what is left");
    expect_model();
    process_kill(&fixture.process);
    connection_close(&fixture.connection);
}

static void say_where(uint64_t nth, int error, enum fault_duration duration)
{
    if (getenv("SLUICE_TEST_VERBOSE"))
        (void)fprintf(stderr, "%s: call %llu, %s, %s\n", fixture.fsync, (unsigned long long)nth,
                      strerror(error), duration == FAULT_ONCE ? "once" : "from then on");
}

static const char *const modes[] = { "always", "everysec", "no" };
static const int errors[] = { EIO, ENOSPC, ENOMEM };

/* Of the calls every so many-th, another one in each mode and way; all of them in `make soak`. */
static uint64_t step_of(uint64_t calls)
{
    return soak_is_full() ? 1 : calls / 20 + 1;
}

START_TEST(each_may_fail_and_what_was_answered_is_there)
{
    enum fault_duration duration = _i / 9 ? FAULT_FROM_THEN_ON : FAULT_ONCE;
    int error = errors[_i / 3 % 3];
    const char *only = getenv("SLUICE_TEST_CALL");
    uint64_t calls, step;

    fixture.fsync = modes[_i % 3];
    make_golden();
    attempt((struct failing){ 0 });
    calls = fixture.figures->calls;
    ck_assert_uint_gt(calls, 100);
    ck_assert_uint_eq(fixture.refused + fixture.closed, 0);
    step = step_of(calls);
    for (uint64_t nth = 1 + (uint64_t)_i * 7 % step; nth <= calls; nth += step) {
        if (only) nth = strtoull(only, NULL, 10);
        say_where(nth, error, duration);
        attempt((struct failing){ nth, error, duration, 0 });
        if (only) return;
    }
    (void)printf("%s, %s %s: %llu calls; %u starts and %u commands refused, %u closed\n",
                 fixture.fsync, strerror(error), duration == FAULT_ONCE ? "once" : "from then on",
                 (unsigned long long)calls, fixture.starts_refused, fixture.refused,
                 fixture.closed);
    ck_assert_uint_gt(fixture.starts_refused + fixture.refused + fixture.closed, 0);
}
END_TEST

START_TEST(short_transfers_do_not_matter)
{
    fixture.fsync = modes[_i];
    make_golden();
    attempt((struct failing){ .transfer_bytes_max = 1000 });
    ck_assert_uint_eq(fixture.refused + fixture.closed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("a server and system calls that fail");
    TCase *cases = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_set_timeout(cases, soak_is_full() ? 3000 : 300);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_loop_test(cases, each_may_fail_and_what_was_answered_is_there, 0, 18);
    tcase_add_loop_test(cases, short_transfers_do_not_matter, 0, 3);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
