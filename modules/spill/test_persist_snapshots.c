/* What only a snapshot holds when a checkpoint begins: no root leads to it, so the next life gives
 * its room back. Each test ends in persist_close, which finds every block that was lost. */
#include "modules/base/test_suite.h"
#include "modules/spill/test_persist_fixture.h"

enum { LISTS = 9000, SHORT = 20 }; /* more than a checkpoint looks at, of more than a root holds */
enum { COUNT = 20000, MOMENTS = 3, POPPED = 3000, LOADED_STRIDE = 700 };

static const struct spill_options tiny = { .memory_bytes = 256 << 10,
                                           .chunk_bytes = 512,
                                           .prefetch_bytes = 4096 };
static struct saved saved;

/* How much of the list is in memory when the checkpoint begins. */
enum residence { IN_MEMORY, ON_DISK, SOME_LOADED, RESIDENCES };

static void settle_as(enum residence residence, struct spill_deque *list)
{
    struct slice item;
    int rc;

    if (residence == IN_MEMORY) return;
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    for (uint64_t at = 0; residence == SOME_LOADED && at < spill_deque_count(list);
         at += LOADED_STRIDE) {
        RETRIED(rc, spill_deque_get(list, at, &item));
        ck_assert_int_eq(rc, 1);
    }
}

static void open_as(enum residence residence)
{
    struct spill_options options = tiny;

    if (residence == IN_MEMORY) options.memory_bytes = 64 << 20;
    persist_open(0, &options);
}

static struct spill_snapshot *snapshot_of(struct spill_deque *list)
{
    struct spill_snapshot *taken;

    ck_assert_int_eq(spill_deque_snapshot(list, &taken), 0);
    return taken;
}

static void die_and_reopen(void)
{
    crash();
    reopen(&saved);
}

START_TEST(of_a_dropped_list)
{
    struct spill_snapshot *held;
    struct spill_deque *list;

    open_as((enum residence)_i);
    list = numbers(COUNT);
    settle_as((enum residence)_i, list);
    held = snapshot_of(list);
    spill_deque_destroy(list);
    settle();
    checkpoint_all(&saved, NULL, 0);
    spill_snapshot_release(held);
    die_and_reopen();
    saved_drop(&saved);
    persist_close();
}
END_TEST

/* The picture's part is whole. */
START_TEST(of_a_list_that_has_changed)
{
    struct spill_snapshot *held[MOMENTS];
    struct spill_deque *list;

    open_as((enum residence)_i);
    list = numbers(COUNT);
    settle_as((enum residence)_i, list);
    for (uint32_t i = 0; i < MOMENTS; i++) {
        held[i] = snapshot_of(list);
        expect_numbers(list, i * POPPED, POPPED, 20);
        ck_assert_int_eq(spill_deque_remove(list, COUNT / 2 - (i + 1) * POPPED, 1), 0);
        ck_assert_int_eq(push_element(list, SPILL_TAIL, (struct element){ COUNT + i, 20 }), 0);
        settle();
    }
    checkpoint_all(&saved, &list, 1);
    for (unsigned i = 0; i < MOMENTS; i++)
        spill_snapshot_release(held[i]);
    spill_deque_destroy(list);
    die_and_reopen();
    list = load_one(&saved.lists[0]);
    spill_deque_check(list);
    expect_numbers(list, MOMENTS * POPPED, COUNT / 2 - MOMENTS * POPPED, 20);
    expect_numbers(list, COUNT / 2 + MOMENTS, COUNT / 2, 20);
    close_all(&saved, &list, 1);
}
END_TEST

/* Two who have it to themselves, but together. */
START_TEST(of_several_snapshots_of_one_moment)
{
    struct spill_snapshot *held[MOMENTS];
    struct spill_deque *list;

    open_as((enum residence)_i);
    list = numbers(COUNT);
    settle_as((enum residence)_i, list);
    for (unsigned i = 0; i < MOMENTS; i++)
        held[i] = snapshot_of(list);
    spill_deque_destroy(list);
    settle();
    checkpoint_all(&saved, NULL, 0);
    for (unsigned i = 0; i < MOMENTS; i++)
        spill_snapshot_release(held[i]);
    die_and_reopen();
    saved_drop(&saved);
    persist_close();
}
END_TEST

/* All are theirs again after it, the last that was looked at, those before and those behind it. */
START_TEST(of_more_lists_than_are_looked_at)
{
    static struct spill_snapshot *held[LISTS];
    struct spill_store_info info;

    open_as(IN_MEMORY);
    for (unsigned i = 0; i < LISTS; i++) {
        struct spill_deque *list = numbers(SHORT);
        held[i] = snapshot_of(list);
        spill_deque_destroy(list);
    }
    settle();
    checkpoint_all(&saved, NULL, 0);
    spill_store_info(store, &info);
    ck_assert_uint_ge(info.chunk_count, LISTS);
    for (unsigned i = 0; i < LISTS; i++)
        spill_snapshot_release(held[i]);
    saved_drop(&saved);
    persist_close();
}
END_TEST

START_TEST(of_a_reader_whose_chunk_is_on_its_way)
{
    struct spill_snapshot *held;
    struct spill_cursor *cursor;
    struct spill_deque *list;
    struct slice item;

    open_as(ON_DISK);
    list = numbers(COUNT);
    settle_as((enum residence)_i, list);
    held = snapshot_of(list);
    spill_deque_destroy(list);
    settle();
    ck_assert_int_eq(spill_cursor_create(held, COUNT / 2, SPILL_TAIL, &cursor), 0);
    for (int rc = 1; rc == 1 && io_in_flight(io) == 0;) /* until it reads ahead */
        RETRIED(rc, spill_cursor_next(cursor, &item));
    ck_assert_uint_gt(io_in_flight(io), 0);
    checkpoint_all(&saved, NULL, 0);
    spill_cursor_destroy(cursor);
    spill_snapshot_release(held);
    die_and_reopen();
    saved_drop(&saved);
    persist_close();
}
END_TEST

/* Let go before the checkpoint has ended, its trees are taken apart in this life and, should this
 * one end, in the next. */
START_TEST(of_a_reader_that_ends_meanwhile)
{
    struct spill_snapshot *held;
    struct spill_deque *list;

    open_as((enum residence)_i);
    list = numbers(COUNT);
    settle_as((enum residence)_i, list);
    held = snapshot_of(list);
    spill_deque_destroy(list);
    settle();
    ck_assert_int_eq(spill_checkpoint_begin(store), 0);
    spill_snapshot_release(held);
    settle();
    ck_assert_int_eq(wait_for_sync(), 0);
    take_state(&saved);
    spill_checkpoint_complete(store);
    settle();
    spill_store_check(store);
    die_and_reopen();
    saved_drop(&saved);
    persist_close();
}
END_TEST

/* It reads on after the checkpoint, what leaves memory meanwhile included. */
START_TEST(and_is_read_to_its_end_all_the_same)
{
    struct spill_snapshot *held;
    struct spill_cursor *cursor;
    struct spill_deque *list;
    struct slice item;
    int rc;

    open_as((enum residence)_i);
    list = numbers(COUNT);
    settle_as((enum residence)_i, list);
    held = snapshot_of(list);
    spill_deque_destroy(list);
    ck_assert_int_eq(spill_cursor_create(held, 0, SPILL_TAIL, &cursor), 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        RETRIED(rc, spill_cursor_next(cursor, &item));
        ck_assert_int_eq(rc, 1);
        ck_assert(element_is((struct element){ i, 20 }, item));
        if (i % (COUNT / 4) != 0) continue;
        saved_drop(&saved);
        checkpoint_all(&saved, NULL, 0);
        spill_cursor_rest(cursor);
        ck_assert_int_eq(spill_store_evict_all(store), 0);
    }
    spill_cursor_destroy(cursor);
    spill_snapshot_release(held);
    saved_drop(&saved);
    persist_close();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spill persist snapshots");
    TCase *tcase = test_suite_case(suite, "what only a snapshot holds", NULL, NULL);

    tcase_add_loop_test(tcase, of_a_dropped_list, 0, RESIDENCES);
    tcase_add_loop_test(tcase, of_a_list_that_has_changed, 0, RESIDENCES);
    tcase_add_loop_test(tcase, of_several_snapshots_of_one_moment, 0, RESIDENCES);
    tcase_add_test(tcase, of_more_lists_than_are_looked_at);
    tcase_add_loop_test(tcase, of_a_reader_whose_chunk_is_on_its_way, ON_DISK, RESIDENCES);
    tcase_add_loop_test(tcase, of_a_reader_that_ends_meanwhile, 0, RESIDENCES);
    tcase_add_loop_test(tcase, and_is_read_to_its_end_all_the_same, 0, RESIDENCES);
    return test_suite_run(suite);
}
