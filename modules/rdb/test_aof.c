/* The commands of an append-only file, whole or torn, and the manifest of one in parts. */
#include "modules/base/test_suite.h"
#include "modules/rdb/aof.h"
#include "modules/rdb/manifest.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOLD_BYTES_MAX = 1 << 16 };

static struct {
    char text[TOLD_BYTES_MAX];
    size_t size;
    struct aof_end end;
    char error[RDB_ERROR_BYTES];
} told;

/* "[SET] [k] [v];" */
static int tell_command(void *context, struct slice *arguments, uint32_t argument_count)
{
    const int *stop_after = context;

    for (uint32_t i = 0; i < argument_count; i++)
        told.size += (size_t)snprintf(told.text + told.size, TOLD_BYTES_MAX - told.size, "[%.*s]",
                                      (int)arguments[i].size, (const char *)arguments[i].bytes);
    told.size += (size_t)snprintf(told.text + told.size, TOLD_BYTES_MAX - told.size, ";");
    return stop_after && *stop_after == (int)arguments[0].size ? -ECANCELED : 1;
}

static int read_text(const char *text, size_t size, int *stop_after)
{
    static const struct aof_visitor visitor = { .command = tell_command };
    struct rdb_input input;
    char *copy = malloc(size + 1); /* so that ASan sees a step beyond it */
    int rc;

    memcpy(copy, text, size);
    told.size = 0;
    told.text[0] = '\0';
    memset(&told.end, 0, sizeof(told.end));
    rdb_input_of_bytes(slice_of(copy, size), &input);
    rc = aof_read(&input, &visitor, stop_after, &told.end);
    strcpy(told.error, rdb_input_error(&input));
    ck_assert_uint_le(input.position, size);
    rdb_input_close(&input);
    free(copy);
    return rc;
}

static void expect_commands(const char *text, const char *commands)
{
    ck_assert_int_eq(read_text(text, strlen(text), NULL), 0);
    ck_assert_str_eq(told.text, commands);
    ck_assert(!told.end.is_torn);
    ck_assert_uint_eq(told.end.position, strlen(text));
}

static void expect_refused(const char *text, const char *words)
{
    ck_assert_int_eq(read_text(text, strlen(text), NULL), -EBADMSG);
    if (!strstr(told.error, words)) ck_abort_msg("'%s' is not in '%s'", words, told.error);
}

#define SELECT "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
#define SET    "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nb\r\r\n"
#define MULTI  "*1\r\n$5\r\nMULTI\r\n"
#define EXEC   "*1\r\n$4\r\nexec\r\n"

START_TEST(commands_come_in_order)
{
    expect_commands(SELECT SET, "[SELECT][0];[SET][k][a\r\nb\r];");
    ck_assert_uint_eq(told.end.command_count, 2);
    expect_commands("", "");
}
END_TEST

START_TEST(empty_and_many_arguments_are_arguments)
{
    char text[40000] = "*1000\r\n";
    size_t commas = 0;

    expect_commands("*2\r\n$0\r\n\r\n$1\r\nx\r\n", "[][x];");
    for (int i = 0; i < 1000; i++)
        strcat(text, "$5\r\nhello\r\n");
    ck_assert_int_eq(read_text(text, strlen(text), NULL), 0);
    for (size_t i = 0; i < told.size; i++)
        commas += told.text[i] == '[';
    ck_assert_uint_eq(commas, 1000);
    ck_assert_uint_eq(told.end.command_count, 1);
}
END_TEST

START_TEST(annotations_are_passed_over)
{
    expect_commands("#TS:1700000000\r\n" SET "#anything\n" SELECT,
                    "[SET][k][a\r\nb\r];[SELECT][0];");
    ck_assert_uint_eq(told.end.command_count, 2);
}
END_TEST

START_TEST(a_file_cut_anywhere_counts_up_to_its_last_whole_command)
{
    static const char text[] = "#TS:17\r\n" SELECT SET SET "*1\r\n$4\r\nPING\r\n";
    size_t ends[8] = { 0 }, count = 1;

    ends[count++] = 8;
    ends[count++] = 8 + strlen(SELECT);
    ends[count++] = 8 + strlen(SELECT SET);
    ends[count++] = 8 + strlen(SELECT SET SET);
    ends[count++] = strlen(text);
    for (size_t size = 0; size <= strlen(text); size++) {
        size_t end = 0;
        for (size_t i = 0; i < count; i++)
            if (ends[i] <= size) end = ends[i];
        ck_assert_int_eq(read_text(text, size, NULL), 0);
        ck_assert_uint_eq(told.end.position, end);
        ck_assert_int_eq(told.end.is_torn, end != size);
    }
}
END_TEST

/* Nothing of a transaction counts when its EXEC is missing. */
START_TEST(an_open_transaction_is_torn_from_its_begin)
{
    static const char text[] = SELECT MULTI SET SET EXEC SET;
    size_t begin = strlen(SELECT), end = strlen(SELECT MULTI SET SET EXEC);

    for (size_t size = begin + 1; size < end; size++) {
        ck_assert_int_eq(read_text(text, size, NULL), 0);
        ck_assert_uint_eq(told.end.position, begin);
        ck_assert(told.end.is_torn);
    }
    ck_assert_int_eq(read_text(text, end, NULL), 0);
    ck_assert_uint_eq(told.end.position, end);
    ck_assert(!told.end.is_torn);
    expect_commands(text, "[SELECT][0];[MULTI];[SET][k][a\r\nb\r];[SET][k][a\r\nb\r];[exec];"
                          "[SET][k][a\r\nb\r];");
}
END_TEST

START_TEST(what_is_no_command_is_refused_with_its_place)
{
    expect_refused(SET "x", "at byte 31: no command begins here (byte 0x78");
    expect_refused(SET "PING\r\n", "no command begins here");
    expect_refused("*x\r\n", "no number");
    expect_refused("*-1\r\n", "no number");
    expect_refused("*1\n", "no number");
    expect_refused("*0\r\n", "a command of 0 arguments");
    expect_refused("*99999999999\r\n", "a command of 99999999999 arguments");
    expect_refused("*1\r\n:1\r\n", "byte 0x3a stands where a command has 0x24");
    expect_refused("*1\r\n$1\r\nabc\r\n", "byte 0x62 stands where a command has 0x0d");
    expect_refused("*1\r\n$00000000000000000000000000000000000000000000000000000000000000000000001"
                   "\r\na\r\n",
                   "no number");
}
END_TEST

/* The file's end decides, not what the length claims: a torn file, and no memory for it. */
START_TEST(a_length_beyond_the_file_is_torn)
{
    const char *text = SET "*2\r\n$18446744073709551615\r\nabc";

    ck_assert_int_eq(read_text(text, strlen(text), NULL), 0);
    ck_assert(told.end.is_torn);
    ck_assert_uint_eq(told.end.position, strlen(SET));
    text = SET "*4000000000\r\n$1\r\na\r\n";
    ck_assert_int_eq(read_text(text, strlen(text), NULL), -EBADMSG);
    text = SET "*100000000\r\n$1\r\na\r\n";
    ck_assert_int_eq(read_text(text, strlen(text), NULL), 0);
    ck_assert(told.end.is_torn);
}
END_TEST

START_TEST(an_annotation_that_does_not_end_is_refused)
{
    static char text[5000];

    memset(text, 'x', sizeof(text) - 1);
    text[0] = '#';
    expect_refused(text, "annotation does not end");
    text[100] = '\0';
    ck_assert_int_eq(read_text(text, strlen(text), NULL), 0);
    ck_assert(told.end.is_torn);
}
END_TEST

START_TEST(a_visitor_can_stop)
{
    int stop_at_select = 6;

    ck_assert_int_eq(read_text(SET SELECT SET, strlen(SET SELECT SET), &stop_at_select),
                     -ECANCELED);
    ck_assert_str_eq(told.text, "[SET][k][a\r\nb\r];[SELECT][0];");
}
END_TEST

static int tell_long_command(void *context, struct slice name)
{
    (void)context;
    told.size += (size_t)snprintf(told.text + told.size, TOLD_BYTES_MAX - told.size, "(%.*s);",
                                  (int)name.size, (const char *)name.bytes);
    return 0;
}

START_TEST(long_commands_are_passed_over_by_name)
{
    static const struct aof_visitor visitor = { .command = tell_command,
                                                .command_bytes_max = 50,
                                                .long_command = tell_long_command };
    static char text[8000] = SET "*2\r\n$3\r\nDEL\r\n$40\r\n";
    struct rdb_input input;

    memset(text + strlen(text), 'x', 40);
    strcat(text, "\r\n" SELECT "*1\r\n$5000\r\n");
    memset(text + strlen(text), 'y', 5000);
    strcat(text, "\r\n" SELECT);
    told.size = 0;
    rdb_input_of_bytes(slice_of(text, strlen(text)), &input);
    ck_assert_int_eq(aof_read(&input, &visitor, NULL, &told.end), 0);
    ck_assert_str_eq(told.text, "[SET][k][a\r\nb\r];(DEL);[SELECT][0];();[SELECT][0];");
    ck_assert_uint_eq(told.end.command_count, 5);
    ck_assert(!told.end.is_torn);
}
END_TEST

/* Any byte changed: read, torn, or refused, and nothing else. */
START_TEST(changed_bytes_do_no_harm)
{
    char text[] = SELECT MULTI SET EXEC "#TS:17\r\n" SET;

    for (size_t i = 0; i < strlen(text); i++) {
        char was = text[i];
        for (int value = 1; value < 256; value++) {
            text[i] = (char)value;
            ck_assert_int_eq(read_text(text, sizeof(text) - 1, NULL), told.error[0] ? -EBADMSG : 0);
        }
        text[i] = was;
    }
}
END_TEST

/* ---- the manifest ------------------------------------------------------------------------------
 */

static const struct {
    const char *text;
    const char *names; /* NULL: refused */
    const char *error;
} manifests[] = {
    { "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n",
      "appendonly.aof.1.base.rdb appendonly.aof.1.incr.aof ", NULL },
    { "file a seq 1 type i\nfile b seq 2 type i\nfile old seq 1 type h", "a b ", NULL },
    { "# a comment\n\nfile \"with space\" seq 1 type b startoffset 17\r\n", "with space ", NULL },
    { "type b seq 1 file a\n", "a ", NULL },
    { "", NULL, "no file was named" },
    { "file a seq 1 type h\n", NULL, "no file was named" },
    { "file a seq 1 type b\nfile b seq 2 type b\n", NULL, "line 2 of the manifest: a base" },
    { "file a seq 1 type i\nfile b seq 1 type b\n", NULL, "a base" },
    { "file a seq 2 type i\nfile b seq 1 type i\n", NULL, "rising numbers" },
    { "file a seq 1\n", NULL, "has no file, seq and type" },
    { "file a seq x type b\n", NULL, "has no file, seq and type" },
    { "file a seq 1 type b more\n", NULL, "has no file, seq and type" },
    { "seq 1 type b\n", NULL, "no plain name" },
    { "file ../a seq 1 type b\n", NULL, "no plain name" },
    { "file /etc/passwd seq 1 type b\n", NULL, "no plain name" },
    { "file .. seq 1 type b\n", NULL, "no plain name" },
    { "file \"\" seq 1 type b\n", NULL, "no plain name" },
    { "file \"a\\x00b\" seq 1 type b\n", NULL, "no plain name" },
    { "file \"a seq 1 type b\n", NULL, "words" },
    { "file a seq 1 type z\n", NULL, "its type" },
};

START_TEST(a_manifest_names_the_files_in_their_order)
{
    char error[MANIFEST_ERROR_BYTES], names[200] = "";
    struct manifest manifest = { 0 };
    size_t size = strlen(manifests[_i].text);
    char *copy = malloc(size + 1);
    int rc;

    memcpy(copy, manifests[_i].text, size);
    rc = manifest_parse(slice_of(copy, size), &manifest, error);
    free(copy);
    for (unsigned i = 0; i < manifest.count; i++) {
        strcat(names, manifest.names[i]);
        strcat(names, " ");
    }
    if (manifests[_i].names) {
        ck_assert_int_eq(rc, 0);
        ck_assert_str_eq(names, manifests[_i].names);
    } else {
        ck_assert_int_eq(rc, -EBADMSG);
        if (!strstr(error, manifests[_i].error)) ck_abort_msg("%s", error);
    }
    manifest_finish(&manifest);
}
END_TEST

START_TEST(a_line_of_a_manifest_has_an_end)
{
    static char text[3000];
    char error[MANIFEST_ERROR_BYTES];
    struct manifest manifest;

    memset(text, 'x', sizeof(text));
    ck_assert_int_eq(manifest_parse(slice_of(text, sizeof(text)), &manifest, error), -EBADMSG);
    ck_assert_ptr_nonnull(strstr(error, "too long"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("aof");
    TCase *cases = test_suite_case(suite, "commands", NULL, NULL);
    TCase *files = test_suite_case(suite, "manifest", NULL, NULL);

    tcase_add_test(cases, commands_come_in_order);
    tcase_add_test(cases, empty_and_many_arguments_are_arguments);
    tcase_add_test(cases, annotations_are_passed_over);
    tcase_add_test(cases, a_file_cut_anywhere_counts_up_to_its_last_whole_command);
    tcase_add_test(cases, an_open_transaction_is_torn_from_its_begin);
    tcase_add_test(cases, what_is_no_command_is_refused_with_its_place);
    tcase_add_test(cases, a_length_beyond_the_file_is_torn);
    tcase_add_test(cases, an_annotation_that_does_not_end_is_refused);
    tcase_add_test(cases, a_visitor_can_stop);
    tcase_add_test(cases, long_commands_are_passed_over_by_name);
    tcase_add_test(cases, changed_bytes_do_no_harm);
    tcase_add_loop_test(files, a_manifest_names_the_files_in_their_order, 0,
                        sizeof(manifests) / sizeof(manifests[0]));
    tcase_add_test(files, a_line_of_a_manifest_has_an_end);
    return test_suite_run(suite);
}
