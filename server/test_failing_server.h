/* test_failing_server.h - for test_system_calls.c and test_allocations.c: a whole server in which
 * something fails, and what is left behind.
 *
 * It refuses to start and has changed nothing; or it refuses a command, or closes the connection of
 * who waited, and goes on. Either way a start on what is left behind, after a kill or an end by
 * signal, finds all that was answered and nothing that was refused; and when it failed only once,
 * writes are taken again before that. */
#ifndef SERVER_TEST_FAILING_SERVER_H
#define SERVER_TEST_FAILING_SERVER_H
#include "modules/base/test_directory.h"
#include "server/test_power_client.h"
#include "server/test_power_found.h"

#include "modules/base/test_soak.h"

#include <sys/mman.h>
#include <sys/stat.h>

enum {
    BEFORE = 90,   /* commands that are in the directory already */
    SAVE_AT = 115, /* a checkpoint begins there; another at the end */
    SEED = 4,
    CONNECTIONS_MAX = 100, /* one after the other, of a server that closes them */
    CODE_OF_THE_TEST = 98, /* what the server's process ends with when the test itself could not */
};

/* What the server's process, in which something fails, tells of it. */
struct figures {
    uint64_t calls, fired;
};

/* A server with something in it that fails. */
struct failing {
    uint64_t nth;    /* of what may fail; 0: nothing fails */
    bool may_repeat; /* not only once */
    /* Serves in a process of its own, then fills fixture.figures; its exit code. NULL: nothing
     * fails. */
    int (*serve)(void *failing, int argument_count, char *const *arguments);
    const void *how; /* for serve */
};

static struct {
    char directory[64], golden[80], data[80];
    struct process process;
    struct connection connection;
    struct model base, model; /* in the golden directory; what is in this one */
    struct model other;       /* or this, when it is not known */
    bool is_unknown;
    bool is_mixed; /* or any part of this and any of that: a transaction was refused a command */
    bool may_mix;  /* as in Redis, a command within EXEC may fail alone */
    struct figures *figures;
    const char *fsync;
    unsigned refused, closed, starts_refused, mute; /* in all attempts */
} fixture;

/* What the sanitizer finds is told apart from a server that refuses. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "exitcode=99";
}

static inline void shell(const char *command)
{
    ck_assert_int_eq(system(command), 0);
}

static inline void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "calls");
    (void)snprintf(fixture.golden, sizeof(fixture.golden), "%s/golden", fixture.directory);
    (void)snprintf(fixture.data, sizeof(fixture.data), "%s/data", fixture.directory);
    process_set_paths(&fixture.process, fixture.directory, "");
    fixture.figures = mmap(NULL, sizeof(*fixture.figures), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(fixture.figures != MAP_FAILED);
    ck_assert_int_eq(mkdir(fixture.golden, 0755), 0);
    fixture.connection.fd = -1;
}

static inline void tear_down(void)
{
    process_kill(&fixture.process);
    connection_close(&fixture.connection);
    munmap(fixture.figures, sizeof(*fixture.figures));
    test_directory_remove(fixture.directory);
}

/* ---- a server ---------------------------------------------------------------------------------
 */

static inline int serve_well(void *failing, int argument_count, char *const *arguments)
{
    (void)failing;
    return boot_and_run(os_real(), argument_count, arguments);
}

static inline void expect_end(int signal_sent, bool may_fail)
{
    int status;

    if (signal_sent) ck_assert_int_eq(kill(fixture.process.pid, signal_sent), 0);
    ck_assert_int_eq(waitpid(fixture.process.pid, &status, 0), fixture.process.pid);
    fixture.process.pid = 0;
    ck_assert_msg(WIFEXITED(status), "it ended by signal %d", WTERMSIG(status));
    ck_assert_msg(WEXITSTATUS(status) == 0 || (may_fail && WEXITSTATUS(status) == EXIT_FAILURE),
                  "exit code %d", WEXITSTATUS(status));
}

/* False: it has closed the connection instead. */
static inline bool has_loaded(void)
{
    for (;;) {
        const char *reply = connection_ask(&fixture.connection, "EXISTS a0");
        if (fixture.connection.is_closed) return false;
        if (strncmp(reply, "-LOADING", 8) != 0) return true;
        usleep(1000);
    }
}

/* False: it has ended instead, or closes each connection. */
static inline bool connect_again(void)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        connection_close(&fixture.connection);
        if (!connection_open(&fixture.connection, &fixture.process)) return false;
        if (has_loaded()) return true;
        usleep(1000);
    }
    return false;
}

/* What fails on and on may keep a server from serving anybody, but not from ending. */
static inline void end_mute(void)
{
    if (process_has_ended(&fixture.process)) {
        ck_assert(WIFEXITED(fixture.process.status));
        ck_assert_int_eq(WEXITSTATUS(fixture.process.status), EXIT_FAILURE);
        return;
    }
    expect_end(SIGTERM, true);
    fixture.mute++;
}

/* True: it serves. False: it has refused to start, in good order. */
static inline bool start(struct failing failing)
{
    process_start_as(&fixture.process, failing.serve ? failing.serve : serve_well, &failing,
                     fixture.data, fixture.fsync);
    if (connect_again()) return true;
    connection_close(&fixture.connection);
    end_mute();
    ck_assert_msg(fixture.mute == 0 || failing.may_repeat, "it serves nobody");
    return false;
}

/* ---- commands ---------------------------------------------------------------------------------
 */

enum outcome { DONE, REFUSED, PARTLY, UNKNOWN };

/* A command within a transaction has failed. */
static inline bool has_inner_error(const char *reply, size_t size)
{
    return *reply == '*' && memmem(reply, size, "\r\n-", 3) != NULL;
}

/* Also on a disk that stays full: who was taken is answered, or told by the connection's end. */
static inline enum outcome receive(unsigned replies)
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
        if (!has_inner_error(reply, size)) continue;
        ck_assert_msg(fixture.may_mix, "half a transaction was done: %.200s", reply);
        outcome = PARTLY;
    }
    return outcome;
}

static inline bool list_is(const struct model *a, const struct model *b, unsigned list)
{
    return a->lengths[list] == b->lengths[list] &&
           memcmp(a->lists[list], b->lists[list], a->lengths[list] * sizeof(a->lists[list][0])) ==
               0;
}

/* The three commands of a transaction change a part each. */
static inline bool is_mix(const struct model *found, const struct model *a, const struct model *b)
{
    for (unsigned i = 0; i < ROWS; i++) {
        if (!list_is(found, a, i) && !list_is(found, b, i)) return false;
    }
    if (!groups_are_equal(&found->group, &a->group) && !groups_are_equal(&found->group, &b->group))
        return false;
    return found->string == a->string || found->string == b->string;
}

static inline bool is_either(const struct model *found, const struct model *a,
                             const struct model *b, bool may_be_mix)
{
    if (may_be_mix) return is_mix(found, a, b);
    return models_are_equal(found, a) || models_are_equal(found, b);
}

/* What a client is shown is promised as well. */
static inline void learn(const struct model *before, const struct model *after, bool may_be_mix)
{
    static struct model found;

    for (unsigned i = 0;; i++) {
        ck_assert_uint_lt(i, WAIT_MS);
        ck_assert_msg(connect_again(), "the server has ended");
        if (read_model(&fixture.connection, 0, &found)) break;
        usleep(1000); /* reads are refused while the log is replaced */
    }
    ck_assert_msg(is_either(&found, before, after, may_be_mix),
                  "it holds neither what was before the command nor what it makes");
    fixture.model = found;
}

/* What always fails from some time on may keep a server from being read, too. */
static inline void command(unsigned index, bool can_recover)
{
    static struct model before, after;
    static struct text text;
    bool may_be_mix;
    unsigned replies;

    before = after = fixture.model;
    replies = do_command(SEED, 0, index, &after, &text);
    connection_send(&fixture.connection, text.bytes, text.size);
    may_be_mix = fixture.may_mix && replies > 1;
    switch (receive(replies)) {
    case DONE:
        fixture.model = after;
        return;
    case REFUSED:
        fixture.refused++;
        return;
    case PARTLY:
        fixture.refused++;
        break;
    case UNKNOWN:
        fixture.closed++;
        break;
    }
    if (can_recover) {
        learn(&before, &after, may_be_mix);
        return;
    }
    fixture.other = after;
    fixture.is_unknown = true;
    fixture.is_mixed = may_be_mix;
}

static inline void save(const char *how, bool can_recover)
{
    (void)connection_ask(&fixture.connection, how);
    if (fixture.connection.is_closed && !connect_again())
        ck_assert_msg(!can_recover, "the server has ended");
}

/* What adds is taken again. */
static inline void expect_recovery(void)
{
    for (unsigned i = 0;; i++) {
        const char *reply = connection_ask(&fixture.connection, "SET other 1");

        if (*reply == '+') break;
        ck_assert_msg(i < WAIT_MS / 10, "writes do not come back: %.80s", reply);
        if (fixture.connection.is_closed) ck_assert_msg(connect_again(), "the server has ended");
        usleep(10000);
    }
}

static inline void expect_model(void)
{
    static struct model found;

    ck_assert_msg(read_model(&fixture.connection, 0, &found), "it holds what was never sent");
    ck_assert_msg(models_are_equal(&found, &fixture.model) ||
                      (fixture.is_unknown &&
                       is_either(&found, &fixture.model, &fixture.other, fixture.is_mixed)),
                  "what was answered is missing, or what was refused was done");
}

static inline void work(bool can_recover)
{
    for (unsigned index = BEFORE; index < COMMANDS && !fixture.is_unknown; index++) {
        if (index == SAVE_AT) save("BGSAVE", can_recover);
        command(index, can_recover);
    }
    if (!fixture.is_unknown) save("SAVE", can_recover);
}

/* ---- attempts ---------------------------------------------------------------------------------
 */

static inline void make_golden(void)
{
    char command_line[512];

    (void)snprintf(fixture.data, sizeof(fixture.data), "%s", fixture.golden);
    ck_assert(start((struct failing){ 0 }));
    for (unsigned index = 0; index < BEFORE; index++) {
        if (index == BEFORE / 2) save("SAVE", true);
        command(index, true);
    }
    process_kill(&fixture.process);
    fixture.base = fixture.model;
    (void)snprintf(fixture.data, sizeof(fixture.data), "%s/data", fixture.directory);
    (void)snprintf(command_line, sizeof(command_line), "cp -r %s %s", fixture.golden, fixture.data);
    shell(command_line);
}

static inline void attempt(struct failing failing)
{
    char command_line[512];

    (void)snprintf(command_line, sizeof(command_line), "rm -rf %s && cp -r %s %s && : > %s",
                   fixture.data, fixture.golden, fixture.data, fixture.process.log_path);
    shell(command_line);
    fixture.model = fixture.base;
    fixture.is_unknown = fixture.is_mixed = false;
    if (start(failing)) {
        work(!failing.may_repeat);
        if (!failing.may_repeat) expect_recovery();
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
#endif
