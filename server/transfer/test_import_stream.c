/* Streams of RDB files, as the commands that make them again. */
#include "modules/base/test_suite.h"
#include "modules/rdb/test_stream_fixture.h"
#include "server/transfer/test_import_server.h"

static const struct import_summary *import_made(bool is_empty, bool replaces)
{
    write_bytes(made.bytes, made.size);
    start(is_empty, replaces);
    return serve();
}

#define ENTRIES                                                                                    \
    "XADD s 1-1 f v 12 w;XADD s 2-0 name value;"                                                   \
    "XSETID s 2-0 ENTRIESADDED %s MAXDELETEDID %s;"                                                \
    "XGROUP CREATE s group 1-2%s;XGROUP CREATECONSUMER s group one;"                               \
    "XCLAIM s group one 0 1-1 TIME 1700000000000 RETRYCOUNT 3 JUSTID FORCE;"                       \
    "XCLAIM s group one 0 1-2 TIME 1700000000001 RETRYCOUNT 1 JUSTID FORCE;"                       \
    "XGROUP CREATECONSUMER s group two;%s"
#define RELEASED "XNACK s group FAIL IDS 1 1-3 RETRYCOUNT 70 FORCE;"
#define PRODUCERS                                                                                  \
    "XCFGSET s IDMP-DURATION 100 IDMP-MAXSIZE 50;XIDMPRECORD s p a 1-1;XIDMPRECORD s p b 2-0;"

START_TEST(a_stream_becomes_commands)
{
    static const struct {
        enum rdb_type type;
        const char *added, *deleted, *read, *rest;
    } rows[] = {
        { TYPE_STREAM, "2", "0-0", "", "" },
        { TYPE_STREAM_3, "3", "1-2", " ENTRIESREAD 2", "" },
        { TYPE_STREAM_4, "3", "1-2", " ENTRIESREAD 2", PRODUCERS },
        { TYPE_STREAM_5, "3", "1-2", " ENTRIESREAD 2", RELEASED PRODUCERS },
    };
    const struct import_summary *summary;
    char expected[2000];

    begin_stream(rows[_i].type);
    put_stream(rows[_i].type);
    end_file();
    summary = import_made(true, false);
    ck_assert_int_eq(summary->rc, 0);
    (void)snprintf(expected, sizeof(expected), "SELECT 0;EXISTS s;" ENTRIES, rows[_i].added,
                   rows[_i].deleted, rows[_i].read, rows[_i].rest);
    ck_assert_str_eq(fixture.commands, expected);
    ck_assert_uint_eq(summary->streams, 1);
    ck_assert_uint_eq(summary->entries, 2);
    ck_assert_uint_eq(summary->groups, 1);
}
END_TEST

static void put_empty(uint64_t last_ms, uint64_t last_seq)
{
    put_length(0);
    put_state(TYPE_STREAM, 0, last_ms, last_seq);
    put_length(0);
    end_file();
}

START_TEST(a_stream_without_entries_is_made_all_the_same)
{
    begin_file("0014");
    put_byte(OPCODE_EXPIRY_MS);
    put_number(33000000000000, 8);
    put_key(TYPE_STREAM, "s");
    put_empty(5, 7);
    (void)import_made(true, true);
    ck_assert_str_eq(fixture.commands,
                     "SELECT 0;DEL s;XADD s MAXLEN 0 5-7 x y;"
                     "XSETID s 5-7 ENTRIESADDED 0 MAXDELETEDID 0-0;PEXPIREAT s 33000000000000;");
}
END_TEST

START_TEST(a_stream_that_never_had_an_entry_is_made_all_the_same)
{
    begin_stream(TYPE_STREAM);
    put_empty(0, 0);
    (void)import_made(true, true);
    ck_assert_str_eq(fixture.commands, "SELECT 0;DEL s;XADD s MAXLEN 0 0-1 x y;"
                                       "XSETID s 0-0 ENTRIESADDED 0 MAXDELETEDID 0-0;");
}
END_TEST

static const char *answer_there(unsigned nth, const char *command)
{
    (void)nth;
    return strcmp(command, "EXISTS") == 0 ? ":1\r\n" : "+OK\r\n";
}

START_TEST(a_stream_that_is_there_stays)
{
    const struct import_summary *summary;

    fixture.answer = answer_there;
    begin_stream(TYPE_STREAM_5);
    put_stream(TYPE_STREAM_5);
    end_file();
    summary = import_made(false, false);
    ck_assert_int_eq(summary->rc, 0);
    ck_assert_str_eq(fixture.commands, "SELECT 0;EXISTS s;");
    ck_assert_uint_eq(summary->existing, 1);
    ck_assert_uint_eq(summary->streams, 0);
}
END_TEST

/* The limits are 100 bytes of a value, 200 of a command. */
START_TEST(entries_that_are_too_long_are_left_out)
{
    static char long_value[102], half[91];
    const struct import_summary *summary;
    const char *const names[] = { "f", "g", NULL };

    memset(long_value, 'x', 101);
    memset(half, 'h', 90);
    begin_stream(TYPE_STREAM);
    put_length(1);
    begin_node(1, 1, 5, 0, names);
    pack_same(false, 1, 1, (const char *const[]){ long_value, "v", NULL });
    pack_same(false, 1, 2, (const char *const[]){ "v", long_value, NULL });
    pack_same(false, 1, 3, (const char *const[]){ "v", half, NULL });
    pack_own(false, 1, 4, (const char *const[]){ half, half, half, "v", NULL });
    pack_same(false, 1, 5, (const char *const[]){ "v", "w", NULL });
    put_node();
    put_state(TYPE_STREAM, 5, 1, 5);
    put_length(0);
    end_file();
    summary = import_made(true, true);
    ck_assert_int_eq(summary->rc, 0);
    ck_assert_uint_eq(summary->long_entries, 3);
    ck_assert_uint_eq(summary->entries, 2);
    ck_assert_ptr_nonnull(strstr(fixture.commands, "DEL s;XADD s 1-3 f v g hhh"));
    ck_assert_ptr_nonnull(strstr(fixture.commands, "hhh;XADD s 1-5 f v g w;XSETID s 1-5 "));
}
END_TEST

static void count_words(void *context, const char *what, uint64_t count)
{
    char *text = context;

    (void)snprintf(text + strlen(text), 200, "%s %u;", what, (unsigned)count);
}

START_TEST(what_is_left_out_of_a_stream_is_told)
{
    const struct import_summary *summary;
    static char long_name[102], told_reasons[1000];

    memset(long_name, 'n', 101);
    begin_stream(TYPE_STREAM);
    put_length(0);
    put_state(TYPE_STREAM, 0, 9, 9);
    put_length(2);
    put_group(TYPE_STREAM, long_name, 0, 0, 0);
    put_length(0);
    put_length(0);
    put_group(TYPE_STREAM, "many", 9, 9, 0);
    put_length(7); /* 32 bytes each */
    for (uint64_t i = 0; i < 7; i++)
        put_pending(1, i, 5, 1);
    put_length(1);
    put_consumer(TYPE_STREAM, "c", 1);
    put_raw_id(1, 3);
    end_file();
    summary = import_made(true, true);
    ck_assert_int_eq(summary->rc, 0);
    import_each_skipped(summary, count_words, told_reasons);
    ck_assert_str_eq(told_reasons, "too long names in streams 1;"
                                   "groups' pending entries, which were too many 1;");
    ck_assert_ptr_nonnull(strstr(fixture.commands, "XGROUP CREATE s many 9-9 ENTRIESREAD 0;"
                                                   "XGROUP CREATECONSUMER s many c;"));
}
END_TEST

/* Found by the first reading: nothing was sent. */
START_TEST(a_damaged_stream_is_refused_before_anything_is_sent)
{
    const struct import_summary *summary;

    begin_file("0014");
    put_key(TYPE_STRING, "a");
    put_string("1");
    put_key(TYPE_STREAM, "s");
    put_length(1);
    begin_node(1, 1, 2, 0, (const char *const[]){ "f", NULL });
    pack_same(false, 1, 1, (const char *const[]){ "v", NULL });
    put_node();
    put_state(TYPE_STREAM, 1, 1, 1);
    put_length(0);
    end_file();
    summary = import_made(true, true);
    ck_assert_int_eq(summary->rc, -EBADMSG);
    ck_assert_str_eq(fixture.commands, "");
    ck_assert_ptr_nonnull(strstr(summary->error, "another number of entries"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import of streams");
    TCase *cases = test_suite_case(suite, "all", setup, teardown);

    tcase_add_loop_test(cases, a_stream_becomes_commands, 0, 4);
    tcase_add_test(cases, a_stream_without_entries_is_made_all_the_same);
    tcase_add_test(cases, a_stream_that_never_had_an_entry_is_made_all_the_same);
    tcase_add_test(cases, a_stream_that_is_there_stays);
    tcase_add_test(cases, entries_that_are_too_long_are_left_out);
    tcase_add_test(cases, what_is_left_out_of_a_stream_is_told);
    tcase_add_test(cases, a_damaged_stream_is_refused_before_anything_is_sent);
    return test_suite_run(suite);
}
