/* Lists come back whatever they are packed in: strings one by one, ziplists, listpacks, nodes. */
#include "modules/base/test_suite.h"
#include "modules/rdb/test_packed_fixture.h"
#include "modules/rdb/test_rdb_fixture.h"

static char expected[TOLD_BYTES_MAX];
static uint8_t long_bytes[100000];

static void expect_long(const char *before, size_t size, const char *after)
{
    char shown[100];

    tell_long(shown, sizeof(shown), long_bytes, size);
    (void)snprintf(expected, sizeof(expected), "%s%s%s", before, shown, after);
    expect_made(expected);
}

static void setup(void)
{
    for (size_t i = 0; i < sizeof(long_bytes); i++)
        long_bytes[i] = (uint8_t)(i * 7 + i / 251);
}

/* The made file: one list, which the packed bytes are. */
static void make_list(enum rdb_type type)
{
    begin_file("0010");
    put_key(type, "l");
    if (type != TYPE_LIST_ZIPLIST) put_length(1);
    if (type == TYPE_LIST_QUICKLIST_2) put_length(NODE_PACKED);
    put_bytes(packed.bytes, packed.size);
    end_file();
}

START_TEST(a_plain_list)
{
    begin_file("0003");
    put_key(TYPE_LIST, "l");
    put_length(3);
    put_string("a");
    put_byte(0xc0);
    put_byte(5);
    put_string("");
    put_byte(OPCODE_END);
    expect_made("0 l list \"a\" \"5\" \"\"\n");
}
END_TEST

START_TEST(a_listpack_has_numbers_of_every_width)
{
    begin_listpack();
    listpack_integer(0, 7);
    listpack_integer(127, 7);
    listpack_integer(-4096, 13);
    listpack_integer(4095, 13);
    listpack_integer(INT16_MIN, 16);
    listpack_integer(INT16_MAX, 16);
    listpack_integer(-8388608, 24);
    listpack_integer(8388607, 24);
    listpack_integer(INT32_MIN, 32);
    listpack_integer(INT32_MAX, 32);
    listpack_integer(INT64_MIN, 64);
    listpack_integer(INT64_MAX, 64);
    end_listpack();
    make_list(TYPE_LIST_QUICKLIST_2);
    expect_made("0 l list \"0\" \"127\" \"-4096\" \"4095\" \"-32768\" \"32767\" \"-8388608\" "
                "\"8388607\" \"-2147483648\" \"2147483647\" \"-9223372036854775808\" "
                "\"9223372036854775807\"\n");
}
END_TEST

START_TEST(a_ziplist_has_numbers_of_every_width)
{
    begin_ziplist();
    ziplist_integer(0, 4);
    ziplist_integer(12, 4);
    ziplist_integer(INT8_MIN, 8);
    ziplist_integer(13, 8);
    ziplist_integer(INT16_MIN, 16);
    ziplist_integer(-8388608, 24);
    ziplist_integer(8388607, 24);
    ziplist_integer(INT32_MIN, 32);
    ziplist_integer(INT64_MIN, 64);
    ziplist_integer(INT64_MAX, 64);
    end_ziplist();
    make_list(TYPE_LIST_ZIPLIST);
    expect_made("0 l list \"0\" \"12\" \"-128\" \"13\" \"-32768\" \"-8388608\" \"8388607\" "
                "\"-2147483648\" \"-9223372036854775808\" \"9223372036854775807\"\n");
    make_list(TYPE_LIST_QUICKLIST);
    ck_assert_int_eq((read_made(), told.rc), 0);
}
END_TEST

static const size_t text_sizes[] = { 65,    125,   126,   127,   128,   4095, 4096, 16376, 16377,
                                     16378, 16379, 16383, 16384, 70000, 253,  254,  99999 };

START_TEST(texts_have_every_length_in_a_listpack)
{
    size_t size = text_sizes[_i];

    begin_listpack();
    listpack_text("before", 6);
    listpack_text(long_bytes, size);
    listpack_text("", 0);
    end_listpack();
    make_list(TYPE_LIST_QUICKLIST_2);
    expect_long("0 l list \"before\" ", size, " \"\"\n");
}
END_TEST

START_TEST(texts_have_every_length_in_a_ziplist)
{
    size_t size = text_sizes[_i];

    begin_ziplist();
    ziplist_text("before", 6);
    ziplist_text(long_bytes, size);
    ziplist_text("", 0);
    ziplist_integer(7, 8);
    end_ziplist();
    make_list(TYPE_LIST_QUICKLIST);
    expect_long("0 l list \"before\" ", size, " \"\" \"7\"\n");
}
END_TEST

START_TEST(a_list_of_several_nodes_some_of_one_element_alone)
{
    begin_file("0010");
    put_key(TYPE_LIST_QUICKLIST_2, "l");
    put_length(3);
    begin_listpack();
    listpack_text("a", 1);
    listpack_integer(2, 7);
    end_listpack();
    put_length(NODE_PACKED);
    put_lzf(packed.bytes,
            packed.size); /* does not shrink, and is a compressed string all the same */
    put_length(NODE_PLAIN);
    put_bytes(long_bytes, 90000);
    begin_listpack();
    listpack_text("z", 1);
    end_listpack();
    put_length(NODE_PACKED);
    put_bytes(packed.bytes, packed.size);
    end_file();
    expect_long("0 l list \"a\" \"2\" ", 90000, " \"z\"\n");
}
END_TEST

START_TEST(more_elements_than_the_count_can_tell)
{
    enum { COUNT = 70000 };

    begin_listpack();
    for (int i = 0; i < COUNT; i++)
        listpack_integer(i % 100, 7);
    end_listpack();
    make_list(TYPE_LIST_QUICKLIST_2);
    (void)read_made();
    ck_assert_int_eq(told.rc, 0);
    begin_ziplist();
    for (int i = 0; i < COUNT; i++)
        ziplist_integer(i % 12, 4);
    end_ziplist();
    make_list(TYPE_LIST_ZIPLIST);
    (void)read_made();
    ck_assert_int_eq(told.rc, 0);
}
END_TEST

START_TEST(an_empty_list_has_no_element)
{
    begin_listpack();
    end_listpack();
    make_list(TYPE_LIST_QUICKLIST_2);
    expect_made("0 l list\n");
    begin_ziplist();
    end_ziplist();
    make_list(TYPE_LIST_ZIPLIST);
    expect_made("0 l list\n");
}
END_TEST

/* ---- damage ------------------------------------------------------------------------------------
 */

static void pack_some(enum rdb_type type)
{
    if (type == TYPE_LIST_QUICKLIST_2) {
        begin_listpack();
        listpack_text("element", 7);
        listpack_integer(5, 7);
        listpack_integer(-300, 13);
        listpack_integer(70000, 24);
        listpack_text(long_bytes, 200);
        end_listpack();
    } else {
        begin_ziplist();
        ziplist_text("element", 7);
        ziplist_integer(5, 4);
        ziplist_integer(-300, 16);
        ziplist_text(long_bytes, 300);
        ziplist_integer(70000, 24);
        end_ziplist();
    }
}

/* Sizes, counts and links are looked at: whatever passes is a list that could have been packed so;
 * a flipped bit of an element itself is for the checksum to find. */
START_TEST(each_bit_of_a_packed_lists_shape_counts)
{
    enum rdb_type type = _i == 0 ? TYPE_LIST_QUICKLIST_2 : TYPE_LIST_ZIPLIST;
    size_t accepted = 0;

    pack_some(type);
    for (size_t bit = 0; bit < packed.size * 8; bit++) {
        packed.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        make_list(type);
        (void)read_made();
        accepted += told.rc == 0;
        ck_assert((told.rc == 0) == (told.error[0] == '\0'));
        packed.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    /* The bits of texts and numbers, and very few that turn one kind of number into another. */
    ck_assert_uint_lt(accepted, (size_t)(_i == 0 ? 207 + 7 + 1 + 3 : 307 + 7 + 2 + 3) * 8);
}
END_TEST

START_TEST(a_packed_list_cut_anywhere_is_refused)
{
    enum rdb_type type = _i == 0 ? TYPE_LIST_QUICKLIST_2 : TYPE_LIST_ZIPLIST;
    size_t whole;

    pack_some(type);
    whole = packed.size;
    for (packed.size = 0; packed.size < whole; packed.size++) {
        make_list(type);
        (void)read_made();
        ck_assert_int_eq(told.rc, -EBADMSG);
    }
    packed.size = whole;
    pack_byte(0);
    make_list(type);
    (void)read_made();
    ck_assert_int_eq(told.rc, -EBADMSG);
    store_u32le(packed.bytes, (uint32_t)packed.size);
    make_list(type);
    expect_refused(-EBADMSG, "bytes follow the end");
}
END_TEST

START_TEST(a_node_of_no_known_kind_is_refused)
{
    begin_file("0010");
    put_key(TYPE_LIST_QUICKLIST_2, "l");
    put_length(1);
    put_length(3);
    put_string("x");
    end_file();
    expect_refused(-EBADMSG, "node is of no known kind (3)");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("list encodings");
    TCase *cases = test_suite_case(suite, "lists", setup, NULL);
    TCase *damage = test_suite_case(suite, "damage", setup, NULL);
    int sizes = sizeof(text_sizes) / sizeof(text_sizes[0]);

    tcase_add_test(cases, a_plain_list);
    tcase_add_test(cases, a_listpack_has_numbers_of_every_width);
    tcase_add_test(cases, a_ziplist_has_numbers_of_every_width);
    tcase_add_loop_test(cases, texts_have_every_length_in_a_listpack, 0, sizes);
    tcase_add_loop_test(cases, texts_have_every_length_in_a_ziplist, 0, sizes);
    tcase_add_test(cases, a_list_of_several_nodes_some_of_one_element_alone);
    tcase_add_test(cases, more_elements_than_the_count_can_tell);
    tcase_add_test(cases, an_empty_list_has_no_element);
    tcase_add_loop_test(damage, each_bit_of_a_packed_lists_shape_counts, 0, 2);
    tcase_add_loop_test(damage, a_packed_list_cut_anywhere_is_refused, 0, 2);
    tcase_add_test(damage, a_node_of_no_known_kind_is_refused);
    return test_suite_run(suite);
}
