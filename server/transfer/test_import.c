/* The thread of an import and a server that is played here: what it is sent, and what follows from
 * what it answers. */
#include "modules/base/number.h"
#include "modules/base/os.h"
#include "server/transfer/import.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TEXT_BYTES_MAX = 1 << 16, INPUT_BYTES_MAX = 1 << 20, WAIT_MS = 60000 };

static struct {
    char path[64];
    int fd; /* the server's end */
    struct import *import;
    char commands[TEXT_BYTES_MAX]; /* "SET k v;" */
    size_t commands_size;
    char input[INPUT_BYTES_MAX];
    size_t input_size;
    unsigned answered;
    /* What the nth command, from 1, is answered with. */
    const char *(*answer)(unsigned nth, const char *command);
    unsigned closes_after; /* commands; 0: not at all */
} fixture;

static const char *answer_well(unsigned nth, const char *command)
{
    (void)nth;
    return strcmp(command, "EXISTS") == 0 ? ":0\r\n" : "+OK\r\n";
}

static void write_file(const char *text)
{
    FILE *file;
    int fd;

    strcpy(fixture.path, "/tmp/sluice-import-XXXXXX");
    fd = mkstemp(fixture.path);
    ck_assert_int_ge(fd, 0);
    file = fdopen(fd, "w");
    ck_assert_uint_eq(fwrite(text, 1, strlen(text), file), strlen(text));
    ck_assert_int_eq(fclose(file), 0);
}

static void setup(void)
{
    memset(&fixture, 0, sizeof(fixture));
    fixture.fd = -1;
    fixture.answer = answer_well;
}

static void teardown(void)
{
    import_destroy(fixture.import);
    if (fixture.fd >= 0) (void)close(fixture.fd);
    if (fixture.path[0]) (void)unlink(fixture.path);
}

static bool is_run(void *context, struct slice name)
{
    (void)context;
    return slice_is(name, "SET") || slice_is(name, "RPUSH") || slice_is(name, "DEL") ||
           slice_is(name, "RENAME") || slice_is(name, "COPY");
}

static void start(bool is_empty, bool replaces)
{
    struct import_options options = { .path = fixture.path,
                                      .database_count = 16,
                                      .value_bytes_max = 100,
                                      .command_bytes_max = 200,
                                      .is_empty = is_empty,
                                      .replaces = replaces,
                                      .is_run = is_run };
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    options.fd = fds[0];
    fixture.fd = fds[1];
    ck_assert_int_eq(import_create(os_real(), &options, &fixture.import), 0);
}

/* ---- the played server -------------------------------------------------------------------------
 */

/* The number behind a mark, and the step behind its line; 0: the line is not whole yet. */
static size_t take_number(size_t at, size_t *out_number)
{
    const char *end = memchr(fixture.input + at, '\n', fixture.input_size - at);

    if (!end) return 0;
    *out_number = strtoul(fixture.input + at + 1, NULL, 10);
    return (size_t)(end - fixture.input) + 1;
}

/* Takes a command out of the input: its name, or NULL: none is whole. */
static const char *take_command(void)
{
    static char name[64];
    size_t count, at, mark = fixture.commands_size;

    if (fixture.input_size == 0 || (at = take_number(0, &count)) == 0) return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t size;
        at = at < fixture.input_size ? take_number(at, &size) : 0;
        if (at == 0 || at + size + 2 > fixture.input_size) {
            fixture.commands_size = mark;
            return NULL;
        }
        if (i == 0) (void)snprintf(name, sizeof(name), "%.*s", (int)size, fixture.input + at);
        fixture.commands_size += (size_t)snprintf(fixture.commands + fixture.commands_size,
                                                  TEXT_BYTES_MAX - fixture.commands_size, "%s%.*s",
                                                  i > 0 ? " " : "", (int)size, fixture.input + at);
        at += size + 2;
    }
    fixture.commands_size += (size_t)snprintf(fixture.commands + fixture.commands_size,
                                              TEXT_BYTES_MAX - fixture.commands_size, ";");
    memmove(fixture.input, fixture.input + at, fixture.input_size - at);
    fixture.input_size -= at;
    return name;
}

static void answer_all(void)
{
    const char *name;

    while (fixture.fd >= 0 && (name = take_command())) {
        const char *answer = fixture.answer(++fixture.answered, name);
        (void)send(fixture.fd, answer, strlen(answer), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (fixture.answered != fixture.closes_after) continue;
        (void)close(fixture.fd);
        fixture.fd = -1;
    }
}

/* Serves until the import has ended; its summary. */
static const struct import_summary *serve(void)
{
    for (;;) {
        struct pollfd fds[2] = { { .fd = import_event_fd(fixture.import), .events = POLLIN },
                                 { .fd = fixture.fd, .events = POLLIN } };
        ssize_t size;
        ck_assert_int_gt(poll(fds, 2, WAIT_MS), 0);
        if (fds[0].revents) break;
        size = recv(fixture.fd, fixture.input + fixture.input_size,
                    INPUT_BYTES_MAX - fixture.input_size, 0);
        if (size > 0) fixture.input_size += (size_t)size;
        answer_all();
    }
    return import_get_summary(fixture.import);
}

#define SET(key, value) "*3\r\n$3\r\nSET\r\n$1\r\n" key "\r\n$1\r\n" value "\r\n"
#define WORD(word)      "*1\r\n$4\r\n" word "\r\n"

START_TEST(commands_are_sent_as_they_stand_there)
{
    const struct import_summary *summary;

    write_file("*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n" SET("a", "1") "*1\r\n$5\r\nMULTI\r\n" SET(
        "b", "2") WORD("SADD") WORD("exec") SET("c", "3"));
    start(true, false);
    summary = serve();
    ck_assert_int_eq(summary->rc, 0);
    ck_assert_str_eq(fixture.commands, "SELECT 3;SET a 1;MULTI;SET b 2;exec;SET c 3;");
    ck_assert_uint_eq(summary->commands, 3);
    ck_assert_uint_eq(summary->unknown_count, 1);
    ck_assert_str_eq(summary->unknown[0].name, "sadd");
}
END_TEST

START_TEST(what_belongs_elsewhere_or_is_too_long_is_left_out)
{
    const struct import_summary *summary;
    char text[2000] = "*2\r\n$6\r\nSELECT\r\n$2\r\n16\r\n" SET("a", "1") SET("b", "1");

    strcat(text, "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$101\r\n");
    for (int i = 0; i < 101; i++)
        strcat(text, "x");
    strcat(text, "\r\n*2\r\n$3\r\nDEL\r\n$300\r\n");
    for (int i = 0; i < 300; i++)
        strcat(text, "y");
    strcat(text, "\r\n" SET("c", "3") "*3\r\n$3\r\nSE");
    write_file(text);
    start(true, false);
    summary = serve();
    ck_assert_int_eq(summary->rc, 0);
    ck_assert_str_eq(fixture.commands, "SELECT 0;DEL k;SET c 3;");
    ck_assert_uint_eq(summary->other_databases, 2);
    ck_assert_uint_eq(summary->long_commands, 2);
    ck_assert_uint_eq(summary->torn_bytes, 10);
}
END_TEST

#define RENAME(from, to) "*3\r\n$6\r\nRENAME\r\n$1\r\n" from "\r\n$1\r\n" to "\r\n"
#define COPY(more)       "*" more "\r\n$4\r\nCOPY\r\n$1\r\na\r\n$1\r\nb\r\n"

static const char *answer_nothing_copied(unsigned nth, const char *command)
{
    (void)nth;
    return strcmp(command, "COPY") == 0 ? ":0\r\n" : "+OK\r\n";
}

START_TEST(what_a_value_that_is_not_here_replaces_goes)
{
    const struct import_summary *summary;

    write_file("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n" RENAME("a", "b") RENAME("a", "a") COPY("3")
                   COPY("5") "$2\r\nDB\r\n$1\r\n3\r\n"
                             "*3\r\n$11\r\nSUNIONSTORE\r\n$1\r\nc\r\n$1\r\ns\r\n"
                             "*4\r\n$4\r\nSORT\r\n$1\r\ns\r\n$5\r\nSTORE\r\n$1\r\nd\r\n"
                             "*2\r\n$4\r\nSORT\r\n$1\r\ns\r\n"
                             "*2\r\n$6\r\nSELECT\r\n$2\r\n16\r\n"
                             "*3\r\n$11\r\nSUNIONSTORE\r\n$1\r\ne\r\n$1\r\ns\r\n");
    fixture.answer = answer_nothing_copied;
    start(true, false);
    summary = serve();
    ck_assert_int_eq(summary->rc, 0);
    ck_assert_str_eq(fixture.commands, "SELECT 0;DEL b;RENAME a b;RENAME a a;DEL b;COPY a b;"
                                       "SELECT 3;DEL b;SELECT 0;COPY a b DB 3;DEL c;DEL d;");
    ck_assert_uint_eq(summary->replaced, 4); /* two by COPY, one each by SUNIONSTORE and SORT */
    ck_assert_uint_eq(summary->commands, 4);
}
END_TEST

/* One command of words with a space between. */
static void write_words(const char *words)
{
    char file[1100], text[1000] = "", line[200], *save;
    unsigned count = 0;

    (void)snprintf(line, sizeof(line), "%s", words);
    for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        size_t size = strlen(text);
        (void)snprintf(text + size, sizeof(text) - size, "$%zu\r\n%s\r\n", strlen(word), word);
        count++;
    }
    (void)snprintf(file, sizeof(file), "*%u\r\n%s", count, text);
    write_file(file);
}

/* Each command that replaces a key, and what is removed. A word that is a pattern, a name or a
 * member does not say where the key is; the last one that does counts. */
static const char *const replacing[][2] = {
    { "SUNIONSTORE d a b", "DEL d;" },
    { "SINTERSTORE d a b", "DEL d;" },
    { "SDIFFSTORE d a b", "DEL d;" },
    { "ZUNIONSTORE d 1 a", "DEL d;" },
    { "ZINTERSTORE d 1 a", "DEL d;" },
    { "ZDIFFSTORE d 1 a", "DEL d;" },
    { "ZRANGESTORE d a 0 -1", "DEL d;" },
    { "GEOSEARCHSTORE d a FROMMEMBER m BYRADIUS 1 m", "DEL d;" },
    { "RESTORE d 0 blob REPLACE", "DEL d;" },
    { "BITOP AND d a b", "DEL d;" },
    { "SORT a LIMIT 0 10 STORE d DESC", "DEL d;" },
    { "SORT a BY store GET Store STORE d", "DEL d;" },
    { "SORT a STORE store store d", "DEL d;" },
    { "GEORADIUS a 1 2 3 km STORE d", "DEL d;" },
    { "GEORADIUS a 1 2 3 km COUNT 5 STOREDIST d", "DEL d;" },
    { "GEORADIUSBYMEMBER a store 1 km STOREDIST d", "DEL d;" },
    { "SORT a BY STORE DESC", "" },
    { "GEORADIUS a 1 2 3 km STORE", "" },
    { "BITOP AND", "" },
    { "SADD STORE d", "" },
};

enum { REPLACING = sizeof(replacing) / sizeof(*replacing) };

START_TEST(each_command_that_replaces_a_key_removes_it)
{
    const struct import_summary *summary;

    write_words(replacing[_i][0]);
    start(true, false);
    summary = serve();
    ck_assert_int_eq(summary->rc, 0);
    ck_assert_str_eq(fixture.commands, replacing[_i][1]);
    ck_assert_uint_eq(summary->replaced, *replacing[_i][1] != '\0');
    ck_assert_uint_eq(summary->unknown_count, 1);
}
END_TEST

/* EXEC answers for it: what comes before is no answer of COPY's. */
START_TEST(a_copy_within_a_transaction_is_not_waited_for)
{
    const struct import_summary *summary;

    write_file("*1\r\n$5\r\nMULTI\r\n" COPY("3") WORD("EXEC") COPY("3"));
    fixture.answer = answer_nothing_copied;
    start(true, false);
    summary = serve();
    ck_assert_int_eq(summary->rc, 0);
    ck_assert_str_eq(fixture.commands, "MULTI;DEL b;COPY a b;EXEC;DEL b;COPY a b;");
    ck_assert_uint_eq(summary->replaced, 1); /* by the second */
}
END_TEST

static const char *refuse_third(unsigned nth, const char *command)
{
    return nth == 3 ? "-OOM command not allowed when used memory > 'maxmemory'.\r\n"
                    : answer_well(nth, command);
}

static void write_many(void)
{
    static char text[200000];

    text[0] = '\0';
    for (size_t at = 0; at + 100 < sizeof(text);)
        at += (size_t)snprintf(text + at, 100, SET("k", "v"));
    write_file(text);
}

START_TEST(a_server_that_takes_no_more_ends_it)
{
    const struct import_summary *summary;

    write_many();
    fixture.answer = refuse_third;
    start(true, false);
    summary = serve();
    ck_assert_int_eq(summary->rc, -EPERM);
    ck_assert_str_eq(summary->error, "OOM command not allowed when used memory > 'maxmemory'.");
}
END_TEST

static const char *fail_second(unsigned nth, const char *command)
{
    return nth == 2 ? "-WRONGTYPE Operation against a key\r\n" : answer_well(nth, command);
}

START_TEST(other_errors_are_counted_and_it_goes_on)
{
    const struct import_summary *summary;

    write_file(SET("a", "1") SET("b", "2") SET("c", "3"));
    fixture.answer = fail_second;
    start(true, false);
    summary = serve();
    ck_assert_int_eq(summary->rc, 0);
    ck_assert_uint_eq(summary->error_count, 1);
    ck_assert_str_eq(summary->first_error, "WRONGTYPE Operation against a key");
    ck_assert_uint_eq(summary->commands, 3);
}
END_TEST

static const char *talk_nonsense(unsigned nth, const char *command)
{
    (void)nth;
    (void)command;
    return "HTTP/1.1 400 Bad Request\r\n";
}

START_TEST(a_server_that_closes_or_talks_nonsense_ends_it)
{
    const struct import_summary *summary;

    write_many();
    if (_i == 0)
        fixture.closes_after = 2;
    else
        fixture.answer = talk_nonsense;
    start(true, false);
    summary = serve();
    ck_assert_int_eq(summary->rc, _i == 0 ? -EPIPE : -EBADMSG);
    if (_i == 0) ck_assert_str_eq(summary->error, "its connection was closed");
    ck_assert_str_ne(summary->error, "");
}
END_TEST

START_TEST(commands_want_an_empty_server_or_to_replace)
{
    const struct import_summary *summary;

    write_file(SET("a", "1"));
    start(false, _i == 1);
    summary = serve();
    ck_assert_int_eq(summary->rc, _i == 1 ? 0 : -EEXIST);
    ck_assert_str_eq(fixture.commands, _i == 1 ? "SET a 1;" : "");
}
END_TEST

/* A server that answers nothing: the thread waits, and ends all the same. */
START_TEST(it_can_be_canceled_while_it_waits)
{
    struct import_progress progress;

    write_many();
    start(true, false);
    do
        import_get_progress(fixture.import, &progress);
    while (progress.phase == IMPORT_CHECKING);
    if (_i == 0) {
        struct pollfd fd = { .fd = import_event_fd(fixture.import), .events = POLLIN };
        import_cancel(fixture.import);
        ck_assert_int_eq(poll(&fd, 1, WAIT_MS), 1);
        ck_assert_int_eq(import_get_summary(fixture.import)->rc, -ECANCELED);
    } /* else destroying it does */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import");
    TCase *cases = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, commands_are_sent_as_they_stand_there);
    tcase_add_test(cases, what_belongs_elsewhere_or_is_too_long_is_left_out);
    tcase_add_test(cases, what_a_value_that_is_not_here_replaces_goes);
    tcase_add_loop_test(cases, each_command_that_replaces_a_key_removes_it, 0, REPLACING);
    tcase_add_test(cases, a_copy_within_a_transaction_is_not_waited_for);
    tcase_add_test(cases, a_server_that_takes_no_more_ends_it);
    tcase_add_test(cases, other_errors_are_counted_and_it_goes_on);
    tcase_add_loop_test(cases, a_server_that_closes_or_talks_nonsense_ends_it, 0, 2);
    tcase_add_loop_test(cases, commands_want_an_empty_server_or_to_replace, 0, 2);
    tcase_add_loop_test(cases, it_can_be_canceled_while_it_waits, 0, 2);
    suite_add_tcase(suite, cases);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
