/* Streams come back entry by entry, with their groups, whatever version wrote them. */
#include "modules/base/test_suite.h"
#include "modules/rdb/test_stream_fixture.h"

static char expected[TOLD_BYTES_MAX];
static uint8_t long_bytes[200000];

static void setup(void)
{
    for (size_t i = 0; i < sizeof(long_bytes); i++)
        long_bytes[i] = (uint8_t)(i * 7 + i / 251);
    reading = telling;
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

static const struct {
    enum rdb_type type;
    const char *state, *times, *rest;
} versions[] = {
    { TYPE_STREAM, "[2 last 2-0 deleted 0-0 added 2] group group 1-2 read -1", "", "" },
    { TYPE_STREAM_2, "[2 last 2-0 deleted 1-2 added 3] group group 1-2 read 2", "", "" },
    { TYPE_STREAM_3, "[2 last 2-0 deleted 1-2 added 3] group group 1-2 read 2",
      " active 1700000000200", "" },
    { TYPE_STREAM_4, "[2 last 2-0 deleted 1-2 added 3] group group 1-2 read 2",
      " active 1700000000200", " producers 100 50 p:a=1-1 p:b=2-0" },
    { TYPE_STREAM_5, "[2 last 2-0 deleted 1-2 added 3] group group 1-2 read 2",
      " active 1700000000200",
      " unowned 1-3 at 1700000000002 times 70 producers 100 50 p:a=1-1 p:b=2-0" },
};

enum { VERSIONS = sizeof(versions) / sizeof(versions[0]) };

START_TEST(a_stream_of_every_version)
{
    begin_stream(versions[_i].type);
    put_stream(versions[_i].type);
    put_key(TYPE_STRING, "behind");
    put_string("it");
    end_file();
    (void)snprintf(expected, sizeof(expected),
                   "0 s stream 1-1 (4) \"f\" \"v\" \"12\" \"w\" 2-0 \"name\" \"value\" %s"
                   " consumer one seen 1700000000100%s"
                   " pending 1-1 at 1700000000000 times 3 pending 1-2 at 1700000000001 times 1"
                   " consumer two seen 1700000000100%s%s\n0 behind string \"it\"\n",
                   versions[_i].state, versions[_i].times, versions[_i].times, versions[_i].rest);
    expect_made(expected);
}
END_TEST

START_TEST(who_wants_no_stream_gets_past_it)
{
    begin_stream(versions[_i].type);
    put_stream(versions[_i].type);
    put_key(TYPE_STRING, "behind");
    put_string("it");
    end_file();
    told.wants_nothing = true;
    (void)read_made();
    told.wants_nothing = false;
    ck_assert_str_eq(told.error, "");
    ck_assert_str_eq(told.text, "0 s stream\n0 behind string\n");
    reading.stream = (struct rdb_stream_visitor){ 0 };
    expect_made("0 s stream\n0 behind string \"it\"\n");
}
END_TEST

START_TEST(an_empty_stream_keeps_its_last_id)
{
    begin_stream(TYPE_STREAM_2);
    put_length(0);
    end_stream(TYPE_STREAM_2, 0, 5, 6);
    expect_made("0 s stream [0 last 5-6 deleted 1-2 added 1]\n");
}
END_TEST

START_TEST(ids_count_from_their_nodes_first)
{
    begin_stream(TYPE_STREAM_2);
    put_length(2);
    begin_node(5, 100, 4, 0, one_name);
    pack_same(false, 5, 100, one_value);
    pack_same(false, 6, 0, one_value); /* a smaller seq: the difference is negative */
    pack_same(false, 1700000000000, 5, one_value);
    pack_same(false, 1700000000000, UINT64_MAX, one_value);
    put_node();
    begin_node(UINT64_MAX, 0, 2, 0, one_name);
    pack_same(false, UINT64_MAX, 1, one_value);
    pack_same(false, UINT64_MAX, UINT64_MAX, one_value);
    put_node();
    end_stream(TYPE_STREAM_2, 6, UINT64_MAX, UINT64_MAX);
    expect_made("0 s stream 5-100 \"f\" \"v\" 6-0 \"f\" \"v\" 1700000000000-5 \"f\" \"v\""
                " 1700000000000-18446744073709551615 \"f\" \"v\""
                " 18446744073709551615-1 \"f\" \"v\""
                " 18446744073709551615-18446744073709551615 \"f\" \"v\""
                " [6 last 18446744073709551615-18446744073709551615 deleted 1-2 added 7]\n");
}
END_TEST

static const size_t sizes[] = { 0, 1, 4095, 4096, 65535, 65536, 65537, 150000 };

/* The name as the master's, the value twice: with the master's name and with its own. */
START_TEST(names_and_values_of_every_length)
{
    size_t size = sizes[_i];
    char shown[100];

    begin_stream(TYPE_STREAM_2);
    put_length(1);
    node.ms = node.seq = 1;
    begin_listpack();
    pack_integer(2);
    pack_integer(0);
    pack_integer(2);
    listpack_text(long_bytes, size);
    pack_text("");
    pack_integer(0);
    pack_head(2, 1, 1);
    listpack_text(long_bytes, size);
    pack_text("x");
    pack_integer(5);
    pack_head(0, 1, 2);
    pack_integer(1);
    listpack_text(long_bytes, size);
    listpack_text(long_bytes, size);
    pack_integer(6);
    put_node();
    end_stream(TYPE_STREAM_2, 2, 1, 2);
    if (size <= SHOWN_BYTES)
        (void)snprintf(shown, sizeof(shown), "\"%.*s\"", (int)size, (const char *)long_bytes);
    else
        tell_long(shown, sizeof(shown), long_bytes, size);
    (void)snprintf(expected, sizeof(expected),
                   "0 s stream 1-1 (4) %s %s \"\" \"x\" 1-2 %s %s"
                   " [2 last 1-2 deleted 1-2 added 3]\n",
                   shown, shown, shown, shown);
    expect_made(expected);
}
END_TEST

START_TEST(a_compressed_node)
{
    begin_stream(TYPE_STREAM_3);
    put_length(1);
    begin_node(1, 0, 500, 0, one_name);
    for (uint64_t i = 0; i < 500; i++)
        pack_same(false, 1, i + 1, one_value);
    end_listpack();
    put_length(16);
    put_raw_id(node.ms, node.seq);
    put_lzf(packed.bytes, packed.size);
    end_stream(TYPE_STREAM_3, 500, 1, 500);
    (void)read_made();
    ck_assert_str_eq(told.error, "");
    ck_assert_ptr_nonnull(strstr(told.text, " 1-500 \"f\" \"v\" [500 last 1-500"));
}
END_TEST

/* What Redis 7.0 makes of a file of before: XINFO GROUPS tells it. */
START_TEST(what_a_group_has_read_is_told_where_it_can_be)
{
    static const struct {
        uint64_t ms;
        const char *read;
    } rows[] = { { 0, "0" }, { 2, "1" }, { 3, "-1" }, { 4, "2" }, { 5, "-1" } };

    begin_stream(TYPE_STREAM);
    put_length(1);
    begin_node(2, 0, 2, 0, one_name);
    pack_same(false, 2, 0, one_value);
    pack_same(false, 4, 0, one_value);
    put_node();
    put_state(TYPE_STREAM, 2, 4, 0);
    put_length(1);
    put_group(TYPE_STREAM, "g", rows[_i].ms, 0, 0);
    put_length(0);
    put_length(0);
    end_file();
    (void)snprintf(expected, sizeof(expected),
                   "0 s stream 2-0 \"f\" \"v\" 4-0 \"f\" \"v\" [2 last 4-0 deleted 0-0 added 2]"
                   " group g %llu-0 read %s\n",
                   (unsigned long long)rows[_i].ms, rows[_i].read);
    expect_made(expected);
}
END_TEST

START_TEST(what_is_not_known_to_have_been_read_stays_unknown)
{
    begin_stream(TYPE_STREAM_2);
    put_length(0);
    put_state(TYPE_STREAM_2, 0, 4, 0);
    put_length(1);
    put_group(TYPE_STREAM_2, "g", 1, 0, UINT64_MAX); /* SCG_INVALID_ENTRIES_READ */
    put_length(0);
    put_length(0);
    end_file();
    expect_made("0 s stream [0 last 4-0 deleted 1-2 added 1] group g 1-0 read -1\n");
}
END_TEST

/* ---- limits ------------------------------------------------------------------------------------
 */

START_TEST(names_that_are_too_long_are_told_and_passed_over)
{
    const enum rdb_type type = TYPE_STREAM_4;

    reading.name_bytes_max = 5;
    begin_stream(type);
    put_length(1);
    begin_node(1, 1, 2, 0, (const char *const[]){ "abc", "def", NULL }); /* 6 in all */
    pack_same(false, 1, 1, (const char *const[]){ "v", "w", NULL });
    pack_own(false, 1, 2, (const char *const[]){ "its own", "value", NULL });
    put_node();
    put_state(type, 2, 1, 2);
    put_length(2);
    put_group(type, "long group", 0, 0, 0);
    put_length(1);
    put_pending(1, 1, 5, 1);
    put_length(1);
    put_consumer(type, "c", 1);
    put_raw_id(1, 1);
    put_group(type, "group", 0, 0, 0);
    put_length(1);
    put_pending(1, 1, 5, 1);
    put_length(2);
    put_consumer(type, "long consumer", 1);
    put_raw_id(1, 1);
    put_consumer(type, "two", 0);
    put_length(1); /* producers */
    put_length(2);
    put_length(2);
    put_string("long producer");
    put_length(1);
    put_string("i");
    put_id(1, 1);
    put_string("p");
    put_length(2);
    put_string("long id");
    put_id(1, 1);
    put_string("i");
    put_id(1, 2);
    put_length(0);
    put_length(0);
    put_key(TYPE_STRING, "next");
    put_string("1");
    end_file();
    expect_made("0 s streaminside s=\n 1-2 \"its own\" \"value\" [2 last 1-2 deleted 1-2 added 3]"
                "inside s=\n group group 0-0 read 0inside s=\n"
                " consumer two seen 1700000000100 active 1700000000200"
                " producers 1 2inside s=\ninside s=\n p:i=1-2\n0 next string \"1\"\n");
}
END_TEST

START_TEST(too_many_pending_entries_are_told_and_passed_over)
{
    const enum rdb_type type = TYPE_STREAM_2;

    reading.pending_bytes_max = 2 * sizeof(struct rdb_pending);
    begin_stream(type);
    put_length(0);
    put_state(type, 0, 9, 9);
    put_length(2);
    for (uint64_t group = 0; group < 2; group++) {
        put_group(type, group == 0 ? "many" : "few", 0, 0, 0);
        put_length(3 - group);
        for (uint64_t i = 0; i < 3 - group; i++)
            put_pending(1, i, 5, 1);
        put_length(1);
        put_consumer(type, "c", 1);
        put_raw_id(1, 0);
    }
    end_file();
    expect_made("0 s stream [0 last 9-9 deleted 1-2 added 1] group many 0-0 read 0pending many=\n"
                " consumer c seen 1700000000100 group few 0-0 read 0"
                " consumer c seen 1700000000100 pending 1-0 at 5 times 1\n");
}
END_TEST

/* Many: each search must find its own. */
START_TEST(each_pending_entry_finds_its_consumer)
{
    enum { COUNT = 300 };
    const enum rdb_type type = TYPE_STREAM_2;
    size_t used = 0;

    begin_stream(type);
    put_length(0);
    put_state(type, 0, 9, 9);
    put_length(1);
    put_group(type, "g", 0, 0, 0);
    put_length(COUNT);
    for (uint64_t i = 0; i < COUNT; i++)
        put_pending(i / 7 + 1, i, i, i);
    put_length(3);
    used += (size_t)snprintf(expected, sizeof(expected),
                             "0 s stream [0 last 9-9 deleted 1-2 added 1] group g 0-0 read 0");
    for (uint64_t consumer = 0; consumer < 3; consumer++) {
        put_consumer(type, "c", COUNT / 3);
        used += (size_t)snprintf(expected + used, sizeof(expected) - used,
                                 " consumer c seen 1700000000100");
        for (uint64_t i = consumer; i < COUNT; i += 3) {
            put_raw_id(i / 7 + 1, i);
            used += (size_t)snprintf(expected + used, sizeof(expected) - used,
                                     " pending %llu-%llu at %llu times %llu",
                                     (unsigned long long)i / 7 + 1, (unsigned long long)i,
                                     (unsigned long long)i, (unsigned long long)i);
        }
    }
    end_file();
    (void)snprintf(expected + used, sizeof(expected) - used, "\n");
    expect_made(expected);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream encodings");
    TCase *cases = test_suite_case(suite, "streams", setup, NULL);
    TCase *limits = test_suite_case(suite, "limits", setup, NULL);

    tcase_add_loop_test(cases, a_stream_of_every_version, 0, VERSIONS);
    tcase_add_loop_test(cases, who_wants_no_stream_gets_past_it, 0, VERSIONS);
    tcase_add_test(cases, an_empty_stream_keeps_its_last_id);
    tcase_add_test(cases, ids_count_from_their_nodes_first);
    tcase_add_loop_test(cases, names_and_values_of_every_length, 0,
                        sizeof(sizes) / sizeof(sizes[0]));
    tcase_add_test(cases, a_compressed_node);
    tcase_add_loop_test(cases, what_a_group_has_read_is_told_where_it_can_be, 0, 5);
    tcase_add_test(cases, what_is_not_known_to_have_been_read_stays_unknown);
    tcase_add_test(limits, names_that_are_too_long_are_told_and_passed_over);
    tcase_add_test(limits, too_many_pending_entries_are_told_and_passed_over);
    tcase_add_test(limits, each_pending_entry_finds_its_consumer);
    return test_suite_run(suite);
}
