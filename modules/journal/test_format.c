/* The stored forms: what was written is read back, and nothing else passes. */
#include "modules/journal/format.h"
#include "modules/journal/index.h"

#include <check.h>
#include <errno.h>

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/base/test_suite.h"

static const uint32_t seed = 12345;
static const uint64_t offset = 4096;

/* A frame with that payload at bytes; its size. */
static uint64_t make_frame(uint8_t *bytes, enum journal_state state, struct slice payload)
{
    struct journal_frame frame = { .state = state,
                                   .payload_bytes = (uint32_t)payload.size,
                                   .time_ms = 0x1122334455667788,
                                   .seq = 9 };

    if (state == JOURNAL_SEALED) frame.time_ms = frame.seq = 0;
    frame.crc32c = journal_frame_crc(seed, offset, &frame);
    if (journal_frame_has_payload_crc(&frame)) {
        frame.crc32c = crc32c(frame.crc32c, payload.bytes, payload.size);
    }
    store_u32le(bytes + 4, frame.crc32c);
    store_u64le(bytes + 8, frame.time_ms);
    store_u64le(bytes + 16, frame.seq);
    memcpy(bytes + JOURNAL_FRAME_HEADER_BYTES, payload.bytes, payload.size);
    store_u32le(bytes, journal_word(state, (uint32_t)payload.size));
    return journal_frame_bytes(payload.size);
}

START_TEST(a_frame_is_read_back)
{
    uint8_t bytes[64] = { 0 };
    struct journal_frame frame;
    uint64_t size = make_frame(bytes, JOURNAL_DATA, SLICE_LITERAL("payload"));

    ck_assert_uint_eq(size, 32);
    ck_assert_int_eq(journal_frame_verify(seed, offset, bytes, size, &frame), 1);
    ck_assert_int_eq(frame.state, JOURNAL_DATA);
    ck_assert_uint_eq(frame.payload_bytes, 7);
    ck_assert_uint_eq(frame.time_ms, 0x1122334455667788);
    ck_assert_uint_eq(frame.seq, 9);
}
END_TEST

START_TEST(no_flipped_bit_passes)
{
    uint8_t bytes[64] = { 0 };
    struct journal_frame frame;
    uint64_t size = make_frame(bytes, JOURNAL_DATA, SLICE_LITERAL("payload8"));

    for (unsigned bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_ne(journal_frame_verify(seed, offset, bytes, size, &frame), 1);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert_int_eq(journal_frame_verify(seed, offset, bytes, size, &frame), 1);
}
END_TEST

START_TEST(a_frame_counts_only_in_its_place)
{
    uint8_t bytes[64] = { 0 };
    struct journal_frame frame;
    uint64_t size = make_frame(bytes, JOURNAL_DATA, SLICE_LITERAL("payload"));

    ck_assert_int_eq(journal_frame_verify(seed, offset + 8, bytes, size, &frame), -EBADMSG);
    ck_assert_int_eq(journal_frame_verify(seed + 1, offset, bytes, size, &frame), -EBADMSG);
    ck_assert_uint_ne(journal_seed(1, 2), journal_seed(2, 1));
}
END_TEST

START_TEST(no_cut_frame_passes)
{
    uint8_t bytes[64] = { 0 };
    struct journal_frame frame;
    uint64_t size = make_frame(bytes, JOURNAL_DATA, SLICE_LITERAL("payload"));

    for (uint64_t cut = 0; cut < size; cut++)
        ck_assert_int_eq(journal_frame_verify(seed, offset, bytes, cut, &frame), -EBADMSG);
}
END_TEST

START_TEST(states_have_their_meaning)
{
    uint8_t bytes[64] = { 0 };
    struct journal_frame frame;
    struct slice none = SLICE_LITERAL("");

    ck_assert_int_eq(journal_frame_verify(seed, offset, bytes, 64, &frame), 0);
    (void)make_frame(bytes, JOURNAL_CLAIMED, SLICE_LITERAL("payload"));
    ck_assert_int_eq(journal_frame_verify(seed, offset, bytes, 64, &frame), -EAGAIN);
    (void)make_frame(bytes, JOURNAL_SEALED, SLICE_LITERAL("payload"));
    bytes[30] ^= 1; /* whatever its writer had put there */
    bytes[10] ^= 1;
    ck_assert_int_eq(journal_frame_verify(seed, offset, bytes, 64, &frame), 1);
    (void)make_frame(bytes, JOURNAL_END, none);
    ck_assert_int_eq(journal_frame_verify(seed, offset, bytes, 64, &frame), 1);
    (void)make_frame(bytes, JOURNAL_END, SLICE_LITERAL("payload"));
    ck_assert_int_eq(journal_frame_verify(seed, offset, bytes, 64, &frame), -EBADMSG);
    (void)make_frame(bytes, JOURNAL_NOTE, none);
    ck_assert_int_eq(journal_frame_verify(seed, offset, bytes, 64, &frame), -EBADMSG);
    (void)make_frame(bytes, (enum journal_state)6, none);
    ck_assert_int_eq(journal_frame_verify(seed, offset, bytes, 64, &frame), -EBADMSG);
}
END_TEST

START_TEST(a_segment_header_is_read_back_or_refused)
{
    struct journal_segment_header in = { .journal = 7,
                                         .number = 8,
                                         .created_ms = 9,
                                         .capacity = 65536,
                                         .synced = journal_position(7, 640) };
    struct journal_segment_header out;
    uint8_t bytes[JOURNAL_SEGMENT_HEADER_BYTES];

    journal_segment_header_store(bytes, &in);
    ck_assert_int_eq(journal_segment_header_load(bytes, &out), 0);
    ck_assert_uint_eq(out.journal, 7);
    ck_assert_uint_eq(out.number, 8);
    ck_assert_uint_eq(out.created_ms, 9);
    ck_assert_uint_eq(out.capacity, 65536);
    ck_assert_uint_eq(out.synced, in.synced);
    for (unsigned bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_int_lt(journal_segment_header_load(bytes, &out), 0);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    store_u32le(bytes + 4, JOURNAL_VERSION + 1);
    ck_assert_int_eq(journal_segment_header_load(bytes, &out), -EPROTONOSUPPORT);
}
END_TEST

START_TEST(file_names_are_numbers)
{
    char name[JOURNAL_FILE_NAME_BYTES];

    journal_file_name(name, 12, "log");
    ck_assert_str_eq(name, "0000000012.log");
    ck_assert_uint_eq(journal_file_number(name, "log"), 12);
    ck_assert_uint_eq(journal_file_number(name, "idx"), 0);
    ck_assert_uint_eq(journal_file_number("12.log", "log"), 0);
    ck_assert_uint_eq(journal_file_number("0000000012.log2", "log"), 0);
    ck_assert_uint_eq(journal_file_number("meta", "log"), 0);
}
END_TEST

START_TEST(an_index_finds_the_entry_before)
{
    struct journal_index index = { 0 };

    ck_assert_uint_eq(journal_index_find_id(&index, 5, 0), 0);
    for (uint64_t i = 1; i <= 100; i++)
        journal_index_add(&index, i * JOURNAL_INDEX_STEP_BYTES / 2, i, 0);
    ck_assert_uint_eq(index.count, 50); /* every second one was too near */
    ck_assert_uint_eq(journal_index_find_id(&index, 1, 9), 0);
    ck_assert_uint_eq(journal_index_find_id(&index, 2, 0), JOURNAL_INDEX_STEP_BYTES);
    ck_assert_uint_eq(journal_index_find_id(&index, 3, 9), JOURNAL_INDEX_STEP_BYTES);
    ck_assert_uint_eq(journal_index_find_id(&index, 1000, 0), 50 * JOURNAL_INDEX_STEP_BYTES);
    journal_index_finish(&index);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stored forms of journals");
    TCase *cases = test_suite_case(suite, "all", NULL, NULL);

    tcase_add_test(cases, a_frame_is_read_back);
    tcase_add_test(cases, no_flipped_bit_passes);
    tcase_add_test(cases, a_frame_counts_only_in_its_place);
    tcase_add_test(cases, no_cut_frame_passes);
    tcase_add_test(cases, states_have_their_meaning);
    tcase_add_test(cases, a_segment_header_is_read_back_or_refused);
    tcase_add_test(cases, file_names_are_numbers);
    tcase_add_test(cases, an_index_finds_the_entry_before);
    return test_suite_run(suite);
}
