/* test_journal_fixture.h - a journal in a directory of its own, its system calls through a fault.
 *
 * Frames carry numbers: frame n has the id (n, 0) and a payload that only n determines. */
#ifndef MODULES_JOURNAL_TEST_JOURNAL_FIXTURE_H
#define MODULES_JOURNAL_TEST_JOURNAL_FIXTURE_H
#include "modules/base/fault.h"
#include "modules/base/os.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"
#include "modules/io/io.h"
#include "modules/journal/format.h"
#include "modules/journal/journal.h"
#include "modules/journal/journal_reader.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
    char directory[64], path[96];
    struct fault *fault;
    struct io *io;
    struct journal_options options;
    struct journal_report report;
    struct journal *journal;
    struct journal_reader *reader;
    uint64_t next; /* number of the frame that is appended next */
    bool is_text;  /* payloads are such as can be made smaller */
} fixture;

static inline void remove_files(const char *path)
{
    char name[800];
    struct dirent *entry;
    DIR *dir = opendir(path);

    if (!dir) return;
    while ((entry = readdir(dir)) != NULL) {
        (void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.') ck_assert_int_eq(unlink(name), 0);
    }
    closedir(dir);
    ck_assert_int_eq(rmdir(path), 0);
}

static void setup_in(const char *parent, unsigned thread_count)
{
    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), parent, "journal");
    (void)snprintf(fixture.path, sizeof(fixture.path), "%s/j", fixture.directory);
    ck_assert_int_eq(fault_create(os_real(), &fixture.fault), 0);
    ck_assert_int_eq(io_create(fault_os(fixture.fault), thread_count, &fixture.io), 0);
    fixture.options = (struct journal_options){ .path = fixture.path };
    fixture.options.settings.roll_bytes = JOURNAL_ROLL_BYTES_MIN;
    fixture.next = 1;
}

static inline void setup(void)
{
    setup_in("/tmp", 0);
}

/* In a file system without a device, for tests that open a journal thousands of times. */
static inline void setup_in_memory(void)
{
    setup_in("/dev/shm", 0);
}

static inline void setup_with_threads(void)
{
    setup_in("/tmp", 2);
}

static inline void teardown(void)
{
    fault_clear(fixture.fault);
    fault_set_disk(fixture.fault, UINT64_MAX);
    journal_reader_close(fixture.reader);
    (void)journal_close(fixture.journal);
    io_destroy(fixture.io);
    fault_destroy(fixture.fault);
    remove_files(fixture.path);
    ck_assert_int_eq(rmdir(fixture.directory), 0);
}

static inline int try_open(void)
{
    return journal_open(fault_os(fixture.fault), fixture.io, &fixture.options, &fixture.report,
                        &fixture.journal);
}

static inline void open_journal(void)
{
    int rc = try_open();
    ck_assert_msg(rc == 0, "open: %d %s", rc, fixture.report.text);
}

static inline void close_journal(void)
{
    ck_assert_int_eq(journal_close(fixture.journal), 0);
    fixture.journal = NULL;
}

static inline struct journal_info info_now(void)
{
    struct journal_info info;
    journal_get_info(fixture.journal, &info);
    return info;
}

/* A file with a segment's name, far behind the last one: who counts through the numbers between
 * does not come to an end. */
#define STRAY_NUMBER UINT64_C(9999999999)

static inline void make_stray(void)
{
    static const uint8_t bytes[5000] = { 's', 't', 'r', 'a', 'y' };
    char path[160];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%" PRIu64 ".log", fixture.path, STRAY_NUMBER);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    ck_assert_int_eq(close(fd), 0);
}

/* ---- frames -----------------------------------------------------------------------------------
 */

enum { PAYLOAD_BYTES_MAX = 1 << 20 };

/* Fills a payload and returns its size, 0 to 200 bytes, now and then some thousands. */
static inline size_t payload_of(uint64_t number, uint8_t *bytes)
{
    uint64_t state = number * UINT64_C(0x9e3779b97f4a7c15);
    size_t size = number % 50 == 17 ? 3000 + number % 4000 : (state >> 40) % 201;

    for (size_t i = 0; i < size && fixture.is_text; i++)
        bytes[i] = (uint8_t) "0123456789abcdef"[(number >> i % 8 * 4) % 16];
    for (size_t i = 0; i < size && !fixture.is_text; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        bytes[i] = (uint8_t)(state >> 56);
    }
    return size;
}

/* As journal_append, waiting while room is made. */
static inline int append_slices(uint64_t time_ms, const struct slice *parts, size_t part_count)
{
    uint64_t position;
    int rc;

    for (;;) {
        rc = journal_append(fixture.journal, time_ms, 0, parts, part_count, &position);
        if (rc != -EAGAIN) return rc;
        ck_assert_int_eq(journal_wait(fixture.journal), 0);
    }
}

/* Appends the next frame: 0 or an error. */
static inline int append_next(void)
{
    uint8_t bytes[8192];
    size_t size = payload_of(fixture.next, bytes), half = size / 2;
    struct slice parts[2] = { slice_of(bytes, half), slice_of(bytes + half, size - half) };
    int rc = append_slices(fixture.next, parts, 2);

    if (rc == 0) fixture.next++;
    return rc;
}

static inline void append_many(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        ck_assert_int_eq(append_next(), 0);
}

static inline void settle(void)
{
    while (journal_wait(fixture.journal) == 0)
        ;
}

static inline void publish(void)
{
    journal_publish(fixture.journal);
    settle();
}

static inline void sync_all(void)
{
    journal_sync(fixture.journal);
    settle();
    ck_assert_uint_eq(journal_synced(fixture.journal), journal_appended(fixture.journal));
}

static inline uint64_t active_number(void)
{
    return journal_segment_of(journal_appended(fixture.journal));
}

/* Appends until so many segments have ended, and brings all to the device. */
static inline void fill_segments(unsigned count)
{
    uint64_t stop = active_number() + count;

    while (active_number() < stop)
        append_many(1);
    sync_all();
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static inline void open_reader(void)
{
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
    ck_assert_int_eq(journal_reader_open(os_real(), fixture.path, &fixture.reader), 0);
}

static inline void expect_frame(const struct journal_entry *entry, uint64_t number)
{
    uint8_t bytes[8192];
    size_t size = payload_of(number, bytes);

    ck_assert_uint_eq(entry->time_ms, number);
    ck_assert_uint_eq(entry->seq, 0);
    ck_assert(slice_equal(entry->payload, slice_of(bytes, size)));
}

/* The next frames of the reader are [from, to). */
static inline void expect_frames(uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number < to; number++) {
        struct journal_entry entry;
        ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 1);
        expect_frame(&entry, number);
    }
}

static inline void expect_end(void)
{
    struct journal_entry entry;
    ck_assert_int_eq(journal_reader_next(fixture.reader, &entry), 0);
}

/* A new reader sees exactly the frames [from, to). */
static inline void expect_all(uint64_t from, uint64_t to)
{
    open_reader();
    expect_frames(from, to);
    expect_end();
}

/* Of a frame. */
static inline uint64_t position_of(uint64_t number)
{
    uint64_t position;

    open_reader();
    ck_assert_int_eq(journal_reader_seek_id(fixture.reader, number, 0), 0);
    position = journal_reader_position(fixture.reader);
    journal_reader_close(fixture.reader);
    fixture.reader = NULL;
    return position;
}

/* ---- files ------------------------------------------------------------------------------------
 */

static inline int open_file(uint64_t number, const char *suffix)
{
    char name[JOURNAL_FILE_NAME_BYTES], file[160];
    int fd;

    journal_file_name(name, number, suffix);
    (void)snprintf(file, sizeof(file), "%s/%s", fixture.path, name);
    fd = open(file, O_RDWR);
    ck_assert_msg(fd >= 0, "%s: %s", file, strerror(errno));
    return fd;
}

static inline bool file_exists(uint64_t number, const char *suffix)
{
    char name[JOURNAL_FILE_NAME_BYTES], file[160];

    journal_file_name(name, number, suffix);
    (void)snprintf(file, sizeof(file), "%s/%s", fixture.path, name);
    return access(file, F_OK) == 0;
}

static inline void flip_byte(uint64_t number, const char *suffix, uint64_t offset)
{
    int fd = open_file(number, suffix);
    uint8_t byte;

    ck_assert_int_eq(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= 0x10;
    ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

/* A byte of the frame that begins there; once more: it is as it was. */
static inline void damage(uint64_t position, unsigned byte)
{
    flip_byte(journal_segment_of(position), "log", journal_offset_of(position) + byte);
}

/* What a loss of power does to the live page: no process of this boot has published anything. */
static inline void forget_boot(void)
{
    char file[160];
    uint64_t none = 0;
    int fd;

    (void)snprintf(file, sizeof(file), "%s/meta", fixture.path);
    fd = open(file, O_RDWR);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, &none, sizeof(none), 4096), sizeof(none));
    close(fd);
}

/* ---- crashes ----------------------------------------------------------------------------------
 */

/* Does work in a process of its own, in which from the nth system call on nothing works any more,
 * so that it leaves the files as one that is killed there. False: it made fewer calls. */
static inline bool crashes_at(uint64_t nth, void (*work)(void))
{
    int status;
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        fault_fail(fixture.fault, FAULT_ANY, nth, EIO, FAULT_FROM_THEN_ON);
        work();
        _exit(fault_fired(fixture.fault) > 0 ? 1 : 0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) <= 1, "status %x", status);
    return WEXITSTATUS(status) == 1;
}

/* Frames [1, synced) are synced, [synced, next) are not; closed. */
static inline void make_synced_up_to(uint64_t synced, uint64_t next)
{
    open_journal();
    append_many(synced - 1);
    sync_all();
    append_many(next - synced);
    close_journal();
}
#endif
