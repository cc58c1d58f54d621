/* A full disk under the log and the lists: what adds is refused with its cause, what removes goes
 * on, and when room has come back so does adding; nothing is lost on the way, a killed server
 * included. */
#include "client-tests/durability/full_disk.h"

#include <fcntl.h>
#include <unistd.h>

enum { ROUNDS = 3 };

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
    expect_within_limit();
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
    tcase_add_test(cases, a_full_disk_is_emptied_by_whatever_removes);
    tcase_add_test(cases, a_server_killed_on_a_full_disk_starts_again);
    tcase_add_loop_test(cases, room_that_others_took_and_gave_back_is_used, 0, 3);
    return suite_run(suite);
}
