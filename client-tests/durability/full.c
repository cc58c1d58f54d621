/* A full disk under the log and the lists: what adds is refused with its cause, what removes goes
 * on, and when room has come back so does adding; nothing is lost on the way, a killed server
 * included. */
#include "client-tests/lib/clock.h"
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

enum { ELEMENT_BYTES = 1000, PUSHES_MAX = 100000, BATCH = 100, ROUNDS = 6 };

static const char *arguments[] = { "--appendonly",
                                   "yes",
                                   "--appendfsync",
                                   "everysec",
                                   "--list-memory-max",
                                   "1mb",
                                   "--maxdisk",
                                   "1gb",
                                   "--maxmemory",
                                   "64mb",
                                   NULL };
static struct server_options options = { .own_arguments = arguments };
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
    options.data_directory = mount_point;
    server_start(&server, &options);
    wire = wire_open(&server);
    return true;
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

static const char *element_of(unsigned number)
{
    static char element[ELEMENT_BYTES + 1];

    element_make(element, sizeof(element), number);
    return element;
}

/* Elements [first, …) go into k until one is refused: the number of the first that was. */
static unsigned fill(unsigned first)
{
    struct text reply = { 0 };
    unsigned number = first;

    for (;; number++) {
        text_clear(&reply);
        wire_command(wire, "RPUSH k %s", element_of(number));
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        if (reply.bytes[0] == '-') break;
        ck_assert_uint_lt(number - first, PUSHES_MAX);
    }
    ck_assert_msg(strncmp(reply.bytes, "-MISCONF ", 9) == 0 &&
                      strstr(reply.bytes, "No space left on device"),
                  "%s", reply.bytes);
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

/* Until a push is taken again. */
static void wait_for_room(unsigned number)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;
    struct text reply = { 0 };

    do {
        text_clear(&reply);
        wire_command(wire, "RPUSH k %s", element_of(number));
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        if (reply.bytes[0] == ':') break;
    } while (clock_probe(deadline_ms));
    ck_assert_msg(reply.bytes[0] == ':', "%s", reply.bytes);
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

START_TEST(filled_and_half_emptied_it_goes_on)
{
    unsigned first = 0, end = 0;

    if (!start_on_a_small_disk()) return;
    expect_ok(wire, "SET small value");
    for (unsigned round = 0; round < suite_scaled(ROUNDS); round++) {
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

    arguments[3] = modes[_i]; /* which decides how it is written */
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
    tcase_add_test(cases, a_full_disk_is_emptied_by_whatever_removes);
    tcase_add_test(cases, a_server_killed_on_a_full_disk_starts_again);
    tcase_add_loop_test(cases, room_that_others_took_and_gave_back_is_used, 0, 3);
    return suite_run(suite);
}
