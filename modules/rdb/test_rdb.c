/* What an RDB file holds is told whatever its age and encoding, and what is none is refused. */
#include "modules/base/test_suite.h"
#include "modules/rdb/test_stream_fixture.h"

/* ---- strings -----------------------------------------------------------------------------------
 */

START_TEST(strings_come_back_in_every_encoding)
{
    begin_file("0010");
    put_key(TYPE_STRING, "plain");
    put_string("value");
    put_key(TYPE_STRING, "empty");
    put_string("");
    put_key(TYPE_STRING, "8 bits");
    put_byte(0xc0);
    put_number((uint64_t)-128, 1);
    put_key(TYPE_STRING, "16 bits");
    put_byte(0xc1);
    put_number((uint64_t)-32768, 2);
    put_key(TYPE_STRING, "32 bits");
    put_byte(0xc2);
    put_number(2147483647, 4);
    put_key(TYPE_STRING, "lzf");
    put_lzf("ababababababababababababababababab", 34);
    end_file();
    expect_made("0 plain string \"value\"\n"
                "0 empty string \"\"\n"
                "0 8 bits string \"-128\"\n"
                "0 16 bits string \"-32768\"\n"
                "0 32 bits string \"2147483647\"\n"
                "0 lzf string \"ababababababababababababababababab\"\n");
}
END_TEST

START_TEST(a_name_may_be_compressed_or_a_number_too)
{
    begin_file("0006");
    put_byte(TYPE_STRING);
    put_lzf("namenamenamenamenamenamename", 28);
    put_string("a");
    put_byte(TYPE_STRING);
    put_byte(0xc1);
    put_number(12345, 2);
    put_string("b");
    end_file();
    expect_made("0 namenamenamenamenamenamename string \"a\"\n0 12345 string \"b\"\n");
}
END_TEST

/* Longer than the window: it comes in parts. */
START_TEST(long_values_come_in_parts)
{
    enum { SIZE = 300000 };
    static uint8_t bytes[SIZE];
    char expected[256], shown[100];
    uint64_t seed = 1;

    for (size_t i = 0; i < SIZE; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = _i == 0 ? (uint8_t)(seed >> 56) : (uint8_t)('a' + (seed >> 61) * (i % 97 == 0));
    }
    begin_file("0010");
    put_key(TYPE_STRING, "k");
    if (_i == 0)
        put_bytes(bytes, SIZE);
    else
        put_lzf(bytes, SIZE);
    end_file();
    tell_long(shown, sizeof(shown), bytes, SIZE);
    (void)snprintf(expected, sizeof(expected), "0 k string %s\n", shown);
    expect_made(expected);
}
END_TEST

START_TEST(lengths_come_in_every_width)
{
    static const uint8_t text[3] = "abc";

    begin_file("0009");
    put_key(TYPE_STRING, "14");
    put_byte(0x40);
    put_byte(3);
    put(text, 3);
    put_key(TYPE_STRING, "32");
    put_byte(0x80);
    put_big_endian(3, 4);
    put(text, 3);
    put_key(TYPE_STRING, "64");
    put_byte(0x81);
    put_big_endian(3, 8);
    put(text, 3);
    end_file();
    expect_made("0 14 string \"abc\"\n0 32 string \"abc\"\n0 64 string \"abc\"\n");
}
END_TEST

/* ---- what is told of a key ---------------------------------------------------------------------
 */

START_TEST(expiry_database_and_use_belong_to_the_key_behind_them)
{
    begin_file("0010");
    put_byte(OPCODE_SELECT);
    put_length(0);
    put_byte(OPCODE_RESIZE);
    put_length(300);
    put_length(2);
    put_byte(OPCODE_EXPIRY_S);
    put_number(1700000000, 4);
    put_key(TYPE_STRING, "a");
    put_string("1");
    put_byte(OPCODE_EXPIRY_MS);
    put_number(1700000000123, 8);
    put_byte(OPCODE_IDLE);
    put_length(100);
    put_key(TYPE_STRING, "b");
    put_string("2");
    put_byte(OPCODE_SELECT);
    put_length(15);
    put_byte(OPCODE_FREQUENCY);
    put_byte(7);
    put_key(TYPE_STRING, "c");
    put_string("3");
    put_key(TYPE_STRING, "d");
    put_string("4");
    put_byte(OPCODE_EXPIRY_MS);
    put_number((uint64_t)-5, 8);
    put_key(TYPE_STRING, "long past");
    put_string("5");
    put_byte(OPCODE_EXPIRY_S);
    put_number((uint32_t)-5, 4);
    put_key(TYPE_STRING, "past");
    put_string("6");
    end_file();
    expect_made("0 a string @1700000000000 \"1\"\n"
                "0 b string @1700000000123 idle 100 \"2\"\n"
                "15 c string frequency 7 \"3\"\n"
                "15 d string \"4\"\n"
                "15 long past string @0 \"5\"\n"
                "15 past string @0 \"6\"\n");
}
END_TEST

START_TEST(what_stands_beside_the_keys_is_told)
{
    begin_file("0012");
    put_byte(OPCODE_AUX);
    put_string("redis-ver");
    put_string("7.4.0");
    put_byte(OPCODE_FUNCTION);
    put_string("#!lua name=mylib");
    put_byte(OPCODE_FUNCTION_PRE_GA);
    put_string("name");
    put_string("LUA");
    put_length(1);
    put_string("description");
    put_string("return 1");
    put_byte(OPCODE_SLOT_INFO);
    put_length(5);
    put_length(1);
    put_length(0);
    put_byte(OPCODE_MODULE_AUX);
    put_byte(0x81);
    put_big_endian(0x4c97193e5d0a0400, 8);
    put_length(2); /* when: unsigned */
    put_length(1);
    put_length(5);
    put_string("anything");
    put_length(1);
    put_length(77);
    put_length(3);
    put_number(0, 4);
    put_length(4);
    put_number(0, 8);
    put_length(0);
    put_key(TYPE_STRING, "a");
    put_string("1");
    end_file();
    (void)read_made();
    ck_assert_int_eq(told.rc, 0);
    ck_assert_ptr_nonnull(strstr(told.text, "aux redis-ver=7.4.0\n"
                                            "function =#!lua name=mylib\n"
                                            "function =return 1\n"
                                            "module "));
    ck_assert_ptr_nonnull(strstr(told.text, "=\n0 a string \"1\"\n"));
}
END_TEST

START_TEST(an_aux_field_of_any_length_is_told_by_its_begin)
{
    static char text[70000], expected[400];

    memset(text, 'x', sizeof(text) - 1);
    begin_file("0010");
    put_byte(OPCODE_AUX);
    put_string("long");
    put_string(text);
    end_file();
    (void)snprintf(expected, sizeof(expected), "aux long=%.256s\n", text);
    expect_made(expected);
}
END_TEST

/* ---- values that are skipped -------------------------------------------------------------------
 */

static void put_strings(unsigned count)
{
    put_length(count);
    for (unsigned i = 0; i < count; i++)
        put_string("member");
}

static void put_zset(bool has_text_scores)
{
    put_length(4);
    put_string("a");
    if (has_text_scores)
        put_string("1.5");
    else
        put_number(0, 8);
    for (unsigned special = 253; special <= 255; special++) {
        put_string("b");
        if (has_text_scores)
            put_byte(special);
        else
            put_number(0, 8);
    }
}

static void put_fields(bool have_expiry)
{
    put_length(2);
    for (int i = 0; i < 2; i++) {
        if (have_expiry) put_length(i == 0 ? 0 : 1700000000000);
        put_string("field");
        put_string("value");
    }
}

START_TEST(values_of_other_types_are_told_and_skipped)
{
    begin_file("0012");
    put_key(TYPE_SET, "set");
    put_strings(3);
    put_key(TYPE_SET_INTSET, "intset");
    put_string("packed");
    put_key(TYPE_SET_LISTPACK, "set 2");
    put_lzf("packedpackedpackedpackedpackedpacked", 36);
    put_key(TYPE_ZSET, "zset");
    put_zset(true);
    put_key(TYPE_ZSET_2, "zset 2");
    put_zset(false);
    put_key(TYPE_ZSET_ZIPLIST, "zset 3");
    put_string("packed");
    put_key(TYPE_ZSET_LISTPACK, "zset 4");
    put_string("packed");
    put_key(TYPE_HASH, "hash");
    put_fields(false);
    put_key(TYPE_HASH_ZIPMAP, "zipmap");
    put_string("packed");
    put_key(TYPE_HASH_ZIPLIST, "hash 2");
    put_string("packed");
    put_key(TYPE_HASH_LISTPACK, "hash 3");
    put_string("packed");
    put_key(TYPE_HASH_METADATA_PRE_GA, "hash 4");
    put_fields(true);
    put_key(TYPE_HASH_METADATA, "hash 5");
    put_number(1700000000000, 8);
    put_fields(true);
    put_key(TYPE_HASH_LISTPACK_EX_PRE_GA, "hash 6");
    put_string("packed");
    put_key(TYPE_HASH_LISTPACK_EX, "hash 7");
    put_number(1700000000000, 8);
    put_string("packed");
    put_key(TYPE_MODULE_2, "bloom");
    put_byte(0x81);
    put_big_endian(0x4c97193e5d0a0400, 8);
    put_length(5);
    put_string("bytes");
    put_length(0);
    put_key(TYPE_STRING, "last");
    put_string("1");
    end_file();
    expect_made("0 set set\n0 intset set\n0 set 2 set\n"
                "0 zset zset\n0 zset 2 zset\n0 zset 3 zset\n0 zset 4 zset\n"
                "0 hash hash\n0 zipmap hash\n0 hash 2 hash\n0 hash 3 hash\n0 hash 4 hash\n"
                "0 hash 5 hash\n0 hash 6 hash\n0 hash 7 hash\n"
                "0 bloom module\n0 last string \"1\"\n");
}
END_TEST

START_TEST(what_modules_keep_of_a_key_is_passed_over)
{
    begin_file("0013");
    put_byte(OPCODE_EXPIRY_MS);
    put_number(1700000000123, 8);
    put_byte(OPCODE_KEY_METADATA);
    put_length(2);
    put_number(77, 4);
    put_length(2);
    put_length(5);
    put_length(0);
    put_number(78, 4);
    put_length(5);
    put_string("bytes");
    put_length(0);
    put_key(TYPE_STRING, "key");
    put_string("1");
    end_file();
    expect_made("0 key string @1700000000123 \"1\"\n");
}
END_TEST

START_TEST(arrays_are_refused_in_words)
{
    begin_file("0014");
    put_key(TYPE_ARRAY, "a");
    put_length(0);
    end_file();
    expect_refused(-ENOTSUP, "arrays (Redis 8.8) are not known");
}
END_TEST

START_TEST(the_value_of_a_module_before_4_0_cannot_be_skipped)
{
    begin_file("0008");
    put_key(TYPE_MODULE_PRE_GA, "k");
    put_length(1);
    end_file();
    expect_refused(-ENOTSUP, "release candidate");
}
END_TEST

/* ---- the file ----------------------------------------------------------------------------------
 */

static void put_one_key(const char *version)
{
    begin_file(version);
    put_key(TYPE_STRING, "a");
    put_string("1");
}

START_TEST(every_version_from_1_to_14_is_read)
{
    char version[5];

    (void)snprintf(version, sizeof(version), "%04d", _i);
    put_one_key(version);
    if (_i < 5)
        put_byte(OPCODE_END); /* without a checksum */
    else
        end_file();
    expect_made("0 a string \"1\"\n");
}
END_TEST

START_TEST(other_versions_are_refused_in_words)
{
    put_one_key("0015");
    end_file();
    expect_refused(-ENOTSUP, "RDB version 15 is not known");
    put_one_key("0000");
    end_file();
    expect_refused(-ENOTSUP, "RDB version 0 is not known");
    put_one_key("00x1");
    expect_refused(-EBADMSG, "no version");
    made.size = 0;
    put("VALKEY080", 9);
    expect_refused(-ENOTSUP, "Valkey");
    made.size = 0;
    put("*1\r\n$4\r\nPING\r\n", 14);
    expect_refused(-EBADMSG, "no RDB file");
    made.size = 0;
    expect_refused(-EBADMSG, "ends too soon");
}
END_TEST

START_TEST(a_file_without_a_checksum_is_accepted)
{
    put_one_key("0010");
    end_file_without_sum();
    expect_made("0 a string \"1\"\n");
}
END_TEST

START_TEST(a_wrong_checksum_is_refused)
{
    put_one_key("0010");
    end_file();
    made.bytes[made.size - 1] ^= 1;
    expect_refused(-EBADMSG, "checksum");
}
END_TEST

START_TEST(what_follows_the_end_is_not_taken)
{
    put_one_key("0010");
    end_file();
    put("*1\r\n", 4);
    (void)read_made();
    ck_assert_int_eq(told.rc, 0);
    ck_assert_uint_eq(told.position, made.size - 4);
}
END_TEST

START_TEST(unknown_types_and_lengths_are_refused_with_their_place)
{
    begin_file("0010");
    put_key((enum rdb_type)77, "k");
    expect_refused(-EBADMSG, "at byte 10: no value is of type 77");
    begin_file("0010");
    put_key(TYPE_STRING, "k");
    put_byte(0x82);
    expect_refused(-EBADMSG, "at byte 13: no length begins with 0x82");
    begin_file("0010");
    put_key(TYPE_STRING, "k");
    put_byte(0xc4);
    expect_refused(-EBADMSG, "no string is encoded as 4");
}
END_TEST

START_TEST(a_length_beyond_the_file_is_refused_before_anything_is_made_of_it)
{
    begin_file("0010");
    put_byte(TYPE_STRING);
    put_length(UINT64_MAX); /* a name of 16 EiB */
    expect_refused(-EBADMSG, "longer than the file");
    begin_file("0010");
    put_key(TYPE_STRING, "k");
    put_length(1u << 30);
    expect_refused(-EBADMSG, "longer than the file");
    begin_file("0010");
    put_key(TYPE_SET, "k");
    put_length(UINT64_MAX); /* that many members: the file ends at the first */
    expect_refused(-EBADMSG, "ends too soon");
    begin_file("0010");
    put_byte(TYPE_STRING);
    put_byte(0xc3);
    put_length(2);
    put_length((uint64_t)1 << 40); /* two bytes that claim to be a name of a terabyte */
    put("\0a", 2);
    expect_refused(-EBADMSG, "a compressed string is damaged");
}
END_TEST

START_TEST(a_key_with_too_long_a_name_is_told_and_skipped)
{
    struct rdb_visitor visitor = telling;
    struct rdb_input input;

    visitor.name_bytes_max = 5;
    begin_file("0010");
    put_byte(OPCODE_EXPIRY_S);
    put_number(1700000000, 4);
    put_key(TYPE_LIST, "longer");
    put_strings(3);
    put_key(TYPE_STRING, "short");
    put_string("1");
    end_file();
    rdb_input_of_bytes(slice_of(made.bytes, made.size), &input);
    told.size = 0;
    ck_assert_int_eq(rdb_read(&input, &visitor, NULL), 0);
    ck_assert_str_eq(told.text, "name longer=\n0 short string \"1\"\n");
}
END_TEST

static void put_a_bit_of_all(void)
{
    begin_file("0010");
    put_byte(OPCODE_AUX);
    put_string("redis-ver");
    put_string("7.0.15");
    put_byte(OPCODE_SELECT);
    put_length(1);
    put_byte(OPCODE_EXPIRY_MS);
    put_number(1700000000123, 8);
    put_key(TYPE_STRING, "string");
    put_lzf("ababababababababababababababababab", 34);
    put_key(TYPE_LIST, "list");
    put_strings(3);
    put_key(TYPE_STREAM_2, "stream");
    put_stream(TYPE_STREAM_2);
    put_key(TYPE_ZSET, "zset");
    put_zset(true);
}

START_TEST(each_bit_flipped_is_noticed)
{
    put_a_bit_of_all();
    end_file();
    for (size_t i = 0; i < made.size * 8; i++) {
        made.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        (void)read_made();
        ck_assert_int_lt(told.rc, 0);
        ck_assert_str_ne(told.error, "");
        made.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
}
END_TEST

/* Without the checksum's help: it must stay in its bytes, and say where it failed if it does. */
START_TEST(each_byte_changed_without_a_checksum_does_no_harm)
{
    put_a_bit_of_all();
    end_file_without_sum();
    for (size_t i = 0; i < made.size; i++) {
        uint8_t was = made.bytes[i];
        for (unsigned value = 0; value < 256; value += 3) {
            made.bytes[i] = (uint8_t)(was + value);
            (void)read_made();
            ck_assert((told.rc == 0) == (told.error[0] == '\0'));
        }
        made.bytes[i] = was;
    }
}
END_TEST

START_TEST(a_file_cut_anywhere_is_refused)
{
    put_a_bit_of_all();
    end_file();
    for (size_t size = 0; size < made.size; size++) {
        (void)read_bytes(made.bytes, size);
        ck_assert_int_eq(told.rc, -EBADMSG);
        ck_assert_str_ne(told.error, "");
    }
}
END_TEST

START_TEST(a_visitor_that_wants_nothing_sees_all_keys)
{
    put_a_bit_of_all();
    end_file();
    told.wants_nothing = true;
    (void)read_made();
    told.wants_nothing = false;
    ck_assert_int_eq(told.rc, 0);
    ck_assert_str_eq(told.text,
                     "aux redis-ver=7.0.15\n1 string string @1700000000123\n1 list list\n"
                     "1 stream stream\n1 zset zset\n");
}
END_TEST

static int stop_at_part(void *context, struct slice part, uint64_t offset, uint64_t size)
{
    (void)part;
    (void)offset;
    (void)size;
    return --*(int *)context < 0 ? -ECANCELED : 0;
}

START_TEST(a_visitor_can_stop_at_any_element)
{
    enum { PARTS = 4 + 6 }; /* of the string and the list, of the stream */
    struct rdb_visitor visitor = telling;
    int elements;

    put_a_bit_of_all();
    end_file();
    visitor.part = stop_at_part;
    for (int i = 0; i <= PARTS; i++) {
        struct rdb_input input;
        elements = i;
        rdb_input_of_bytes(slice_of(made.bytes, made.size), &input);
        ck_assert_int_eq(rdb_read(&input, &visitor, &elements), i < PARTS ? -ECANCELED : 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rdb");
    TCase *values = test_suite_case(suite, "values", NULL, NULL);
    TCase *file = test_suite_case(suite, "file", NULL, NULL);

    tcase_add_test(values, strings_come_back_in_every_encoding);
    tcase_add_test(values, a_name_may_be_compressed_or_a_number_too);
    tcase_add_loop_test(values, long_values_come_in_parts, 0, 2);
    tcase_add_test(values, lengths_come_in_every_width);
    tcase_add_test(values, expiry_database_and_use_belong_to_the_key_behind_them);
    tcase_add_test(values, what_stands_beside_the_keys_is_told);
    tcase_add_test(values, an_aux_field_of_any_length_is_told_by_its_begin);
    tcase_add_test(values, values_of_other_types_are_told_and_skipped);
    tcase_add_test(values, what_modules_keep_of_a_key_is_passed_over);
    tcase_add_test(values, arrays_are_refused_in_words);
    tcase_add_test(values, the_value_of_a_module_before_4_0_cannot_be_skipped);
    tcase_add_loop_test(file, every_version_from_1_to_14_is_read, 1, 15);
    tcase_add_test(file, other_versions_are_refused_in_words);
    tcase_add_test(file, a_file_without_a_checksum_is_accepted);
    tcase_add_test(file, a_wrong_checksum_is_refused);
    tcase_add_test(file, what_follows_the_end_is_not_taken);
    tcase_add_test(file, unknown_types_and_lengths_are_refused_with_their_place);
    tcase_add_test(file, a_length_beyond_the_file_is_refused_before_anything_is_made_of_it);
    tcase_add_test(file, a_key_with_too_long_a_name_is_told_and_skipped);
    tcase_add_test(file, each_bit_flipped_is_noticed);
    tcase_add_test(file, each_byte_changed_without_a_checksum_does_no_harm);
    tcase_add_test(file, a_file_cut_anywhere_is_refused);
    tcase_add_test(file, a_visitor_that_wants_nothing_sees_all_keys);
    tcase_add_test(file, a_visitor_can_stop_at_any_element);
    return test_suite_run(suite);
}
