/* test_oplog_fixture.h - an operation log in a directory of its own, its system calls through a
 * fault, its jobs run when the test says so. Command n is "SET n" in database n % 3. */
#ifndef SERVER_DURABILITY_TEST_OPLOG_FIXTURE_H
#define SERVER_DURABILITY_TEST_OPLOG_FIXTURE_H
#include "modules/base/fault.h"
#include "modules/base/os.h"
#include "modules/base/test_directory.h"
#include "modules/io/io.h"
#include "server/durability/log_frame.h"
#include "server/durability/oplog.h"
#include "server/durability/replay.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    char directory[64], path[96];
    struct fault *fault;
    struct io *io;
    struct oplog_options options;
    struct journal_report report;
    struct oplog *oplog;
    unsigned progress_count;
    uint64_t next;   /* number of the command that is appended next */
    uint64_t now_us; /* what the turns are told */
} fixture;

static void count_progress(void *context)
{
    (void)context;
    fixture.progress_count++;
}

static void set_up(void)
{
    memset(&fixture, 0, sizeof(fixture));
    test_directory_make(fixture.directory, sizeof(fixture.directory), "/tmp", "oplog");
    (void)snprintf(fixture.path, sizeof(fixture.path), "%s/log", fixture.directory);
    ck_assert_int_eq(fault_create(os_real(), &fixture.fault), 0);
    ck_assert_int_eq(io_create(fault_os(fixture.fault), 0, &fixture.io), 0);
    fixture.options = (struct oplog_options){ .directory = fixture.directory,
                                              .fsync = OPLOG_FSYNC_ALWAYS,
                                              .roll_bytes = 256 << 10,
                                              .on_progress = count_progress };
    fixture.now_us = 1000000000;
}

static void tear_down(void)
{
    fault_clear(fixture.fault);
    fault_set_disk(fixture.fault, UINT64_MAX);
    (void)oplog_close(fixture.oplog);
    io_destroy(fixture.io);
    fault_destroy(fixture.fault);
    test_directory_remove(fixture.directory);
}

static inline int try_open(void)
{
    return oplog_open(fault_os(fixture.fault), fixture.io, &fixture.options, &fixture.report,
                      &fixture.oplog);
}

static inline void open_log(enum oplog_fsync fsync)
{
    fixture.options.fsync = fsync;
    ck_assert_int_eq(try_open(), 0);
}

static inline void close_log(void)
{
    ck_assert_int_eq(oplog_close(fixture.oplog), 0);
    fixture.oplog = NULL;
}

static inline struct oplog_info info_now(void)
{
    struct oplog_info info;

    oplog_get_info(fixture.oplog, &info);
    return info;
}

/* Jobs run until none is under way. */
static inline void settle(void)
{
    while (io_wait(fixture.io) > 0) {}
}

static inline int append_at(int64_t now_ms)
{
    struct log_frame frame = { 0 };
    char digits[32];
    struct slice arguments[2] = { SLICE_LITERAL("SET") };
    int rc;

    (void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)fixture.next);
    arguments[1] = slice_of_string(digits);
    ck_assert_int_eq(log_frame_add(&frame, (unsigned)(fixture.next % 3), arguments, 2), 0);
    rc = oplog_append(fixture.oplog, now_ms, frame.database, slice_of(frame.bytes, frame.size));
    if (rc == 0) fixture.next++;
    log_frame_finish(&frame);
    return rc;
}

static inline void append(void)
{
    ck_assert_int_eq(append_at((int64_t)(fixture.now_us / 1000)), 0);
}

static inline uint64_t commit(void)
{
    return oplog_commit(fixture.oplog, fixture.now_us);
}

/* ---- reading it again -------------------------------------------------------------------------
 */

static struct {
    uint64_t next;
    int64_t last_ms;
    uint64_t refused; /* this one cannot be done */
} replayed;

static inline int replay_one(void *context, int64_t time_ms, unsigned database,
                             struct slice *arguments, uint32_t argument_count,
                             char text[REPLAY_TEXT_BYTES])
{
    char digits[32];

    (void)context;
    if (replayed.next == replayed.refused) {
        (void)snprintf(text, REPLAY_TEXT_BYTES, "no");
        return -EBADMSG;
    }
    (void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)replayed.next);
    ck_assert_uint_eq(argument_count, 2);
    ck_assert(slice_equal(arguments[1], slice_of_string(digits)));
    ck_assert_uint_eq(database, replayed.next % 3);
    ck_assert_int_ge(time_ms, replayed.last_ms);
    replayed.last_ms = time_ms;
    replayed.next++;
    return 0;
}

/* Commands [from, to) are what the log holds from position on. */
static inline void expect_replay(uint64_t position, uint64_t from, uint64_t to)
{
    struct replay_options options = { .position = position, .apply = replay_one };
    struct replay_progress progress;
    struct replay *replay = NULL;

    replayed.next = from;
    replayed.last_ms = 0;
    replayed.refused = UINT64_MAX;
    ck_assert_int_eq(replay_open(os_real(), fixture.oplog, &options, &replay), 0);
    ck_assert_int_eq(replay_step(replay, UINT64_MAX), 0);
    replay_get_progress(replay, &progress);
    ck_assert_uint_eq(progress.loaded_bytes, progress.total_bytes);
    ck_assert_uint_eq(progress.command_count, to - from);
    ck_assert_uint_eq(replayed.next, to);
    replay_close(replay);
}

static inline void reopen(enum oplog_fsync fsync)
{
    close_log();
    open_log(fsync);
}
#endif
