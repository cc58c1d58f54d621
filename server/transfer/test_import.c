/* The thread of an import and a server that is played here: what it is sent, and what follows from
 * what it answers. */
#include "modules/base/test_suite.h"
#include "server/transfer/test_import_server.h"

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
    TCase *cases = test_suite_case(suite, "all", setup, teardown);

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
    return test_suite_run(suite);
}
