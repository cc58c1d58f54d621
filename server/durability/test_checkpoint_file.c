/* Checkpoint files written, read back, damaged at every byte, and with every system call failing.
 */
#include "modules/base/test_directory.h"
#include "server/durability/checkpoint_files.h"
#include "server/durability/checkpoint_reader.h"
#include "server/durability/checkpoint_writer.h"

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/base/fault.h"
#include "modules/base/os.h"
#include "modules/base/random.h"
#include "modules/base/test_suite.h"
#include "modules/io/io.h"
#include "modules/pool/packet.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORDS_MAX = 64, LARGE = 300 * 1024 };

struct entry {
    struct checkpoint_record record;
    uint8_t *name, *value;
};

static struct {
    char directory[64], path[96], error[CHECKPOINT_ERROR_BYTES];
    struct fault *fault;
    struct io *io;
    struct random random;
    struct entry entries[RECORDS_MAX];
    unsigned entry_count;
    struct checkpoint_head head;
    unsigned progress_count;
} fixture;

static void setup_with(unsigned thread_count)
{
    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/dev/shm", "checkpoint");
    (void)snprintf(fixture.path, sizeof(fixture.path), "%s/checkpoint-7", fixture.directory);
    ck_assert_int_eq(fault_create(os_real(), &fixture.fault), 0);
    ck_assert_int_eq(io_create(fault_os(fixture.fault), thread_count, &fixture.io), 0);
    random_init(&fixture.random, 3);
    fixture.head = (struct checkpoint_head){ 7, 123456, 1700000000000 };
}

static void setup(void)
{
    setup_with(0);
}

static void setup_with_threads(void)
{
    setup_with(2);
}

static void teardown(void)
{
    for (unsigned i = 0; i < fixture.entry_count; i++) {
        free(fixture.entries[i].name);
        free(fixture.entries[i].value);
    }
    io_destroy(fixture.io);
    fault_destroy(fixture.fault);
    ck_assert_int_eq(checkpoint_files_remove(os_real(), fixture.directory, 0), 0);
    ck_assert_int_eq(rmdir(fixture.directory), 0);
}

/* ---- writing ---- */

static uint8_t *random_bytes(uint64_t size)
{
    uint8_t *bytes = malloc(size + 1);
    ck_assert_ptr_nonnull(bytes);
    for (uint64_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)random_next(&fixture.random);
    return bytes;
}

static void add_entry(enum checkpoint_record_kind kind, uint32_t name_size, uint64_t value_size,
                      int64_t expires_at_ms)
{
    struct entry *entry = &fixture.entries[fixture.entry_count++];
    ck_assert_uint_le(fixture.entry_count, RECORDS_MAX);
    entry->record = (struct checkpoint_record){ kind, kind == CHECKPOINT_STORE ? 0 : 3, name_size,
                                                value_size, expires_at_ms };
    entry->name = random_bytes(name_size);
    entry->value = random_bytes(value_size);
}

static void add_few_entries(void)
{
    add_entry(CHECKPOINT_STRING, 3, 10, -1);
    add_entry(CHECKPOINT_STRING, 0, 0, 1700000000001);
    add_entry(CHECKPOINT_LIST, 20, 200, -1);
    add_entry(CHECKPOINT_STORE, 0, 64, -1);
    add_entry(CHECKPOINT_STREAM, 5, 100, 1700000000002);
    add_entry(CHECKPOINT_GROUPS, 5, 100, -1);
}

static void add_all_sorts_of_entries(void)
{
    add_few_entries();
    add_entry(CHECKPOINT_STRING, 70000, 5, 0);
    add_entry(CHECKPOINT_STRING, 5, LARGE, -2);
    for (unsigned i = 0; i < 40; i++)
        add_entry(CHECKPOINT_STRING, (uint32_t)random_below(&fixture.random, 30),
                  random_below(&fixture.random, 20000), (int64_t)random_below(&fixture.random, 99));
}

static void put_entry(struct checkpoint_writer *writer, const struct entry *entry)
{
    struct slice value = slice_of(entry->value, entry->record.value_size);
    struct packet *packet;
    checkpoint_writer_begin_record(writer, &entry->record,
                                   slice_of(entry->name, entry->record.name_size));
    if (value.size < LARGE) {
        checkpoint_writer_put(writer, value);
        return;
    }
    ck_assert_int_eq(packet_create(value, &packet), 0);
    checkpoint_writer_put_packet(writer, packet);
    packet_unref(packet);
}

static void count_progress(void *context)
{
    ck_assert_ptr_eq(context, &fixture);
    fixture.progress_count++;
}

static struct checkpoint_writer *create_writer(void)
{
    struct checkpoint_writer *writer;
    ck_assert_int_eq(checkpoint_writer_create(fault_os(fixture.fault), fixture.io,
                                              fixture.directory, &fixture.head, count_progress,
                                              &fixture, &writer),
                     0);
    return writer;
}

static void wait_until_ended(const struct checkpoint_writer *writer)
{
    while (checkpoint_writer_state(writer) != CHECKPOINT_WRITER_DONE &&
           checkpoint_writer_state(writer) != CHECKPOINT_WRITER_FAILED)
        ck_assert_uint_gt(io_wait(fixture.io), 0);
}

/* What the writer ended with: 0, or an error, and then no file is left. */
static int write_file(void)
{
    struct checkpoint_writer *writer = create_writer();
    int rc;
    for (unsigned i = 0; i < fixture.entry_count; i++)
        put_entry(writer, &fixture.entries[i]);
    checkpoint_writer_finish(writer);
    wait_until_ended(writer);
    rc = checkpoint_writer_error(writer);
    ck_assert_uint_gt(fixture.progress_count, 0);
    ck_assert_uint_eq(checkpoint_writer_pending_bytes(writer), 0);
    ck_assert((rc == 0) == (checkpoint_writer_state(writer) == CHECKPOINT_WRITER_DONE));
    ck_assert(rc == 0 || strlen(checkpoint_writer_failed_step(writer)) > 0);
    if (rc < 0 && !checkpoint_writer_has_strayed(writer))
        ck_assert_int_lt(access(fixture.path, F_OK), 0);
    checkpoint_writer_destroy(writer);
    return rc;
}

/* ---- reading ---- */

static bool has_same_fields(const struct checkpoint_record *a, const struct checkpoint_record *b)
{
    return a->kind == b->kind && a->database == b->database && a->name_size == b->name_size &&
           a->value_size == b->value_size && a->expires_at_ms == b->expires_at_ms;
}

static bool is_same(struct checkpoint_reader *reader, const struct checkpoint_record *record,
                    const struct entry *entry)
{
    uint64_t size = entry->record.name_size + entry->record.value_size;
    uint8_t *bytes;
    bool same;
    if (!has_same_fields(record, &entry->record)) return false;
    bytes = malloc(size + 1);
    ck_assert_ptr_nonnull(bytes);
    same = checkpoint_reader_read(reader, bytes, record->name_size) == 0 &&
           checkpoint_reader_read(reader, bytes + record->name_size, (size_t)record->value_size) ==
               0 &&
           memcmp(bytes, entry->name, record->name_size) == 0 &&
           memcmp(bytes + record->name_size, entry->value, record->value_size) == 0;
    free(bytes);
    return same;
}

/* Reads through, passing over contents: 0 when the file is whole. */
static int read_through(struct checkpoint_reader *reader, unsigned *out_count)
{
    struct checkpoint_record record;
    int rc;
    *out_count = 0;
    while ((rc = checkpoint_reader_next(reader, &record)) == 1)
        ++*out_count;
    return rc;
}

static void expect_file(void)
{
    struct checkpoint_reader *reader;
    struct checkpoint_record record;
    unsigned count;
    ck_assert_int_eq(checkpoint_reader_open(os_real(), fixture.path, fixture.error, &reader), 0);
    ck_assert(memcmp(checkpoint_reader_head(reader), &fixture.head, sizeof(fixture.head)) == 0);
    ck_assert_int_eq(read_through(reader, &count), 0);
    ck_assert_uint_eq(count, fixture.entry_count);
    checkpoint_reader_rewind(reader);
    for (unsigned i = 0; i < fixture.entry_count; i++) {
        ck_assert_int_eq(checkpoint_reader_next(reader, &record), 1);
        if (!is_same(reader, &record, &fixture.entries[i])) ck_abort_msg("record %u differs", i);
    }
    ck_assert_int_eq(checkpoint_reader_next(reader, &record), 0);
    checkpoint_reader_close(reader);
}

/* 0: it was read through without complaint. */
static int try_file(void)
{
    struct checkpoint_reader *reader;
    unsigned count;
    int rc = checkpoint_reader_open(os_real(), fixture.path, fixture.error, &reader);
    if (rc == 0) {
        rc = read_through(reader, &count);
        checkpoint_reader_close(reader);
    }
    ck_assert((rc == 0) == (fixture.error[0] == '\0'));
    if (rc < 0) ck_assert_ptr_nonnull(strstr(fixture.error, fixture.path));
    return rc;
}

static size_t read_bytes(uint8_t **out_bytes)
{
    int fd = open(fixture.path, O_RDONLY);
    off_t size = lseek(fd, 0, SEEK_END);
    ck_assert_int_gt(size, 0);
    *out_bytes = malloc((size_t)size + 1); /* so that one can be added */
    ck_assert_ptr_nonnull(*out_bytes);
    ck_assert_int_eq(pread(fd, *out_bytes, (size_t)size, 0), size);
    (void)close(fd);
    return (size_t)size;
}

static void replace_bytes(const uint8_t *bytes, size_t size)
{
    int fd = open(fixture.path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    (void)close(fd);
}

/* ---- tests ---- */

START_TEST(what_was_written_is_read_back)
{
    add_all_sorts_of_entries();
    ck_assert_int_eq(write_file(), 0);
    expect_file();
}
END_TEST

START_TEST(a_file_without_records_is_whole)
{
    ck_assert_int_eq(write_file(), 0);
    expect_file();
}
END_TEST

START_TEST(short_transfers_do_not_matter)
{
    add_all_sorts_of_entries();
    fault_limit_transfer(fixture.fault, 1000);
    ck_assert_int_eq(write_file(), 0);
    expect_file();
}
END_TEST

START_TEST(a_file_is_written_while_it_is_put_together)
{
    struct checkpoint_writer *writer = create_writer();
    add_entry(CHECKPOINT_STRING, 5, LARGE, -1);
    for (int i = 0; i < 30; i++) {
        put_entry(writer, &fixture.entries[0]);
        while (checkpoint_writer_pending_bytes(writer) > LARGE)
            ck_assert_uint_gt(io_wait(fixture.io), 0);
    }
    ck_assert_uint_gt(checkpoint_writer_written_bytes(writer), 20 * LARGE);
    ck_assert_uint_lt(checkpoint_writer_memory_bytes(writer), 2 * LARGE);
    checkpoint_writer_finish(writer);
    wait_until_ended(writer);
    ck_assert_int_eq(checkpoint_writer_error(writer), 0);
    checkpoint_writer_destroy(writer);
    ck_assert_int_eq(try_file(), 0);
}
END_TEST

START_TEST(every_system_call_may_fail_and_leaves_no_file)
{
    uint64_t failures = 0;
    add_all_sorts_of_entries();
    for (uint64_t nth = 1;; nth++) {
        uint64_t fired;
        int rc;
        fault_fail(fixture.fault, FAULT_ANY, nth, nth % 2 ? EIO : ENOSPC, FAULT_ONCE);
        rc = write_file();
        fired = fault_fired(fixture.fault);
        fault_clear(fixture.fault);
        ck_assert_int_eq(checkpoint_files_remove(os_real(), fixture.directory, 7), 0);
        if (fired == 0) {
            ck_assert_int_eq(rc, 0);
            break;
        }
        ck_assert_int_eq(rc, nth % 2 ? -EIO : -ENOSPC);
        failures++;
    }
    ck_assert_uint_gt(failures, 6);
    expect_file();
}
END_TEST

/* A large file is synced now and then while it is written. */
START_TEST(a_sync_amid_a_large_file_may_fail)
{
    enum { VERY_LARGE = 33 * 1024 * 1024 };

    add_entry(CHECKPOINT_STRING, 5, VERY_LARGE, -1);
    add_entry(CHECKPOINT_STRING, 5, 10, -1);
    fault_fail(fixture.fault, FAULT_FDATASYNC, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(write_file(), -EIO);
    ck_assert_uint_eq(fault_fired(fixture.fault), 1);
    ck_assert_uint_eq(fault_count(fixture.fault, FAULT_FSYNC), 0); /* it was not made again */
    ck_assert_int_eq(write_file(), 0);
    expect_file();
}
END_TEST

START_TEST(a_name_that_cannot_be_taken_back_is_told_of)
{
    struct checkpoint_writer *writer = create_writer();
    fault_fail(fixture.fault, FAULT_FSYNC_DIRECTORY, 1, EIO, FAULT_FROM_THEN_ON);
    checkpoint_writer_finish(writer);
    wait_until_ended(writer);
    ck_assert_int_eq(checkpoint_writer_error(writer), -EIO);
    ck_assert(checkpoint_writer_has_strayed(writer));
    checkpoint_writer_destroy(writer);
    ck_assert_int_eq(checkpoint_files_remove(fault_os(fixture.fault), fixture.directory, 0), -EIO);
    fault_clear(fixture.fault);
}
END_TEST

START_TEST(what_is_canceled_leaves_no_file)
{
    uint64_t newest;
    struct checkpoint_writer *writer = create_writer();
    add_all_sorts_of_entries();
    for (unsigned i = 0; i < fixture.entry_count; i++)
        put_entry(writer, &fixture.entries[i]);
    checkpoint_writer_cancel(writer, -ECANCELED);
    wait_until_ended(writer);
    ck_assert_int_eq(checkpoint_writer_error(writer), -ECANCELED);
    checkpoint_writer_destroy(writer);
    checkpoint_writer_destroy(create_writer()); /* at once */
    ck_assert_int_eq(checkpoint_files_newest(os_real(), fixture.directory, &newest), 0);
    ck_assert_uint_eq(newest, 0);
    ck_assert_int_eq(rmdir(fixture.directory), 0);
    ck_assert_int_eq(os_real()->mkdir(os_real(), fixture.directory, 0700), 0);
}
END_TEST

START_TEST(every_changed_byte_is_noticed)
{
    uint8_t *bytes;
    size_t size;
    add_few_entries();
    ck_assert_int_eq(write_file(), 0);
    size = read_bytes(&bytes);
    for (size_t i = 0; i < size; i++) {
        uint8_t mask = (uint8_t)(1 + random_below(&fixture.random, 255));
        bytes[i] ^= mask;
        replace_bytes(bytes, size);
        if (try_file() == 0) ck_abort_msg("byte %zu of %zu with mask %u", i, size, mask);
        bytes[i] ^= mask;
    }
    replace_bytes(bytes, size);
    expect_file();
    free(bytes);
}
END_TEST

START_TEST(a_file_that_was_cut_is_refused)
{
    uint8_t *bytes;
    size_t size;
    add_few_entries();
    ck_assert_int_eq(write_file(), 0);
    size = read_bytes(&bytes);
    for (size_t i = 0; i < size; i++) {
        replace_bytes(bytes, i);
        ck_assert_int_eq(try_file(), -EBADMSG);
    }
    bytes[size] = 0;
    replace_bytes(bytes, size + 1);
    ck_assert_int_eq(try_file(), -EBADMSG);
    free(bytes);
}
END_TEST

START_TEST(a_block_of_zeros_is_refused_and_its_place_is_named)
{
    enum { SECTOR = 4096 };
    uint8_t *bytes, kept[SECTOR];
    size_t size;
    add_all_sorts_of_entries();
    ck_assert_int_eq(write_file(), 0);
    size = read_bytes(&bytes);
    for (size_t at = 0; at + SECTOR <= size; at += SECTOR) {
        memcpy(kept, bytes + at, SECTOR);
        memset(bytes + at, 0, SECTOR);
        replace_bytes(bytes, size);
        ck_assert_int_eq(try_file(), -EBADMSG);
        ck_assert_ptr_nonnull(strstr(fixture.error, "at offset"));
        memcpy(bytes + at, kept, SECTOR);
    }
    free(bytes);
}
END_TEST

START_TEST(blocks_in_another_order_are_refused)
{
    enum { BLOCK = CHECKPOINT_BLOCK_HEADER_BYTES + CHECKPOINT_BLOCK_DATA_MAX };
    uint8_t *bytes, *first = malloc(BLOCK);
    size_t size;
    ck_assert_ptr_nonnull(first);
    for (int i = 0; i < 3; i++)
        add_entry(CHECKPOINT_STRING, 5, LARGE, -1);
    ck_assert_int_eq(write_file(), 0);
    size = read_bytes(&bytes);
    ck_assert_uint_gt(size, CHECKPOINT_HEAD_BYTES + 2 * BLOCK);
    memcpy(first, bytes + CHECKPOINT_HEAD_BYTES, BLOCK);
    memcpy(bytes + CHECKPOINT_HEAD_BYTES, bytes + CHECKPOINT_HEAD_BYTES + BLOCK, BLOCK);
    memcpy(bytes + CHECKPOINT_HEAD_BYTES + BLOCK, first, BLOCK);
    replace_bytes(bytes, size);
    ck_assert_int_eq(try_file(), -EBADMSG);
    free(bytes);
    free(first);
}
END_TEST

START_TEST(another_version_is_refused_by_its_number)
{
    uint8_t *bytes;
    size_t size;
    add_few_entries();
    ck_assert_int_eq(write_file(), 0);
    size = read_bytes(&bytes);
    store_u32le(bytes + 8, CHECKPOINT_VERSION + 1);
    replace_bytes(bytes, size);
    ck_assert_int_eq(try_file(), -EPROTONOSUPPORT);
    ck_assert_ptr_nonnull(strstr(fixture.error, "is version 3"));
    free(bytes);
}
END_TEST

static uint32_t head_sum(const uint8_t *head)
{
    static const uint8_t zero[4];
    uint32_t sum = crc32c(crc32c(0, head, 12), zero, sizeof(zero));

    return crc32c(sum, head + 16, CHECKPOINT_HEAD_BYTES - 16);
}

/* As a server without streams wrote it: its head, and the blocks that are seeded with that. */
START_TEST(the_version_before_streams_is_read)
{
    uint32_t size, seed;
    size_t at = CHECKPOINT_HEAD_BYTES, bytes_size;
    uint8_t *bytes;

    add_entry(CHECKPOINT_STRING, 3, 10, -1);
    add_entry(CHECKPOINT_LIST, 20, LARGE, -1);
    ck_assert_int_eq(write_file(), 0);
    bytes_size = read_bytes(&bytes);
    ck_assert_uint_eq(load_u32le(bytes + 8), 2);
    store_u32le(bytes + 8, 1);
    seed = head_sum(bytes);
    store_u32le(bytes + 12, seed);
    for (; at < bytes_size; at += CHECKPOINT_BLOCK_HEADER_BYTES + size) {
        size = load_u32le(bytes + at + 4);
        checkpoint_block_seal(bytes + at, size,
                              (enum checkpoint_block_kind)load_u32le(bytes + at + 8), at, seed);
    }
    replace_bytes(bytes, bytes_size);
    expect_file();
    free(bytes);
}
END_TEST

START_TEST(the_newest_file_is_found_and_the_others_are_removed)
{
    static const char *const names[] = { "checkpoint-2",  "checkpoint-10", "checkpoint-11.tmp",
                                         "checkpoint-",   "checkpoint-x",  "checkpoint-3.tmpx",
                                         "checkpoint-07", "other" };
    uint64_t newest;
    char path[160];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int fd;
        (void)snprintf(path, sizeof(path), "%s/%s", fixture.directory, names[i]);
        fd = open(path, O_WRONLY | O_CREAT, 0600);
        ck_assert_int_ge(fd, 0);
        (void)close(fd);
    }
    ck_assert_int_eq(checkpoint_files_newest(os_real(), fixture.directory, &newest), 0);
    ck_assert_uint_eq(newest, 10);
    ck_assert_int_eq(checkpoint_files_remove(os_real(), fixture.directory, newest), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        bool stays = i != 0 && i != 2;
        (void)snprintf(path, sizeof(path), "%s/%s", fixture.directory, names[i]);
        ck_assert_int_eq(access(path, F_OK), stays ? 0 : -1);
        if (stays) ck_assert_int_eq(unlink(path), 0);
    }
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_told_of)
{
    add_all_sorts_of_entries();
    ck_assert_int_eq(try_file(), -ENOENT);
    ck_assert_int_eq(write_file(), 0);
    for (uint64_t nth = 1;; nth++) {
        struct checkpoint_reader *reader;
        uint64_t fired;
        unsigned count;
        int rc;
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        rc = checkpoint_reader_open(fault_os(fixture.fault), fixture.path, fixture.error, &reader);
        if (rc == 0) {
            rc = read_through(reader, &count);
            fired = fault_fired(fixture.fault);
            checkpoint_reader_close(reader); /* may fail to close: nobody minds */
        } else {
            fired = fault_fired(fixture.fault);
        }
        fault_clear(fixture.fault);
        if (fired == 0) {
            ck_assert_int_eq(rc, 0);
            ck_assert_uint_gt(nth, 4);
            break;
        }
        ck_assert_int_eq(rc, -EIO);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint file");
    TCase *files = test_suite_case(suite, "files", setup, teardown);
    TCase *threads = test_suite_case(suite, "threads", setup_with_threads, teardown);

    tcase_add_test(files, what_was_written_is_read_back);
    tcase_add_test(files, a_file_without_records_is_whole);
    tcase_add_test(files, short_transfers_do_not_matter);
    tcase_add_test(files, every_system_call_may_fail_and_leaves_no_file);
    tcase_add_test(files, a_sync_amid_a_large_file_may_fail);
    tcase_add_test(files, a_name_that_cannot_be_taken_back_is_told_of);
    tcase_add_test(files, what_is_canceled_leaves_no_file);
    tcase_add_test(files, every_changed_byte_is_noticed);
    tcase_add_test(files, a_file_that_was_cut_is_refused);
    tcase_add_test(files, a_block_of_zeros_is_refused_and_its_place_is_named);
    tcase_add_test(files, blocks_in_another_order_are_refused);
    tcase_add_test(files, the_version_before_streams_is_read);
    tcase_add_test(files, another_version_is_refused_by_its_number);
    tcase_add_test(files, the_newest_file_is_found_and_the_others_are_removed);
    tcase_add_test(files, a_file_that_cannot_be_read_is_told_of);
    tcase_add_test(threads, what_was_written_is_read_back);
    tcase_add_test(threads, a_file_is_written_while_it_is_put_together);
    tcase_add_test(threads, what_is_canceled_leaves_no_file);
    return test_suite_run(suite);
}
