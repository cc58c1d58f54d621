/* Segments that have ended are encrypted: readable with the key, and not without. */
#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/base/test_suite.h"
#include "modules/journal/cipher.h"
#include "modules/journal/meta.h"
#include "modules/journal/packed.h"
#include "modules/journal/test_key_fixture.h"

static const char *const first_key =
    "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F\n";
static const char *const second_key =
    "100102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

static void setup_encrypted(void)
{
    setup_in_memory();
    use_key(first_key);
    fixture.is_text = true;
}

static void teardown_encrypted(void)
{
    remove_key();
    teardown();
}

/* Whether the file shows what payloads look like. */
static bool shows_text(const char *suffix)
{
    static uint8_t bytes[2 * JOURNAL_ROLL_BYTES_MIN];
    uint8_t payload[8192];
    size_t size = payload_of(17, payload); /* some thousands */
    int fd = open_file(1, suffix);
    ssize_t count = pread(fd, bytes, sizeof(bytes), 0);

    ck_assert_int_gt(count, 1000);
    close(fd);
    ck_assert_uint_gt(size, 1000);
    return memmem(bytes, (size_t)count, payload, 200) != NULL;
}

/* _i is the codec. */
START_TEST(segments_that_have_ended_are_encrypted_and_read_as_before)
{
    fixture.options.settings.codec = (enum journal_codec)_i;
    open_journal();
    append_many(100);
    publish();
    ck_assert(shows_text("log")); /* so the look at the other form means something */
    fill_segments(3);
    ck_assert(file_exists(1, "pak") && !file_exists(1, "log"));
    ck_assert(!shows_text("pak"));
    expect_all(1, fixture.next);
    close_journal();
    forget_boot();
    fixture.options.verifies_all = true;
    open_journal();
    append_many(500);
    publish();
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(the_wrong_key_is_refused_at_once)
{
    open_journal();
    fill_segments(1);
    close_journal();
    write_key(second_key);
    ck_assert_int_eq(try_open(), -EKEYREJECTED);
    ck_assert_ptr_nonnull(strstr(fixture.report.text, "key"));
    write_key("0001\n");
    ck_assert_int_eq(try_open(), -EKEYREJECTED);
    write_key("zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    ck_assert_int_eq(try_open(), -EKEYREJECTED);
    remove_key();
    ck_assert_int_eq(try_open(), -ENOKEY);
    ck_assert_ptr_nonnull(strstr(fixture.report.text, "key"));
    write_key(first_key);
    open_journal();
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(no_journal_is_made_with_a_key_that_is_none)
{
    write_key("not a key");
    ck_assert_int_eq(try_open(), -EKEYREJECTED);
    write_key(first_key);
    open_journal();
    append_many(1);
}
END_TEST

/* The key is read at each opening: what cannot be read is no wrong key, and is tried again. */
START_TEST(each_system_call_of_opening_may_fail)
{
    static const int errors[] = { EIO, ENOMEM, EINTR };
    unsigned failures = 0;

    open_journal();
    fill_segments(1);
    close_journal();
    for (uint64_t nth = 1;; nth++) {
        bool has_fired;
        int rc;

        fault_fail(fixture.fault, FAULT_ANY, nth, errors[_i], FAULT_ONCE);
        rc = try_open();
        has_fired = fault_fired(fixture.fault) > 0;
        fault_clear(fixture.fault);
        if (rc == 0) {
            close_journal();
        } else {
            ck_assert_int_eq(rc, -errors[_i]);
            ck_assert_ptr_null(fixture.journal);
            failures++;
        }
        if (!has_fired) break;
    }
    ck_assert_uint_gt(failures, 10);
    open_journal();
    expect_all(1, fixture.next);
}
END_TEST

START_TEST(a_reader_without_the_key_sees_what_is_not_encrypted_and_is_told_of_the_rest)
{
    struct journal_entry entry;

    open_journal();
    fill_segments(1);
    append_many(5);
    publish();
    write_key(second_key);
    open_reader();
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), -EKEYREJECTED);
    ck_assert_int_eq(journal_reader_seek_position(fixture.reader, journal_segment_start(2)), 0);
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
    remove_key();
    open_reader();
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), -ENOKEY);
    write_key(first_key);
    expect_all(1, fixture.next);
}
END_TEST

/* The same bytes in two segments' files, packed twice, are never the same on the disk. */
START_TEST(no_two_files_are_encrypted_alike)
{
    uint8_t salts[3][16];
    int fd;

    open_journal();
    for (unsigned i = 0; i < 3; i++) {
        fill_segments(1);
        fd = open_file(i + 1, "pak");
        ck_assert_int_eq(pread(fd, salts[i], 16, 64), 16);
        close(fd);
    }
    ck_assert_mem_ne(salts[0], salts[1], 16);
    ck_assert_mem_ne(salts[1], salts[2], 16);
    ck_assert_mem_ne(salts[0], salts[2], 16);
}
END_TEST

/* One ended segment, packed with LZ4 and closed; its file is in packed_file. */
static struct {
    uint8_t bytes[2 * JOURNAL_ROLL_BYTES_MIN];
    size_t size;
    uint32_t seed;
} packed_file;

static void make_packed_file(void)
{
    int fd;
    ssize_t size;

    fixture.options.settings.codec = JOURNAL_CODEC_LZ4;
    open_journal();
    fill_segments(1);
    append_many(3);
    packed_file.seed = journal_seed(info_now().id, 1);
    close_journal();
    fixture.options.verifies_all = true;
    fd = open_file(1, "pak");
    size = pread(fd, packed_file.bytes, sizeof(packed_file.bytes), 0);
    close(fd);
    ck_assert(size > 1000 && size < (ssize_t)sizeof(packed_file.bytes));
    packed_file.size = (size_t)size;
}

START_TEST(a_flipped_byte_never_gives_wrong_frames)
{
    make_packed_file();
    for (uint64_t at = 0; at < packed_file.size; at += at < 160 ? 1 : 61) {
        if (at >= 4 && at < 8) continue; /* another version */
        flip_byte(1, "pak", at);
        ck_assert_int_eq(try_open(), -EBADMSG);
        flip_byte(1, "pak", at);
    }
    open_journal();
    expect_all(1, fixture.next);
}
END_TEST

static void write_packed_file(size_t size)
{
    int fd = open_file(1, "pak");

    ck_assert_int_eq(ftruncate(fd, 0), 0);
    ck_assert_int_eq(pwrite(fd, packed_file.bytes, size, 0), (ssize_t)size);
    close(fd);
}

START_TEST(zeros_and_cuts_never_give_wrong_frames)
{
    make_packed_file();
    for (size_t at = 0; at < packed_file.size; at += 512) {
        size_t part = packed_file.size - at < 512 ? packed_file.size - at : 512;
        uint8_t kept[512];
        memcpy(kept, packed_file.bytes + at, part);
        memset(packed_file.bytes + at, 0, part);
        write_packed_file(packed_file.size);
        ck_assert_int_eq(try_open(), -EBADMSG);
        memcpy(packed_file.bytes + at, kept, part);
    }
    for (size_t size = 0; size < packed_file.size; size += 1 + packed_file.size / 97) {
        write_packed_file(size);
        ck_assert_int_eq(try_open(), -EBADMSG);
    }
    write_packed_file(packed_file.size);
    open_journal();
    expect_all(1, fixture.next);
}
END_TEST

/* Writes packed_file with its checksums put right. */
static void write_corrected(void)
{
    uint8_t *bytes = packed_file.bytes, *table = bytes + JOURNAL_PACKED_HEADER_BYTES;
    uint32_t count = journal_packed_block_count(load_u32le(bytes + 48));
    size_t at = JOURNAL_PACKED_HEADER_BYTES + count * (size_t)JOURNAL_PACKED_ENTRY_BYTES;
    int fd = open_file(1, "pak");

    for (uint32_t i = 0; i < count; i++) {
        struct slice stored = slice_of(bytes + at, load_u32le(table + i * 8));
        store_u32le(table + i * 8 + 4, journal_packed_block_crc(packed_file.seed, i, stored));
        at += stored.size;
    }
    store_u32le(bytes + 60,
                crc32c(packed_file.seed, table, count * (size_t)JOURNAL_PACKED_ENTRY_BYTES));
    store_u32le(bytes + 124, crc32c(0, bytes, 124));
    ck_assert_int_eq(pwrite(fd, bytes, packed_file.size, 0), (ssize_t)packed_file.size);
    close(fd);
}

START_TEST(who_corrects_checksums_is_found_out_all_the_same)
{
    static const uint8_t header_bytes[] = { 24, 28, 36, 40, 44, 64, 79 };
    size_t first = journal_packed_start(JOURNAL_ROLL_BYTES_MIN);

    make_packed_file();
    for (size_t i = 0; i < sizeof(header_bytes); i++) {
        packed_file.bytes[header_bytes[i]] ^= 1;
        write_corrected();
        ck_assert_msg(try_open() == -EBADMSG, "byte %u", header_bytes[i]);
        packed_file.bytes[header_bytes[i]] ^= 1;
    }
    for (size_t at = first; at < packed_file.size; at += 101) {
        packed_file.bytes[at] ^= 0x40;
        write_corrected();
        ck_assert_int_eq(try_open(), -EBADMSG);
        packed_file.bytes[at] ^= 0x40;
    }
    write_corrected();
    open_journal();
    expect_all(1, fixture.next);
}
END_TEST

/* ---- the cipher alone -------------------------------------------------------------------------
 */

static struct journal_cipher *make_cipher(uint64_t number, const uint8_t salt[JOURNAL_SALT_BYTES])
{
    struct journal_cipher *cipher;
    struct journal_key *key;

    ck_assert_int_eq(journal_key_load(os_real(), key_path, &key), 0);
    ck_assert_int_eq(journal_cipher_create(key, 7, number, salt, &cipher), 0);
    journal_key_destroy(key);
    return cipher;
}

/* Makes packed_file what it would be without a key: the same frames, readable by everybody. */
static void leave_out_encryption(void)
{
    static uint8_t plain[JOURNAL_ROLL_BYTES_MIN];
    struct journal_packed_header header;
    struct journal_packed *packed;
    struct journal_meta meta;
    uint8_t *at = packed_file.bytes + JOURNAL_PACKED_HEADER_BYTES;

    ck_assert_int_eq(journal_meta_open_reader(os_real(), fixture.path, &meta), 0);
    ck_assert_int_eq(journal_packed_open(os_real(), open_file(1, "pak"), &meta.places, 1, &packed),
                     0);
    header = *journal_packed_header_of(packed);
    ck_assert_int_eq(journal_packed_read(os_real(), packed, plain, header.raw_bytes, 0), 0);
    journal_packed_close(os_real(), packed);
    journal_meta_close(os_real(), &meta);
    header.is_encrypted = false;
    header.codec = JOURNAL_CODEC_NONE;
    journal_packed_header_store(packed_file.bytes, &header);
    for (uint32_t i = 0; i < journal_packed_block_count(header.raw_bytes); i++, at += 8)
        store_u32le(at, journal_packed_block_bytes(header.raw_bytes, i));
    memcpy(at, plain, header.raw_bytes);
    packed_file.size = (size_t)(at - packed_file.bytes) + header.raw_bytes;
}

START_TEST(who_leaves_the_encryption_out_is_found_out)
{
    make_packed_file();
    leave_out_encryption();
    write_packed_file(packed_file.size);
    write_corrected();
    ck_assert_int_eq(try_open(), -EBADMSG);
}
END_TEST

START_TEST(a_block_opens_only_as_it_was_sealed)
{
    const uint8_t salt[JOURNAL_SALT_BYTES] = "salt", other_salt[JOURNAL_SALT_BYTES] = "pepper";
    struct journal_cipher *cipher = make_cipher(1, salt), *another = make_cipher(2, salt);
    struct journal_cipher *third = make_cipher(1, other_salt);
    const struct slice beside = SLICE_LITERAL("beside"), plain = SLICE_LITERAL("some bytes");
    uint8_t sealed[10 + JOURNAL_TAG_BYTES], out[10];
    struct slice all = slice_of(sealed, sizeof(sealed));

    ck_assert_int_eq(journal_cipher_seal(cipher, 3, beside, plain, sealed), 0);
    ck_assert_int_eq(journal_cipher_open(cipher, 3, beside, all, out), 0);
    ck_assert(slice_equal(slice_of(out, sizeof(out)), plain));
    ck_assert_int_eq(journal_cipher_open(cipher, 4, beside, all, out), -EBADMSG);
    ck_assert_int_eq(journal_cipher_open(another, 3, beside, all, out), -EBADMSG);
    ck_assert_int_eq(journal_cipher_open(third, 3, beside, all, out), -EBADMSG);
    ck_assert_int_eq(journal_cipher_open(cipher, 3, plain, all, out), -EBADMSG);
    ck_assert_int_eq(journal_cipher_open(cipher, 3, beside, slice_of(sealed, 15), out), -EBADMSG);
    for (size_t i = 0; i < sizeof(sealed); i++) {
        sealed[i] ^= 1;
        ck_assert_int_eq(journal_cipher_open(cipher, 3, beside, all, out), -EBADMSG);
        sealed[i] ^= 1;
    }
    ck_assert_int_eq(journal_cipher_open(cipher, 3, beside, all, out), 0);
    journal_cipher_destroy(cipher);
    journal_cipher_destroy(another);
    journal_cipher_destroy(third);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("encrypted segments");
    TCase *cases = test_suite_case(suite, "all", setup_encrypted, teardown_encrypted);

    tcase_add_loop_test(cases, segments_that_have_ended_are_encrypted_and_read_as_before, 0, 3);
    tcase_add_test(cases, the_wrong_key_is_refused_at_once);
    tcase_add_test(cases, no_journal_is_made_with_a_key_that_is_none);
    tcase_add_loop_test(cases, each_system_call_of_opening_may_fail, 0, 3);
    tcase_add_test(cases,
                   a_reader_without_the_key_sees_what_is_not_encrypted_and_is_told_of_the_rest);
    tcase_add_test(cases, no_two_files_are_encrypted_alike);
    tcase_add_test(cases, a_flipped_byte_never_gives_wrong_frames);
    tcase_add_test(cases, zeros_and_cuts_never_give_wrong_frames);
    tcase_add_test(cases, who_corrects_checksums_is_found_out_all_the_same);
    tcase_add_test(cases, who_leaves_the_encryption_out_is_found_out);
    tcase_add_test(cases, a_block_opens_only_as_it_was_sealed);
    return test_suite_run(suite);
}
