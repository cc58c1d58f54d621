/* A full disk under the log and the lists: what adds is refused with its cause, what removes goes
 * on, and when room has come back so does adding; nothing is lost on the way, a killed server
 * included. */
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
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ELEMENT_BYTES = 1000,
    PUSHES_MAX = 100000,
    BATCH = 100,
    PUSHED_AT_ONCE = 20, /* while there is room for so many */
    ROUNDS = 3,
    CHECKPOINTS_MAX = 3, /* until there is room: one may be of an earlier moment, or fail for want
                          * of some */
};

#define SMALL                                                                                      \
    "--appendonly", "yes", "--appendfsync", "everysec", "--list-memory-max", "1mb", "--maxmemory", \
        "64mb", "--maxdisk"

static const char *full_disk[] = { SMALL, "1gb", NULL };
static const char *const at_limit[] = { SMALL, "16mb", NULL };
static const char *refusal;
static struct server_options options;
static struct server server;
static struct wire *wire;
static char mount_point[512];

/* False: this machine does not let us. */
static bool start_on_a_small_disk(void)
{
    (void)snprintf(mount_point, sizeof(mount_point), "%s/small", suite_directory());
    ck_assert(mkdir(mount_point, 0700) == 0 || errno == EEXIST);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", mount_point, "tmpfs", 0, "size=64m") != 0) {
        suite_skip("a full disk: mounting a tmpfs needs root");
        return false;
    }
    refusal = "No space left on device";
    options = (struct server_options){ .own_arguments = full_disk, .data_directory = mount_point };
    server_start(&server, &options);
    wire = wire_open(&server);
    return true;
}

static void start_with_small_maxdisk(void)
{
    refusal = "maxdisk is reached";
    options = (struct server_options){ .own_arguments = at_limit };
    server_start(&server, &options);
    wire = wire_open(&server);
}

static void finish(void)
{
    wire_close(wire);
    server_stop(&server);
}

static void restart(void)
{
    server_kill(&server);
    wire_close(wire);
    server_restart(&server);
    wire = wire_open(&server);
}

/* All different, but each so-manieth when mark_every says so. */
static unsigned mark_every;

static const char *element_of(unsigned number)
{
    static char element[ELEMENT_BYTES + 1];

    if (mark_every > 0 && number % mark_every == 0) number = 0;
    element_make(element, sizeof(element), number);
    return element;
}

/* All of them or none. */
static bool push(unsigned first, unsigned count, struct text *reply)
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

/* Elements [first, …) go into k until one is refused: the number of the first that was. */
static unsigned fill(unsigned first)
{
    struct text reply = { 0 };
    unsigned number = first;

    for (unsigned count = PUSHED_AT_ONCE; count > 0; count = count == 1 ? 0 : 1) {
        for (; push(number, count, &reply); number += count)
            ck_assert_uint_lt(number - first, PUSHES_MAX);
        ck_assert_msg(strncmp(reply.bytes, "-MISCONF ", 9) == 0 && strstr(reply.bytes, refusal),
                      "%s", reply.bytes);
    }
    text_finish(&reply);
    return number;
}

/* Takes [first, end) out, in order. */
static void pop(unsigned first, unsigned end)
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

static int64_t ended_checkpoints(void)
{
    return info_number(wire, "aof_rewrites") +
           info_number(wire, "aof_rewrites_consecutive_failures");
}

/* Until a push is taken again: that is a matter of checkpoints, however long they take. */
static void wait_for_room(unsigned number)
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

static void expect_contents(unsigned first, unsigned end)
{
    expect_integer(wire, end - first, "LLEN k");
    for (unsigned i = 0; i < 50; i++) {
        unsigned at = (unsigned)((uint64_t)(end - first - 1) * i / 49);

        expect_string(wire, element_of(first + at), "LINDEX k %u", at);
    }
}

static void fill_and_half_empty(unsigned rounds)
{
    unsigned first = 0, end = 0;

    expect_ok(wire, "SET small value");
    for (unsigned round = 0; round < rounds; round++) {
        unsigned before = end;

        end = fill(end);
        ck_assert_uint_gt(end, before); /* wait_for_room pushed one already */
        expect_contents(first, end);
        expect_string(wire, "value", "GET small");
        pop(first, first + (end - first) / 2);
        first += (end - first) / 2;
        wait_for_room(end++);
    }
    restart();
    expect_contents(first, end);
    finish();
}

START_TEST(filled_and_half_emptied_it_goes_on)
{
    if (start_on_a_small_disk()) fill_and_half_empty(suite_scaled(ROUNDS));
}
END_TEST

START_TEST(at_maxdisk_it_goes_on_as_well)
{
    start_with_small_maxdisk();
    fill_and_half_empty(2);
}
END_TEST

/* Elements [0, end) in order, from the head to the tail. */
static void turn(unsigned end)
{
    for (unsigned done = 0; done < end;) {
        unsigned count = end - done < BATCH ? end - done : BATCH;

        for (unsigned i = 0; i < count; i++)
            wire_command(wire, "BLMOVE k k LEFT RIGHT 0");
        for (unsigned i = 0; i < count; i++)
            expect_string(wire, element_of(done + i), "");
        done += count;
    }
}

/* What a move frees is kept for the last checkpoint, and it takes as much: it waits for the next
 * one, which always finds room. */
static void turn_while_full(unsigned most)
{
    unsigned end = fill(0), moved;

    expect_ok(wire, "SAVE");
    end = fill(end);
    moved = end < most ? end : most;
    turn(moved);
    expect_integer(wire, end, "LLEN k");
    expect_string(wire, element_of(moved % end), "LINDEX k 0");
    expect_string(wire, element_of(moved - 1), "LINDEX k -1");
    ck_assert_int_eq(info_number(wire, "aof_rewrites_consecutive_failures"), 0);
    expect_ok(wire, "LTRIM k 0 %u", end / 2);
    wait_for_room(0);
    finish();
}

START_TEST(a_list_on_a_full_disk_is_moved_as_a_whole)
{
    if (start_on_a_small_disk()) turn_while_full(PUSHES_MAX);
}
END_TEST

START_TEST(a_list_at_maxdisk_is_moved)
{
    start_with_small_maxdisk();
    turn_while_full(2000);
}
END_TEST

/* What is left of each chunk takes room beside what was there, until the next checkpoint: all of it
 * finds none, a few at a time do. */
START_TEST(lrem_removes_what_finds_room_or_nothing)
{
    unsigned end, marks;

    start_with_small_maxdisk();
    mark_every = 200;
    end = fill(0);
    marks = (end + mark_every - 1) / mark_every;
    expect_ok(wire, "SAVE");
    expect_error(wire, "MISCONF maxdisk is reached", "LREM k 0 %s", element_of(0));
    expect_contents(0, end);
    for (unsigned removed = 0; removed + 2 <= marks; removed += 2)
        expect_integer(wire, 2, "LREM k -2 %s", element_of(0));
    expect_integer(wire, marks % 2, "LREM k 0 %s", element_of(0));
    expect_integer(wire, end - marks, "LLEN k");
    ck_assert(!server_log_has(&server, "failed while"));
    expect_ok(wire, "LTRIM k 0 %u", end / 2);
    wait_for_room(end);
    finish();
}
END_TEST

START_TEST(a_full_disk_is_emptied_by_whatever_removes)
{
    unsigned end;

    if (!start_on_a_small_disk()) return;
    end = fill(0);
    for (unsigned i = 0; i < 2000; i++)
        wire_command(wire, "BLMOVE k moved LEFT RIGHT 0");
    for (unsigned i = 0; i < 2000; i++)
        expect_string(wire, element_of(i), "");
    for (unsigned i = 2000; i < 2050; i++)
        expect_integer(wire, 1, "LREM k 0 %s", element_of(i));
    expect_ok(wire, "LTRIM k 50 -1");
    expect_integer(wire, 1, "EXPIRE moved 10000");
    expect_contents(2100, end);
    expect_string(wire, element_of(1999), "LINDEX moved -1");
    expect_integer(wire, 1, "DEL moved");
    wait_for_room(end++);
    expect_contents(2100, end);
    finish();
}
END_TEST

START_TEST(a_server_killed_on_a_full_disk_starts_again)
{
    unsigned end;

    if (!start_on_a_small_disk()) return;
    end = fill(0);
    restart();
    expect_contents(0, end);
    pop(0, end / 2);
    wait_for_room(end++);
    restart();
    expect_contents((end - 1) / 2, end);
    finish();
}
END_TEST

/* Takes all room that is left, as another program may. */
static void take_room(const char *path)
{
    static const char bytes[65536];
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    ck_assert_int_ge(fd, 0);
    while (write(fd, bytes, sizeof(bytes)) > 0) {}
    ck_assert_int_eq(errno, ENOSPC);
    ck_assert_int_eq(close(fd), 0);
}

/* It is no failure of the log: it is not replaced, and nothing has to be started again. */
START_TEST(room_that_others_took_and_gave_back_is_used)
{
    static const char *const modes[] = { "always", "everysec", "no" };
    char path[sizeof(mount_point) + 16];
    unsigned end = 0;

    full_disk[3] = modes[_i]; /* which decides how it is written */
    if (!start_on_a_small_disk()) return;
    (void)snprintf(path, sizeof(path), "%s/foreign", mount_point);
    for (unsigned round = 0; round < 3; round++) {
        take_room(path);
        end = fill(end);
        expect_contents(0, end);
        ck_assert_int_eq(unlink(path), 0);
        wait_for_room(end++);
    }
    ck_assert_int_eq(info_number(wire, "log_replaced"), 0);
    restart();
    expect_contents(0, end);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("full disk");
    TCase *cases = suite_case(suite, "full disk");

    tcase_add_test(cases, filled_and_half_emptied_it_goes_on);
    tcase_add_test(cases, at_maxdisk_it_goes_on_as_well);
    tcase_add_test(cases, a_list_on_a_full_disk_is_moved_as_a_whole);
    tcase_add_test(cases, a_list_at_maxdisk_is_moved);
    tcase_add_test(cases, lrem_removes_what_finds_room_or_nothing);
    tcase_add_test(cases, a_full_disk_is_emptied_by_whatever_removes);
    tcase_add_test(cases, a_server_killed_on_a_full_disk_starts_again);
    tcase_add_loop_test(cases, room_that_others_took_and_gave_back_is_used, 0, 3);
    return suite_run(suite);
}
