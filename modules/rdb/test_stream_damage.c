/* Streams that are not as Redis writes them are refused, and it is said why. */
#include "modules/base/test_suite.h"
#include "modules/rdb/test_stream_fixture.h"

static const enum rdb_type types[] = { TYPE_STREAM, TYPE_STREAM_2, TYPE_STREAM_3, TYPE_STREAM_4,
                                       TYPE_STREAM_5 };
enum { VERSIONS = sizeof(types) / sizeof(types[0]) };

static void setup(void)
{
    reading = telling;
}

/* A stream whose one node is being packed, as it should be or not. */
static void begin_damaged(int64_t count, int64_t deleted)
{
    begin_stream(TYPE_STREAM_2);
    put_length(1);
    begin_node(1, 1, count, deleted, one_name);
}

static void expect_node_refused(const char *words)
{
    put_node();
    end_stream(TYPE_STREAM_2, 1, 9, 9);
    expect_refused(-EBADMSG, words);
}

START_TEST(counts_of_a_node_are_compared)
{
    begin_damaged(2, 0);
    pack_same(false, 1, 1, one_value);
    expect_node_refused("another number of entries");
    begin_damaged(1, 1);
    pack_same(false, 1, 1, one_value);
    expect_node_refused("another number of entries");
    begin_damaged(1, 0);
    pack_same(true, 1, 1, one_value);
    expect_node_refused("another number of entries");
    begin_damaged(0, 0);
    expect_node_refused("ends within an entry");
    begin_damaged(-1, 0);
    pack_same(false, 1, 1, one_value);
    expect_node_refused("negative number");
}
END_TEST

START_TEST(an_entry_is_what_it_says)
{
    begin_damaged(1, 0);
    pack_head(4, 1, 1);
    expect_node_refused("of no known kind");
    begin_damaged(1, 0);
    pack_head(2, 1, 1);
    pack_text("v");
    pack_integer(5);
    expect_node_refused("another number of elements");
    begin_damaged(1, 0);
    pack_head(0, 1, 1);
    pack_integer(0);
    expect_node_refused("has no fields");
    begin_damaged(1, 0);
    pack_head(0, 1, 1);
    pack_integer(-1);
    expect_node_refused("has no fields");
    begin_damaged(1, 0);
    pack_head(0, 1, 1);
    pack_integer(INT64_MAX);
    expect_node_refused("too many fields");
    begin_damaged(1, 0);
    pack_head(0, 1, 1);
    pack_integer(2);
    pack_text("only");
    pack_text("one");
    expect_node_refused("ends within an entry");
    begin_damaged(1, 0);
    pack_text("flags");
    expect_node_refused("where a number should be");
}
END_TEST

START_TEST(a_master_is_one)
{
    begin_stream(TYPE_STREAM_2);
    put_length(1);
    begin_node(1, 1, 1, 0, (const char *const[]){ NULL });
    pack_same(false, 1, 1, one_value);
    expect_node_refused("no names of fields");
    begin_stream(TYPE_STREAM_2);
    put_length(1);
    begin_listpack();
    for (int i = 1; i <= 5; i++)
        pack_integer(i == 2 ? 0 : 1);
    expect_node_refused("has no end");
    begin_stream(TYPE_STREAM_2);
    put_length(1);
    begin_listpack();
    expect_node_refused("ends within an entry");
}
END_TEST

START_TEST(ids_grow)
{
    begin_damaged(2, 0);
    pack_same(false, 1, 1, one_value);
    pack_same(false, 1, 1, one_value);
    expect_node_refused("do not grow");
    begin_damaged(1, 1); /* a deleted one counts */
    pack_same(true, 5, 1, one_value);
    pack_same(false, 4, 9, one_value);
    expect_node_refused("do not grow");
    begin_stream(TYPE_STREAM_2);
    put_length(2);
    for (int i = 0; i < 2; i++) {
        begin_node(1, 1, 1, 0, one_name);
        pack_same(false, 1, 1, one_value);
        put_node();
    }
    end_stream(TYPE_STREAM_2, 2, 9, 9);
    expect_refused(-EBADMSG, "do not grow");
}
END_TEST

START_TEST(a_node_has_an_id)
{
    begin_stream(TYPE_STREAM_2);
    put_length(1);
    begin_node(1, 1, 1, 0, one_name);
    pack_same(false, 1, 1, one_value);
    end_listpack();
    put_string("no id of 16");
    put_bytes(packed.bytes, packed.size);
    end_stream(TYPE_STREAM_2, 1, 9, 9);
    expect_refused(-EBADMSG, "has no id");
}
END_TEST

START_TEST(the_whole_is_compared_with_its_parts)
{
    begin_damaged(1, 0);
    pack_same(false, 1, 1, one_value);
    put_node();
    end_stream(TYPE_STREAM_2, 2, 9, 9);
    expect_refused(-EBADMSG, "another number of entries");
    begin_damaged(1, 0);
    pack_same(false, 1, 1, one_value);
    put_node();
    end_stream(TYPE_STREAM_2, 1, 1, 0);
    expect_refused(-EBADMSG, "last id is before");
}
END_TEST

static void begin_groups(void)
{
    begin_stream(TYPE_STREAM_5);
    put_length(0);
    put_state(TYPE_STREAM_5, 0, 9, 9);
    put_length(1);
    put_group(TYPE_STREAM_5, "g", 0, 0, 0);
}

START_TEST(pending_entries_belong_to_their_group)
{
    begin_groups();
    put_length(2);
    put_pending(1, 2, 5, 1);
    put_pending(1, 2, 5, 1);
    expect_refused(-EBADMSG, "not in order");
    begin_groups();
    put_length(1);
    put_pending(1, 2, 5, 1);
    put_length(1);
    put_consumer(TYPE_STREAM_5, "c", 1);
    put_raw_id(1, 3);
    expect_refused(-EBADMSG, "that its group has not");
    begin_groups();
    put_length(0);
    put_length(0);
    put_length(1);
    put_raw_id(1, 3);
    expect_refused(-EBADMSG, "that its group has not");
}
END_TEST

START_TEST(each_byte_changed_does_no_harm)
{
    begin_stream(types[_i]);
    put_stream(types[_i]);
    end_file_without_sum();
    for (size_t i = 0; i < made.size; i++) {
        uint8_t was = made.bytes[i];

        for (unsigned value = 0; value < 256; value++) {
            made.bytes[i] = (uint8_t)value;
            (void)read_made();
            ck_assert((told.rc == 0) == (told.error[0] == '\0'));
        }
        made.bytes[i] = was;
    }
}
END_TEST

START_TEST(a_stream_cut_anywhere_is_refused)
{
    begin_stream(types[_i]);
    put_stream(types[_i]);
    end_file();
    for (size_t size = 0; size < made.size; size++) {
        (void)read_bytes(made.bytes, size);
        ck_assert_int_eq(told.rc, -EBADMSG);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("damaged streams");
    TCase *damage = test_suite_case(suite, "damage", setup, NULL);

    tcase_add_test(damage, counts_of_a_node_are_compared);
    tcase_add_test(damage, an_entry_is_what_it_says);
    tcase_add_test(damage, a_master_is_one);
    tcase_add_test(damage, ids_grow);
    tcase_add_test(damage, a_node_has_an_id);
    tcase_add_test(damage, the_whole_is_compared_with_its_parts);
    tcase_add_test(damage, pending_entries_belong_to_their_group);
    tcase_add_loop_test(damage, each_byte_changed_does_no_harm, 0, VERSIONS);
    tcase_add_loop_test(damage, a_stream_cut_anywhere_is_refused, 0, VERSIONS);
    return test_suite_run(suite);
}
