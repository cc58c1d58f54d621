/* A full disk under the log and the lists: what adds is refused with its cause, what removes goes
 * on, and when room has come back so does adding; nothing is lost on the way, a killed server
 * included. */
#include "client-tests/durability/full_disk.h"

enum { ROUNDS = 3 };

/* One push may find a place in memory and in the log's last bytes before a checkpoint has given
 * room back: there is room when more follow. The number of the next element; the time until then.
 */
static unsigned go_on(unsigned number, int64_t *out_ms)
{
    int64_t began = ended_checkpoints(), began_ms = clock_ms();
    unsigned end;

    do {
        wait_for_room(number++);
        *out_ms = clock_ms() - began_ms;
        end = number;
        number = fill(end);
    } while (number == end && ended_checkpoints() - began <= CHECKPOINTS_MAX);
    ck_assert_msg(number > end, "none after that of wait_for_room: %s", last_refusal.bytes);
    return number;
}

static void fill_and_half_empty(unsigned rounds)
{
    unsigned first = 0, end;
    int64_t waited_ms, longest_ms = 0;

    expect_ok(wire, "SET small value");
    end = fill(0);
    for (unsigned round = 0; round < rounds; round++) {
        expect_contents(first, end);
        expect_string(wire, "value", "GET small");
        pop(first, first + (end - first) / 2);
        first += (end - first) / 2;
        end = go_on(end, &waited_ms);
        if (waited_ms > longest_ms) longest_ms = waited_ms;
    }
    printf("%u rounds: the longest time until pushes were taken again was %lld ms\n", rounds,
           (long long)longest_ms);
    restart();
    expect_contents(first, end);
    finish();
}

START_TEST(filled_and_half_emptied_it_goes_on)
{
    if (start_on_a_small_disk_in_mode(_i)) fill_and_half_empty(suite_scaled(ROUNDS));
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
 * one, which finds room, if need be when something has given way to it. */
static void turn_while_full(unsigned most)
{
    unsigned end = fill(0), moved;

    save();
    end = fill(end);
    moved = end < most ? end : most;
    turn(moved);
    expect_within_limit();
    expect_integer(wire, end, "LLEN k");
    expect_string(wire, element_of(moved % end), "LINDEX k 0");
    expect_string(wire, element_of(moved - 1), "LINDEX k -1");
    info_wait(wire, "aof_rewrites_consecutive_failures", 0); /* the last may be made again */
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

/* It is no failure of the log: it is not replaced, and nothing has to be started again. */
START_TEST(room_that_others_took_and_gave_back_is_used)
{
    unsigned end = 0;

    if (!start_on_a_small_disk_in_mode(_i)) return;
    for (unsigned round = 0; round < 3; round++) {
        take_room_but(0);
        end = fill(end);
        expect_contents(0, end);
        give_room();
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

    tcase_add_loop_test(cases, filled_and_half_emptied_it_goes_on, 0, MODES);
    tcase_add_test(cases, at_maxdisk_it_goes_on_as_well);
    tcase_add_test(cases, a_list_on_a_full_disk_is_moved_as_a_whole);
    tcase_add_test(cases, a_list_at_maxdisk_is_moved);
    tcase_add_test(cases, a_full_disk_is_emptied_by_whatever_removes);
    tcase_add_test(cases, a_server_killed_on_a_full_disk_starts_again);
    tcase_add_loop_test(cases, room_that_others_took_and_gave_back_is_used, 0, MODES);
    return suite_run(suite);
}
