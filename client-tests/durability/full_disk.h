/* full_disk.h - a server on a small disk, filled with one list until it refuses. */
#ifndef CLIENT_TESTS_DURABILITY_FULL_DISK_H
#define CLIENT_TESTS_DURABILITY_FULL_DISK_H
#include "client-tests/lib/clock.h"
#include "client-tests/lib/command.h"
#include "client-tests/lib/element.h"
#include "client-tests/lib/expect.h"
#include "client-tests/lib/observe.h"
#include "client-tests/lib/suite.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    ELEMENT_BYTES = 1000,
    PUSHES_MAX = 100000,
    BATCH = 100,
    PUSHED_AT_ONCE = 20, /* while there is room for so many */
    CHECKPOINTS_MAX = 3, /* until there is room: one may be of an earlier moment, or fail for want
                          * of some */
    SMALL_DISK_BYTES = 64 << 20,
    SMALL_LOG_FILE_BYTES = 1 << 20, /* at most, on a disk of that size */
    SMALL_REST_BYTES = 8 << 20,     /* of a disk that is full: half of it is the log's reserve */
};

#define SMALL                                                                                      \
    "--appendonly", "yes", "--appendfsync", "everysec", "--list-memory-max", "1mb", "--maxmemory", \
        "64mb", "--enable-debug-command", "local", "--enable-transfer-commands", "local",          \
        "--maxdisk"

static const char *full_disk[] = { SMALL, "1gb", NULL };
static const char *const at_limit[] = { SMALL, "16mb", NULL };
static const char *const modes[] = { "always", "everysec", "no" };
enum { MODES = 3, MODE_AT = 3 };
enum { LIMIT_BYTES = 16 << 20 };
static const char *refusal;
static struct server_options options;
static struct server server;
static struct wire *wire;
static char mount_point[512];

static inline const char *size_option(int bytes)
{
    static char option[32];

    (void)snprintf(option, sizeof(option), "size=%d", bytes);
    return option;
}

/* False: this machine does not let us. */
static inline bool start_on_a_small_disk(void)
{
    (void)snprintf(mount_point, sizeof(mount_point), "%s/small", suite_directory());
    ck_assert(mkdir(mount_point, 0700) == 0 || errno == EEXIST);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", mount_point, "tmpfs", 0, size_option(SMALL_DISK_BYTES)) != 0) {
        suite_skip("a full disk: mounting a tmpfs needs root");
        return false;
    }
    refusal = "No space left on device";
    options = (struct server_options){ .own_arguments = full_disk, .data_directory = mount_point };
    server_start(&server, &options);
    wire = wire_open(&server);
    return true;
}

/* The same with that appendfsync, which decides how the log is written. */
static inline bool start_on_a_small_disk_in_mode(int mode)
{
    full_disk[MODE_AT] = modes[mode];
    return start_on_a_small_disk();
}

static inline void start_with_small_maxdisk(void)
{
    refusal = "maxdisk is reached";
    options = (struct server_options){ .own_arguments = at_limit };
    server_start(&server, &options);
    wire = wire_open(&server);
}

/* Of maxdisk an eighth more at most, as a last resort. */
static inline void expect_within_limit(void)
{
    if (options.own_arguments != at_limit) return;
    ck_assert_int_le(info_number(wire, "spill_file_bytes"), LIMIT_BYTES + LIMIT_BYTES / 8);
}

static inline void finish(void)
{
    expect_within_limit();
    wire_close(wire);
    server_stop(&server);
}

static inline void restart(void)
{
    server_kill(&server);
    wire_close(wire);
    server_restart(&server);
    wire = wire_open(&server);
}

/* Which element has that place in what is pushed; NULL: all are different. */
static unsigned (*number_of)(unsigned place);

static inline const char *element_of(unsigned place)
{
    static char element[ELEMENT_BYTES + 1];

    element_make(element, sizeof(element), number_of ? number_of(place) : place);
    return element;
}

/* All of them or none. */
static inline bool push(unsigned first, unsigned count, struct text *reply)
{
    struct text command = { 0 };

    command_begin(&command, 2 + (int)count);
    command_add_string(&command, "RPUSH");
    command_add_string(&command, "k");
    for (unsigned i = 0; i < count; i++)
        command_add_string(&command, element_of(first + i));
    (void)wire_send(wire, command.bytes, command.size);
    text_finish(&command);
    text_clear(reply);
    ck_assert_int_eq(wire_read(wire, reply), 1);
    return reply->bytes[0] != '-';
}

static struct text last_refusal;

/* Elements [first, …) go into k until one is refused: the number of the first that was. */
static inline unsigned fill(unsigned first)
{
    unsigned number = first;

    for (unsigned count = PUSHED_AT_ONCE; count > 0; count = count == 1 ? 0 : 1) {
        for (; push(number, count, &last_refusal); number += count)
            ck_assert_uint_lt(number - first, PUSHES_MAX);
        ck_assert_msg(strncmp(text_string(&last_refusal), "-MISCONF ", 9) == 0 &&
                          strstr(last_refusal.bytes, refusal),
                      "%s", last_refusal.bytes);
    }
    return number;
}

/* Takes [first, end) out, in order. */
static inline void pop(unsigned first, unsigned end)
{
    for (unsigned done = first; done < end;) {
        unsigned count = end - done < BATCH ? end - done : BATCH;

        for (unsigned i = 0; i < count; i++)
            wire_command(wire, "LPOP k");
        for (unsigned i = 0; i < count; i++)
            expect_string(wire, element_of(done + i), "");
        done += count;
    }
}

/* ---- what others take --------------------------------------------------------------------------
 */

static inline const char *foreign_path(void)
{
    static char path[sizeof(mount_point) + 16];

    (void)snprintf(path, sizeof(path), "%s/foreign", mount_point);
    return path;
}

static inline uint64_t free_disk_bytes(void)
{
    struct statvfs disk;

    ck_assert_int_eq(statvfs(mount_point, &disk), 0);
    return (uint64_t)disk.f_bavail * disk.f_frsize;
}

/* Another program takes all room but so much; also what comes back meanwhile. */
static inline void take_room_but(uint64_t left_bytes)
{
    int fd = open(foreign_path(), O_WRONLY | O_CREAT, 0600);
    uint64_t free_bytes;
    struct stat file;

    ck_assert_int_ge(fd, 0);
    while ((free_bytes = free_disk_bytes()) > left_bytes) {
        int rc;

        ck_assert_int_eq(fstat(fd, &file), 0);
        rc = posix_fallocate(fd, file.st_size, (off_t)(free_bytes - left_bytes));
        ck_assert_msg(rc == 0 || rc == ENOSPC, "%s", strerror(rc)); /* somebody was quicker */
    }
    ck_assert_int_eq(close(fd), 0);
}

static inline void give_room(void)
{
    ck_assert_int_eq(unlink(foreign_path()), 0);
}

static inline int64_t ended_checkpoints(void)
{
    return info_number(wire, "aof_rewrites") +
           info_number(wire, "aof_rewrites_consecutive_failures");
}

/* Until a push is taken again: that is a matter of checkpoints, however long they take. */
static inline void wait_for_room(unsigned number)
{
    int64_t began = ended_checkpoints(), deadline_ms = clock_ms() + WAIT_MS, ended;
    struct text reply = { 0 };

    do {
        ended = ended_checkpoints();
        if (push(number, 1, &reply)) break;
    } while (ended - began <= CHECKPOINTS_MAX && clock_probe(deadline_ms));
    ck_assert_msg(reply.bytes[0] == ':', "%s after %lld checkpoints", reply.bytes,
                  (long long)(ended - began));
    text_finish(&reply);
}

/* The files of the log that the last checkpoint made superfluous go behind its answer. */
static inline void wait_until_log_is_trimmed(void)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    while (info_number(wire, "aof_current_size") >
           info_number(wire, "checkpoint_log_bytes") + SMALL_LOG_FILE_BYTES)
        ck_assert(clock_probe(deadline_ms));
}

static inline bool has_rest(void)
{
    if (options.data_directory != mount_point) return false; /* maxdisk does not count the log */
    wait_until_log_is_trimmed();
    return free_disk_bytes() > SMALL_REST_BYTES;
}

/* The last bytes of a disk may be taken when its file is written: then room is made for another. */
static inline void save(void)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    struct text reply = { 0 };

    for (;;) {
        wire_command(wire, "SAVE");
        text_clear(&reply);
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        if (reply.bytes[0] == '+') break;
        ck_assert_msg(options.data_directory == mount_point &&
                          strstr(reply.bytes, "No space left on device"),
                      "%s", reply.bytes);
        ck_assert_msg(clock_probe(deadline_ms), "%s", reply.bytes);
    }
    text_finish(&reply);
}

/* As fill, until even a checkpoint gives no room back: the log, too, has what is pushed. */
static inline unsigned fill_all(void)
{
    unsigned end = fill(0);

    save();
    while (has_rest()) {
        wait_for_room(end++);
        end = fill(end);
        save();
    }
    return end;
}

static inline void expect_contents(unsigned first, unsigned end)
{
    expect_integer(wire, end - first, "LLEN k");
    for (unsigned i = 0; i < 50; i++) {
        unsigned at = (unsigned)((uint64_t)(end - first - 1) * i / 49);

        expect_string(wire, element_of(first + at), "LINDEX k %u", at);
    }
}
#endif
