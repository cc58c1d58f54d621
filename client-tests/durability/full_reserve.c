/* What is kept beside the log for a full disk: what adds does not take it, and who waits for a
 * checkpoint that finds no room waits until it has given way. */
#include "client-tests/durability/full_disk.h"

/* ---- what adds ---------------------------------------------------------------------------------
 */

/* Bytes of the log's last file that have room on the disk, and nothing in them. */
static int64_t bytes_left_in_log(void)
{
    enum { OFFSET_BITS = 30, STAT_BLOCK_BYTES = 512 };
    int64_t position = info_number(wire, "log_position");
    char path[PATH_MAX + 64];
    struct stat file;

    (void)snprintf(path, sizeof(path), "%s/log/%010lld.log", server.data_path,
                   (long long)(position >> OFFSET_BITS));
    ck_assert_int_eq(stat(path, &file), 0);
    return (int64_t)file.st_blocks * STAT_BLOCK_BYTES -
           (position & ((INT64_C(1) << OFFSET_BITS) - 1));
}

/* A string after the other, which no list file stands in the way of. */
static void set_until_refused(void)
{
    struct text reply = { 0 };
    unsigned count = 0;

    do {
        text_clear(&reply);
        wire_command(wire, "SET s:%u %s", count, element_of(count));
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        ck_assert_uint_lt(++count, PUSHES_MAX);
    } while (reply.bytes[0] == '+');
    ck_assert_msg(strncmp(text_string(&reply), "-MISCONF ", 9) == 0 && strstr(reply.bytes, refusal),
                  "%s", reply.bytes);
    text_finish(&reply);
}

/* That there is no room is known before the log is used up: who removes needs the rest. */
START_TEST(what_adds_leaves_the_last_bytes_of_the_log_alone)
{
    enum { LEFT_BYTES = 8 << 10 };

    if (!start_on_a_small_disk()) return;
    expect_ok(wire, "SET first value");
    take_room_but(0);
    set_until_refused();
    ck_assert_int_ge(bytes_left_in_log(), LEFT_BYTES);
    expect_integer(wire, 1, "DEL first");
    finish();
}
END_TEST

/* ---- what moves --------------------------------------------------------------------------------
 */

/* The files of the next checkpoints are where nothing can be written. One that is under way, and
 * becomes complete, clears them away: then it is to be done again. */
static void keep_checkpoints_from_room(int count)
{
    int64_t first = info_number(wire, "checkpoint_number") + 1;
    char path[PATH_MAX + 64];

    for (int64_t number = first; number < first + count; number++) {
        (void)snprintf(path, sizeof(path), "%s/checkpoint-%lld.tmp", server.data_path,
                       (long long)number);
        ck_assert(symlink("/dev/full", path) == 0 || errno == EEXIST);
    }
}

/* With room that comes back only with the next checkpoint. */
static unsigned fill_behind_checkpoint(void)
{
    unsigned end;

    start_with_small_maxdisk();
    end = fill(0);
    expect_ok(wire, "SAVE");
    return fill(end);
}

START_TEST(a_move_waits_while_something_gives_way_to_the_checkpoint)
{
    enum { FAILING = 2, MOVES = 1000 };
    unsigned end = fill_behind_checkpoint(), moved = 0;
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    do {
        keep_checkpoints_from_room(FAILING);
        for (unsigned i = 0; i < MOVES; i++)
            wire_command(wire, "BLMOVE k k LEFT RIGHT 0");
        for (unsigned i = 0; i < MOVES; i++)
            expect_string(wire, element_of(moved++ % end), "");
        ck_assert(clock_probe(deadline_ms));
    } while (!server_log_has(&server, "failed while writing: No space left on device"));
    expect_integer(wire, end, "LLEN k");
    expect_string(wire, element_of(moved % end), "LINDEX k 0");
    expect_string(wire, element_of((moved - 1) % end), "LINDEX k -1");
    expect_ok(wire, "LTRIM k 0 %u", end / 2);
    wait_for_room(0);
    finish();
}
END_TEST

/* And has an end, with what was moved before in its place. */
START_TEST(a_move_does_not_wait_for_ever)
{
    enum { FAILING = 40 };
    unsigned end = fill_behind_checkpoint(), moved = 0;
    struct text reply = { 0 };

    for (;; moved++) {
        if (moved % BATCH == 0) keep_checkpoints_from_room(FAILING);
        text_clear(&reply);
        wire_command(wire, "BLMOVE k k LEFT RIGHT 0");
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        if (reply.bytes[0] == '-') break;
        ck_assert_uint_lt(moved, PUSHES_MAX);
    }
    ck_assert_msg(strstr(text_string(&reply), "maxdisk is reached: nothing was changed"), "%s",
                  reply.bytes);
    text_finish(&reply);
    ck_assert_int_ge(info_number(wire, "aof_rewrites_consecutive_failures"), 2);
    ck_assert_int_ge(info_number(wire, "log_reserve_bytes"), 1 << 20);
    expect_integer(wire, end, "LLEN k");
    expect_string(wire, element_of(moved % end), "LINDEX k 0");
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("full disk, reserve");
    TCase *cases = suite_case(suite, "reserve");

    tcase_add_test(cases, what_adds_leaves_the_last_bytes_of_the_log_alone);
    tcase_add_test(cases, a_move_waits_while_something_gives_way_to_the_checkpoint);
    tcase_add_test(cases, a_move_does_not_wait_for_ever);
    return suite_run(suite);
}
