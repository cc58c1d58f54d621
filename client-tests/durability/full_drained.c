/* A full disk is drained by what removes and moves, however much of what the last checkpoint refers
 * to that rewrites: LREM goes in steps, with checkpoints between, and is one command all the same.
 */
#include "client-tests/durability/full_disk.h"

#include <stdlib.h>

enum {
    MARK_EVERY = 30, /* a chunk at least has one */
    RUN = 40,        /* elements of a kind that follow each other */
    KINDS = 16,
    REWRITES = 3, /* checkpoints that show that a removal is under way */
};

/* ---- LREM alone --------------------------------------------------------------------------------
 */

static bool is_removed[PUSHES_MAX];

static unsigned kind_of(unsigned place)
{
    return place / RUN % KINDS;
}

/* Elements of that kind, of all that are left, from the head. */
static unsigned count_kind(unsigned kind, unsigned end)
{
    unsigned count = 0;

    for (unsigned place = 0; place < end; place++)
        count += !is_removed[place] && kind_of(place) == kind;
    return count;
}

static void note_removed(unsigned kind, unsigned end)
{
    for (unsigned place = 0; place < end; place++)
        is_removed[place] |= kind_of(place) == kind;
}

static void expect_what_is_left(unsigned end)
{
    unsigned index = 0;

    for (unsigned place = 0; place < end; place++) {
        if (is_removed[place]) continue;
        if (index % 503 == 0) expect_string(wire, element_of(place), "LINDEX k %u", index);
        index++;
    }
    expect_integer(wire, index, "LLEN k");
}

/* From the head, from the tail, and some from each. */
static void remove_kind(unsigned kind, unsigned end)
{
    unsigned count = count_kind(kind, end), half = count / 2;
    char element[ELEMENT_BYTES + 1];

    element_make(element, sizeof(element), kind);
    if (kind % 3 == 0) {
        expect_integer(wire, count, "LREM k 0 %s", element);
    } else if (kind % 3 == 1) {
        expect_integer(wire, count, "LREM k -%u %s", count, element);
    } else {
        expect_integer(wire, half, "LREM k %u %s", half, element);
        expect_integer(wire, count - half, "LREM k -%u %s", count, element);
    }
    expect_integer(wire, 0, "LREM k 0 %s", element);
    expect_within_limit();
    note_removed(kind, end);
    expect_what_is_left(end);
}

static void drain_by_lrem(void)
{
    unsigned end;

    number_of = kind_of;
    end = fill_all();
    for (unsigned kind = 0; kind < KINDS; kind++) {
        if (kind == KINDS / 2) {
            restart();
            expect_what_is_left(end);
        }
        remove_kind(kind, end);
    }
    expect_integer(wire, 0, "EXISTS k");
    wait_for_room(0);
    finish();
}

START_TEST(a_full_disk_is_drained_by_lrem_alone)
{
    if (start_on_a_small_disk()) drain_by_lrem();
}
END_TEST

START_TEST(at_maxdisk_it_is_as_well)
{
    start_with_small_maxdisk();
    drain_by_lrem();
}
END_TEST

/* ---- LREM of something in every chunk
 * ---------------------------------------------------------- */

static unsigned mark_or_place(unsigned place)
{
    return place % MARK_EVERY == 0 ? 0 : place;
}

static unsigned fill_with_marks(void)
{
    number_of = mark_or_place;
    return fill_all();
}

static unsigned marks_of(unsigned end)
{
    return (end + MARK_EVERY - 1) / MARK_EVERY;
}

static void rewrite_every_chunk(void)
{
    unsigned end = fill_with_marks(), marks = marks_of(end);
    int64_t before = info_number(wire, "aof_rewrites");

    expect_integer(wire, marks, "LREM k 0 %s", element_of(0));
    expect_integer(wire, end - marks, "LLEN k");
    expect_within_limit();
    expect_nil(wire, "LPOS k %s", element_of(0));
    ck_assert_int_gt(info_number(wire, "aof_rewrites"), before);
    if (options.own_arguments == at_limit) ck_assert(!server_log_has(&server, "failed while"));
    ck_assert_int_eq(info_number(wire, "aof_rewrites_consecutive_failures"), 0);
    restart();
    expect_integer(wire, end - marks, "LLEN k");
    for (unsigned place = 1; place < end; place += 31 * MARK_EVERY)
        expect_string(wire, element_of(place), "LINDEX k %u", place - 1 - place / MARK_EVERY);
    finish();
}

START_TEST(every_chunk_of_a_full_disk_is_rewritten)
{
    if (start_on_a_small_disk()) rewrite_every_chunk();
}
END_TEST

START_TEST(every_chunk_at_maxdisk_is_rewritten)
{
    start_with_small_maxdisk();
    rewrite_every_chunk();
}
END_TEST

START_TEST(in_a_transaction_it_is_done_at_once_or_refused)
{
    unsigned end;

    start_with_small_maxdisk();
    end = fill_with_marks();
    expect_ok(wire, "MULTI");
    expect_text(wire, "QUEUED", "LREM k 0 %s", element_of(0));
    expect_text(wire,
                "1) (error) MISCONF maxdisk is reached: nothing was changed. Reads and commands "
                "that remove go on.",
                "EXEC");
    expect_contents(0, end);
    expect_ok(wire, "MULTI");
    expect_text(wire, "QUEUED", "LREM k -2 %s", element_of(0));
    expect_text(wire, "1) (integer) 2", "EXEC");
    finish();
}
END_TEST

/* A removal that another client has asked for is under way. */
static struct wire *start_removing(void)
{
    struct wire *remover = wire_open(&server);
    int64_t before = info_number(wire, "aof_rewrites");

    wire_command(remover, "LREM k 0 %s", element_of(0));
    info_wait_least(wire, "aof_rewrites", before + REWRITES);
    return remover;
}

START_TEST(nobody_sees_a_list_between_two_steps)
{
    struct wire *remover;
    unsigned end;

    start_with_small_maxdisk();
    end = fill_with_marks();
    remover = start_removing();
    expect_integer(wire, end - marks_of(end), "LLEN k");
    expect_integer(remover, marks_of(end), "");
    wire_close(remover);
    finish();
}
END_TEST

START_TEST(a_client_that_goes_leaves_all_of_it_done_or_nothing)
{
    long long count;
    unsigned end;

    start_with_small_maxdisk();
    end = fill_with_marks();
    wire_close(start_removing());
    count = ask_integer(wire, "LLEN k");
    ck_assert_msg(count == end || count == end - marks_of(end), "%lld of %u are left", count, end);
    finish();
}
END_TEST

/* Whoever asked was not answered, and the list is one that there was. */
START_TEST(a_kill_between_two_steps_leaves_some_of_them)
{
    unsigned end, removed;

    start_with_small_maxdisk();
    end = fill_with_marks();
    wire_close(start_removing());
    restart();
    removed = end - (unsigned)ask_integer(wire, "LLEN k");
    ck_assert_uint_gt(removed, 0);
    ck_assert_uint_le(removed, marks_of(end));
    if (removed < marks_of(end))
        expect_integer(wire, removed * (MARK_EVERY - 1), "LPOS k %s", element_of(0));
    expect_integer(wire, marks_of(end) - removed, "LREM k 0 %s", element_of(0));
    expect_integer(wire, end - marks_of(end), "LLEN k");
    finish();
}
END_TEST

/* Something is in the way of each checkpoint's file from this one on. */
static void block_checkpoints(int64_t first, bool are_blocked)
{
    enum { BLOCKED = 8 }; /* more than a removal waits for */
    char path[PATH_MAX + 64];

    for (int64_t number = first; number < first + BLOCKED; number++) {
        (void)snprintf(path, sizeof(path), "%s/checkpoint-%lld.tmp", server.data_path,
                       (long long)number);
        ck_assert_int_eq(are_blocked ? mkdir(path, 0700) : rmdir(path), 0);
    }
}

/* How many an LREM has removed that was given up. */
static unsigned ask_in_vain(void)
{
    static const char beginning[] =
        "-MISCONF maxdisk is reached, and no room came back (the checkpoint failed while creating "
        "the file: Is a directory): LREM has removed ";
    struct text answer = { 0 };
    unsigned removed;

    wire_command(wire, "LREM k 0 %s", element_of(0));
    ck_assert_int_eq(wire_read(wire, &answer), 1);
    ck_assert_msg(strncmp(text_string(&answer), beginning, strlen(beginning)) == 0, "%s",
                  text_string(&answer));
    removed = (unsigned)strtoul(answer.bytes + strlen(beginning), NULL, 10);
    ck_assert_ptr_nonnull(strstr(answer.bytes, " elements before; ask again for the rest\r\n"));
    text_finish(&answer);
    return removed;
}

/* What is done is told and stays so, in order; what was not is done by the next one. */
START_TEST(a_removal_that_no_checkpoint_helps_tells_how_far_it_came)
{
    unsigned end, removed, marks;
    int64_t next;

    start_with_small_maxdisk();
    end = fill_with_marks();
    marks = marks_of(end);
    next = info_number(wire, "checkpoint_number") + 1;
    block_checkpoints(next, true);
    removed = ask_in_vain();
    ck_assert_uint_gt(removed, 0);
    ck_assert_uint_lt(removed, marks);
    expect_integer(wire, end - removed, "LLEN k");
    expect_integer(wire, removed * (MARK_EVERY - 1), "LPOS k %s", element_of(0));
    block_checkpoints(next, false);
    restart();
    expect_integer(wire, end - removed, "LLEN k");
    expect_integer(wire, marks - removed, "LREM k 0 %s", element_of(0));
    expect_integer(wire, end - marks, "LLEN k");
    finish();
}
END_TEST

/* ---- what else removes -------------------------------------------------------------------------
 */

static void drain_by_trim(unsigned end)
{
    for (unsigned left = end; left > 0; left -= left < 1000 ? left : 1000) {
        expect_integer(wire, left, "LLEN k");
        expect_string(wire, element_of(end - left), "LINDEX k 0");
        expect_ok(wire, "LTRIM k 1000 -1");
    }
}

static void drain_by_pop_of_many(unsigned end)
{
    for (unsigned done = 0; done < end; done += BATCH) {
        unsigned count = end - done < BATCH ? end - done : BATCH;

        wire_command(wire, "LPOP k %d", BATCH);
        ck_assert_int_eq(wire_read(wire, &last_refusal), 1);
        ck_assert_int_eq(last_refusal.bytes[last_refusal.size - 1], '\n');
        ck_assert_ptr_nonnull(strstr(text_string(&last_refusal), element_of(done)));
        ck_assert_ptr_nonnull(strstr(last_refusal.bytes, element_of(done + count - 1)));
        text_clear(&last_refusal);
    }
}

static void drain_by_moving_away(unsigned end)
{
    for (unsigned done = 0; done < end; done += BATCH) {
        unsigned count = end - done < BATCH ? end - done : BATCH;

        for (unsigned i = 0; i < count; i++) {
            wire_command(wire, "RPOPLPUSH k moved");
            wire_command(wire, "RPOP moved");
        }
        for (unsigned i = 0; i < count; i++) {
            expect_string(wire, element_of(end - 1 - done - i), "");
            expect_string(wire, element_of(end - 1 - done - i), "");
        }
    }
}

static void drain_by_delete(unsigned end)
{
    (void)end;
    expect_integer(wire, 1, "DEL k");
}

static void drain_by_expiry(unsigned end)
{
    (void)end;
    expect_integer(wire, 1, "PEXPIRE k 1");
    info_wait(wire, "expired_keys", 1);
}

static void (*const drains[])(unsigned end) = { drain_by_trim, drain_by_pop_of_many,
                                                drain_by_moving_away, drain_by_delete,
                                                drain_by_expiry };
enum { DRAINS = sizeof(drains) / sizeof(drains[0]) };

START_TEST(a_full_disk_is_drained_by_one_way_alone)
{
    unsigned end;

    if (!start_on_a_small_disk()) return;
    end = fill_all();
    drains[_i](end);
    expect_integer(wire, 0, "EXISTS k moved");
    wait_for_room(0);
    finish();
}
END_TEST

/* Elements go round to all of them, until one is refused; how many there are then. */
static unsigned fill_many(unsigned lists)
{
    struct text reply = { 0 };
    unsigned count = 0;

    for (bool is_taken = true; is_taken; count += is_taken) {
        text_clear(&reply);
        wire_command(wire, "RPUSH k:%u %s", count % lists, element_of(count));
        ck_assert_int_eq(wire_read(wire, &reply), 1);
        is_taken = reply.bytes[0] == ':';
    }
    ck_assert_msg(strncmp(text_string(&reply), "-MISCONF ", 9) == 0, "%s", reply.bytes);
    text_finish(&reply);
    return count;
}

START_TEST(one_key_of_many_that_goes_makes_room)
{
    enum { LISTS = 10 };
    unsigned count;

    if (!start_on_a_small_disk()) return;
    count = fill_many(LISTS);
    if (_i == 0) {
        expect_integer(wire, 1, "DEL k:3");
    } else {
        expect_integer(wire, 1, "PEXPIRE k:3 1");
        info_wait(wire, "expired_keys", 1);
    }
    wait_for_room(0);
    for (unsigned i = 0; i < LISTS; i++) {
        if (i == 3) continue;
        expect_integer(wire, count / LISTS + (i < count % LISTS), "LLEN k:%u", i);
        expect_string(wire, element_of(i), "LINDEX k:%u 0", i);
    }
    finish();
}
END_TEST

/* ---- moves -------------------------------------------------------------------------------------
 */

/* The one moves, the other takes what came. */
static void hand_over(struct wire *taker, unsigned first, unsigned count)
{
    struct text expected = { 0 };

    for (unsigned i = 0; i < count; i++) {
        wire_command(wire, "BLMOVE k moved LEFT RIGHT 0");
        wire_command(taker, "BLPOP moved 0");
    }
    for (unsigned i = 0; i < count; i++) {
        expect_string(wire, element_of(first + i), "");
        text_clear(&expected);
        text_format(&expected, "1) \"moved\"\n2) \"%s\"", element_of(first + i));
        expect_text(taker, expected.bytes, "");
    }
    text_finish(&expected);
}

START_TEST(a_full_disk_is_drained_by_blmove_alone)
{
    struct wire *taker;
    unsigned end;

    if (!start_on_a_small_disk()) return;
    end = fill_all();
    taker = wire_open(&server);
    for (unsigned done = 0; done < end; done += BATCH)
        hand_over(taker, done, end - done < BATCH ? end - done : BATCH);
    expect_integer(wire, 0, "EXISTS k moved");
    wait_for_room(0);
    wire_close(taker);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("full disk drained");
    TCase *drained = suite_case(suite, "drained");
    TCase *chunks = suite_case(suite, "every chunk");
    TCase *steps = suite_case(suite, "steps");

    tcase_add_test(drained, a_full_disk_is_drained_by_lrem_alone);
    tcase_add_test(drained, at_maxdisk_it_is_as_well);
    tcase_add_test(drained, a_full_disk_is_drained_by_blmove_alone);
    tcase_add_loop_test(drained, a_full_disk_is_drained_by_one_way_alone, 0, DRAINS);
    tcase_add_loop_test(drained, one_key_of_many_that_goes_makes_room, 0, 2);
    tcase_add_test(chunks, every_chunk_of_a_full_disk_is_rewritten);
    tcase_add_test(chunks, every_chunk_at_maxdisk_is_rewritten);
    tcase_add_test(steps, in_a_transaction_it_is_done_at_once_or_refused);
    tcase_add_test(steps, nobody_sees_a_list_between_two_steps);
    tcase_add_test(steps, a_client_that_goes_leaves_all_of_it_done_or_nothing);
    tcase_add_test(steps, a_removal_that_no_checkpoint_helps_tells_how_far_it_came);
    tcase_add_test(steps, a_kill_between_two_steps_leaves_some_of_them);
    return suite_run(suite);
}
