/* Compressed strings and the checksum, compared with who made them. */
#include "modules/base/random.h"
#include "modules/base/test_suite.h"
#include "modules/rdb/blob.h"
#include "modules/rdb/crc64.h"

#include <check.h>
#include <errno.h>
#include <liblzf/lzf.h>
#include <stdlib.h>

enum { SIZE_MAX_BYTES = 400000 };

static uint8_t plain[SIZE_MAX_BYTES], packed[2 * SIZE_MAX_BYTES], got[SIZE_MAX_BYTES];

static void put_u32(uint8_t **at, uint32_t value)
{
    *(*at)++ = 0x80;
    for (int shift = 24; shift >= 0; shift -= 8)
        *(*at)++ = (uint8_t)(value >> shift);
}

/* The string of plain[0, size) as RDB has it, compressed by liblzf; its bytes, 0: does not shrink.
 */
static size_t compress_plain(size_t size)
{
    uint8_t *at = packed;
    unsigned bytes = lzf_compress(plain, (unsigned)size, packed + 11, (unsigned)size);

    if (bytes == 0) return 0;
    *at++ = 0xc3;
    put_u32(&at, bytes);
    put_u32(&at, (uint32_t)size);
    return bytes + 11;
}

/* Texts of repeated and random parts, so that matches are near, far, long and overlapping. */
static void make_text(struct random *random, size_t size)
{
    size_t at = 0;

    while (at < size) {
        size_t run = 1 + random_below(random, 600);
        size_t back = at > 0 ? 1 + random_below(random, at < 9000 ? at : 9000) : 0;
        bool repeats = back > 0 && random_below(random, 3) > 0;
        for (size_t i = 0; i < run && at < size; i++, at++)
            plain[at] = repeats ? plain[at - back] : (uint8_t)random_below(random, 256);
    }
}

static int read_in_pieces(struct random *random, struct blob *blob)
{
    size_t at = 0;
    int rc = 0;

    while (rc == 0 && blob->left > 0) {
        struct slice part;
        uint64_t want = 1 + random_below(random, random_below(random, 2) ? 20 : 100000);
        rc = blob_take(blob, want < blob->left ? want : blob->left, &part);
        if (rc < 0) break;
        memcpy(got + at, part.bytes, part.size);
        at += part.size;
    }
    return rc;
}

START_TEST(what_liblzf_compressed_comes_back_in_pieces_of_any_size)
{
    struct random random;
    struct blob blob = { 0 };
    unsigned compressed = 0;

    random_init(&random, (uint64_t)_i + 1);
    for (int round = 0; round < 40; round++) {
        size_t size = 20 + random_below(&random, round % 4 == 0 ? SIZE_MAX_BYTES - 20 : 3000);
        struct rdb_input input;
        size_t bytes;

        make_text(&random, size);
        bytes = compress_plain(size);
        if (bytes == 0) continue;
        compressed++;
        rdb_input_of_bytes(slice_of(packed, bytes), &input);
        ck_assert_int_eq(blob_open(&input, &blob), 0);
        ck_assert_uint_eq(blob.size, size);
        ck_assert_int_eq(read_in_pieces(&random, &blob), 0);
        ck_assert_int_eq(memcmp(got, plain, size), 0);
        ck_assert_uint_eq(rdb_input_left(&input), 0);
    }
    ck_assert_uint_gt(compressed, 10);
    blob_finish(&blob);
}
END_TEST

/* What liblzf refuses is refused, what it reads is read the same. */
START_TEST(damaged_ones_are_read_as_liblzf_reads_them)
{
    struct random random;
    struct blob blob = { 0 };
    static uint8_t theirs[4000];
    unsigned refused = 0;

    random_init(&random, 7);
    for (int round = 0; round < 4000; round++) {
        size_t size = 20 + random_below(&random, 3000), bytes;
        struct rdb_input input;
        unsigned their_size;
        int rc;

        make_text(&random, size);
        bytes = compress_plain(size);
        if (bytes == 0) continue;
        packed[11 + random_below(&random, bytes - 11)] ^= (uint8_t)(1 + random_below(&random, 255));
        their_size = lzf_decompress(packed + 11, (unsigned)bytes - 11, theirs, (unsigned)size);
        rdb_input_of_bytes(slice_of(packed, bytes), &input);
        rc = blob_open(&input, &blob);
        if (rc == 0) rc = read_in_pieces(&random, &blob);
        ck_assert_int_eq(rc, their_size == size ? 0 : -EBADMSG);
        if (rc == 0) ck_assert_int_eq(memcmp(got, theirs, size), 0);
        refused += rc < 0;
    }
    ck_assert_uint_gt(refused, 100);
    blob_finish(&blob);
}
END_TEST

START_TEST(skipping_takes_the_same_bytes_as_reading)
{
    struct random random;
    struct blob blob = { 0 };
    struct rdb_input input;
    size_t bytes;

    random_init(&random, 3);
    make_text(&random, 5000);
    bytes = compress_plain(5000);
    ck_assert_uint_gt(bytes, 0);
    rdb_input_of_bytes(slice_of(packed, bytes + 5), &input);
    ck_assert_int_eq(blob_open(&input, &blob), 0);
    ck_assert_int_eq(blob_skip(&blob), 0);
    ck_assert_uint_eq(rdb_input_left(&input), 5);
    blob_finish(&blob);
}
END_TEST

START_TEST(an_empty_compressed_string_is_refused)
{
    static const uint8_t empties[2][4] = { { 0xc3, 0, 0, 0 }, { 0xc3, 1, 0, 0 } };
    struct blob blob = { 0 };

    for (int i = 0; i < 2; i++) {
        struct rdb_input input;
        rdb_input_of_bytes(slice_of(empties[i], 4), &input);
        ck_assert_int_eq(blob_open(&input, &blob), -EBADMSG);
        ck_assert_ptr_nonnull(strstr(rdb_input_error(&input), "is empty"));
    }
    blob_finish(&blob);
}
END_TEST

START_TEST(the_checksum_is_redis_s_however_it_is_cut)
{
    ck_assert_uint_eq(crc64(0, "123456789", 9), 0xe9c6d914c4b8d9caULL);
    for (size_t cut = 0; cut <= 9; cut++)
        ck_assert_uint_eq(crc64(crc64(0, "123456789", cut), &"123456789"[cut], 9 - cut),
                          0xe9c6d914c4b8d9caULL);
    ck_assert_uint_eq(crc64(5, "", 0), 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blob");
    TCase *cases = test_suite_case(suite, "all", NULL, NULL);

    tcase_add_loop_test(cases, what_liblzf_compressed_comes_back_in_pieces_of_any_size, 0, 4);
    tcase_add_test(cases, damaged_ones_are_read_as_liblzf_reads_them);
    tcase_add_test(cases, skipping_takes_the_same_bytes_as_reading);
    tcase_add_test(cases, an_empty_compressed_string_is_refused);
    tcase_add_test(cases, the_checksum_is_redis_s_however_it_is_cut);
    return test_suite_run(suite);
}
