/* Frames whose checksums are right, but which no server has written or would do again. */
#include "modules/base/os.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"
#include "modules/io/io.h"
#include "modules/journal/format.h"
#include "modules/journal/journal.h"
#include "server/check/check.h"
#include "server/durability/log_frame.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    char directory[64], path[96];
    struct io *io;
    struct journal *journal;
    uint64_t next_ms;
    char *text; /* of the check */
    size_t text_size;
    struct check check;
} fixture;

static void set_up(void)
{
    struct journal_options options = { .path = fixture.path,
                                       .settings.roll_bytes = JOURNAL_ROLL_BYTES_MIN };
    struct journal_report report;

    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "checklog");
    (void)snprintf(fixture.path, sizeof(fixture.path), "%s/log", fixture.directory);
    ck_assert_int_eq(io_create(os_real(), 0, &fixture.io), 0);
    ck_assert_int_eq(journal_open(os_real(), fixture.io, &options, &report, &fixture.journal), 0);
    fixture.next_ms = 1000;
}

static void tear_down(void)
{
    check_finish(&fixture.check);
    free(fixture.text);
    io_destroy(fixture.io);
    ck_assert_int_eq(journal_remove(os_real(), fixture.path), 0);
    ck_assert_int_eq(os_real()->rmdir(os_real(), fixture.directory), 0);
}

/* A frame; where it begins. */
static uint64_t append(struct slice payload)
{
    uint64_t position;
    int rc;

    fixture.next_ms++;
    while ((rc = journal_append(fixture.journal, fixture.next_ms, 0, &payload, 1, &position)) ==
           -EAGAIN)
        ck_assert_int_eq(journal_wait(fixture.journal), 0);
    ck_assert_int_eq(rc, 0);
    return position;
}

/* A frame that says that it has count commands, which are text. */
static uint64_t append_commands(uint32_t count, const char *text)
{
    uint8_t bytes[1024];
    struct slice commands = slice_of_string(text);

    log_frame_header(bytes, 0, count);
    memcpy(bytes + LOG_FRAME_HEADER_BYTES, commands.bytes, commands.size);
    return append(slice_of(bytes, LOG_FRAME_HEADER_BYTES + commands.size));
}

static const char *judge(void *context, const struct slice *arguments, uint32_t count)
{
    (void)context;
    (void)count;
    return slice_is(arguments[0], "SET") ? NULL : "is not to my taste";
}

/* What is said of the log when the journal is closed. */
static const char *check_from(uint64_t position)
{
    if (fixture.journal) ck_assert_int_eq(journal_close(fixture.journal), 0);
    fixture.journal = NULL;
    check_finish(&fixture.check);
    free(fixture.text);
    fixture.check = (struct check){ .directory = fixture.directory,
                                    .judge = judge,
                                    .knows_position = true,
                                    .log_position = position };
    fixture.check.out = open_memstream(&fixture.text, &fixture.text_size);
    ck_assert_ptr_nonnull(fixture.check.out);
    ck_assert_int_eq(check_log(&fixture.check), 0);
    ck_assert_int_eq(fclose(fixture.check.out), 0);
    return fixture.text;
}

static void expect_words(const char *text, const char *words)
{
    if (!strstr(text, words)) ck_abort_msg("'%s' is not in:\n%s", words, text);
}

static void expect_damage(unsigned count)
{
    ck_assert_msg(fixture.check.damage_count == count && fixture.check.error_count == 0,
                  "%u lines of damage, not %u:\n%s", fixture.check.damage_count, count,
                  fixture.text);
}

static const char set[] = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n";
static const char get[] = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n";

START_TEST(what_a_server_wrote_is_whole)
{
    uint64_t second;

    (void)append_commands(1, set);
    second = append_commands(1, set);
    expect_words(check_from(0), "log: 2 frames with 2 commands are whole, up to 0000000001.log");
    expect_words(fixture.text, "; 2 with 2 are done again behind the checkpoint\n");
    expect_words(check_from(second), "; 1 with 1 are done again behind the checkpoint\n");
    expect_damage(0);
}
END_TEST

START_TEST(frames_that_do_not_hold_commands_are_told)
{
    static const char *const payloads[] = { "no commands", "\1\0\0\0", "" };

    (void)append_commands(1, set);
    for (unsigned i = 0; i < 3; i++)
        (void)append(slice_of(payloads[i], i == 1 ? 4 : strlen(payloads[i])));
    (void)append_commands(2, set); /* and there is one */
    (void)append_commands(0, set);
    (void)append_commands(1, "*1\r\n$5\r\nSE");
    expect_words(check_from(0), "/log/0000000001.log offset ");
    expect_words(fixture.text, "is of a kind that another version writes\n");
    expect_words(fixture.text, "does not hold the commands that it says\n");
    expect_damage(6);
}
END_TEST

START_TEST(commands_that_no_server_does_again_are_told)
{
    (void)append_commands(1, set);
    (void)append_commands(1, get);
    (void)append_commands(1, set);
    expect_words(check_from(0), "log: 3 frames with 3 commands are whole");
    expect_words(fixture.text, "DAMAGE log: the frame at ");
    expect_words(fixture.text, " is not to my taste\n");
    expect_damage(1);
}
END_TEST

START_TEST(a_position_where_no_frame_begins_is_told)
{
    uint64_t position = append_commands(1, set);

    (void)append_commands(1, set);
    expect_words(check_from(position + 8), "log: the checkpoint goes on at ");
    expect_words(fixture.text, ", where no frame begins\n");
    expect_damage(1);
}
END_TEST

START_TEST(a_log_without_its_beginning_is_told)
{
    char path[128];
    uint64_t position;

    do
        position = append_commands(1, set);
    while (journal_segment_of(position) < 3);
    ck_assert(!strstr(check_from(0), "DAMAGE"));
    (void)snprintf(path, sizeof(path), "%s/0000000001.log", fixture.path);
    ck_assert_int_eq(os_real()->unlink(os_real(), path), 0);
    expect_words(check_from(0), "begins with segment 2: what it goes on from, a checkpoint or ");
    expect_damage(1);
    (void)check_from(position); /* a checkpoint may go on from here */
    expect_damage(0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check of a log");
    TCase *cases = test_suite_case(suite, "all", set_up, tear_down);

    tcase_add_test(cases, what_a_server_wrote_is_whole);
    tcase_add_test(cases, frames_that_do_not_hold_commands_are_told);
    tcase_add_test(cases, commands_that_no_server_does_again_are_told);
    tcase_add_test(cases, a_position_where_no_frame_begins_is_told);
    tcase_add_test(cases, a_log_without_its_beginning_is_told);
    return test_suite_run(suite);
}
