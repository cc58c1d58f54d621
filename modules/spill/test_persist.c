/* Checkpoints and opening from them: a test a promise of persist.h. */
#include "modules/base/endian.h"
#include "modules/base/test_suite.h"
#include "modules/spill/handle.h"
#include "modules/spill/test_persist_fixture.h"

static const struct spill_options tiny = { .memory_bytes = 256 << 10,
                                           .chunk_bytes = 512,
                                           .prefetch_bytes = 4096 };

static struct saved saved;

static void open_tiny(void)
{
    persist_open(0, &tiny);
}

static void die_and_reopen(struct spill_deque **list)
{
    spill_deque_destroy(*list);
    crash();
    reopen(&saved);
    *list = load_one(&saved.lists[0]);
}

START_TEST(a_list_is_there_again_with_all_its_elements)
{
    open_tiny();
    struct spill_deque *list = numbers(5000);
    checkpoint_all(&saved, &list, 1);
    die_and_reopen(&list);
    ck_assert_uint_eq(spill_deque_count(list), 5000);
    expect_numbers(list, 0, 5000, 20);
    close_all(&saved, &list, 1);
}
END_TEST

START_TEST(what_came_after_the_checkpoint_is_gone)
{
    open_tiny();
    struct spill_deque *list = numbers(1000);
    checkpoint_all(&saved, &list, 1);
    push_numbers(list, 1000, 1000, 20);
    expect_numbers(list, 0, 300, 20);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    die_and_reopen(&list);
    expect_numbers(list, 0, 1000, 20);
    close_all(&saved, &list, 1);
}
END_TEST

START_TEST(opening_and_loading_read_nothing_of_the_lists)
{
    open_tiny();
    struct spill_deque *list = numbers(5000);
    checkpoint_all(&saved, &list, 1);
    spill_deque_destroy(list);
    crash();
    uint64_t reads = fault_count(fault, FAULT_PREAD);
    reopen(&saved);
    list = load_one(&saved.lists[0]);
    /* One to see whether the file system takes transfers around its cache. */
    ck_assert_uint_le(fault_count(fault, FAULT_PREAD) - reads, 2);
    ck_assert_uint_eq(store_info().chunks_in_memory, 0);
    ck_assert_uint_lt(blocks_memory(), 2048);
    ck_assert_int_eq(push_element(list, SPILL_HEAD, (struct element){ 7, 20 }), 0);
    ck_assert_uint_eq(wait_count, 0);
    expect_pop(list, SPILL_HEAD, (struct element){ 7, 20 });
    expect_numbers(list, 0, 5000, 20);
    close_all(&saved, &list, 1);
}
END_TEST

START_TEST(an_unchanged_list_costs_the_next_checkpoint_nothing)
{
    open_tiny();
    struct spill_deque *list = numbers(3000);
    checkpoint_all(&saved, &list, 1);
    uint64_t bytes = persist_info().saved_bytes;
    ck_assert_uint_gt(bytes, 0);
    saved_drop(&saved);
    checkpoint_all(&saved, &list, 1);
    ck_assert_uint_eq(persist_info().saved_bytes, bytes);
    close_all(&saved, &list, 1);
}
END_TEST

START_TEST(a_push_costs_the_next_checkpoint_a_chunk_and_the_path_to_it)
{
    open_tiny();
    struct spill_deque *list = numbers(20000);
    checkpoint_all(&saved, &list, 1);
    settle();
    uint64_t writes = store_info().evicted_bytes + persist_info().saved_bytes;
    saved_drop(&saved);
    ck_assert_int_eq(push_element(list, SPILL_TAIL, (struct element){ 20000, 20 }), 0);
    checkpoint_all(&saved, &list, 1);
    writes = store_info().evicted_bytes + persist_info().saved_bytes - writes;
    ck_assert_uint_gt(writes, 0);
    ck_assert_uint_le(writes, 2 * 512 + 4 * 4096);
    close_all(&saved, &list, 1);
}
END_TEST

START_TEST(short_lists_are_saved_as_their_elements)
{
    struct spill_deque *lists[2];

    open_tiny();
    lists[0] = deque_open();
    lists[1] = numbers(3);
    checkpoint_all(&saved, lists, 2);
    ck_assert_uint_eq(store_info().disk_used_bytes, 0);
    for (unsigned i = 0; i < 2; i++)
        spill_deque_destroy(lists[i]);
    crash();
    reopen(&saved);
    for (unsigned i = 0; i < 2; i++)
        lists[i] = load_one(&saved.lists[i]);
    ck_assert_uint_eq(spill_deque_count(lists[0]), 0);
    ck_assert_uint_eq(spill_deque_number(lists[1]), 0); /* still small */
    expect_numbers(lists[1], 0, 3, 20);
    close_all(&saved, lists, 2);
}
END_TEST

START_TEST(a_save_drops_nothing_from_memory)
{
    open_tiny();
    struct spill_deque *list = numbers(3000);
    uint64_t loaded = store_info().chunks_in_memory;
    checkpoint_all(&saved, &list, 1);
    ck_assert_uint_ge(store_info().chunks_in_memory, loaded);
    close_all(&saved, &list, 1);
}
END_TEST

START_TEST(eviction_goes_on_and_the_budget_holds_while_lists_are_saved)
{
    struct spill_deque *lists[2];

    open_tiny();
    lists[0] = numbers(8000);
    lists[1] = deque_open();
    ck_assert_int_eq(spill_checkpoint_begin(store), 0);
    save_one(&saved, 0, lists[0]);
    save_one(&saved, 1, lists[1]);
    for (uint32_t i = 0; i < 40000; i++) {
        ck_assert_int_eq(push_element(lists[1], SPILL_TAIL, (struct element){ i, 20 }), 0);
        if (i % 64 == 0) turn();
        ck_assert_uint_le(blocks_memory(), (256 << 10) + (64 << 10));
    }
    ck_assert_uint_eq(spill_checkpoint_pending(store), 0);
    ck_assert_int_eq(wait_for_sync(), 0);
    take_state(&saved);
    spill_checkpoint_complete(store);
    expect_numbers(lists[0], 0, 8000, 20);
    expect_numbers(lists[1], 0, 40000, 20);
    close_all(&saved, lists, 2);
}
END_TEST

START_TEST(what_a_checkpoint_refers_to_is_kept_until_the_next_is_complete)
{
    open_tiny();
    struct spill_deque *list = numbers(4000);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    checkpoint_all(&saved, &list, 1);
    uint64_t used = store_info().disk_used_bytes;
    ck_assert_uint_eq(persist_info().deferred_bytes, 0);
    spill_deque_destroy(list);
    settle();
    ck_assert_uint_eq(persist_info().deferred_bytes, used);
    ck_assert_uint_eq(store_info().disk_used_bytes, used);
    persist_close(); /* checks that nothing is used after another one */
    saved_drop(&saved);
}
END_TEST

START_TEST(an_aborted_checkpoint_leaves_the_older_one)
{
    struct saved second = { 0 };

    open_tiny();
    struct spill_deque *list = numbers(2000);
    checkpoint_all(&saved, &list, 1);
    expect_numbers(list, 0, 1000, 20);
    push_numbers(list, 2000, 500, 20);
    checkpoint_until_state(&second, &list, 1);
    spill_checkpoint_abort(store, false);
    saved_drop(&second);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    die_and_reopen(&list);
    expect_numbers(list, 0, 2000, 20);
    close_all(&saved, &list, 1);
}
END_TEST

START_TEST(a_checkpoint_that_may_exist_is_kept_as_well_as_the_older_one)
{
    struct saved second = { 0 };

    for (unsigned which = 0; which < 2; which++) {
        open_tiny();
        struct spill_deque *list = numbers(2000);
        checkpoint_all(&saved, &list, 1);
        expect_numbers(list, 0, 1000, 20);
        checkpoint_until_state(&second, &list, 1);
        spill_checkpoint_abort(store, true);
        push_numbers(list, 2000, 3000, 20); /* would lie in their place */
        ck_assert_int_eq(spill_store_evict_all(store), 0);
        if (which == 1) {
            struct saved first = saved;
            saved = second;
            second = first;
        }
        die_and_reopen(&list);
        expect_numbers(list, which * 1000, 2000 - which * 1000, 20);
        saved_drop(&second);
        close_all(&saved, &list, 1);
    }
}
END_TEST

START_TEST(pending_saves_are_told_of_an_abort)
{
    open_tiny();
    struct spill_deque *list = numbers(2000);
    ck_assert_int_eq(spill_checkpoint_begin(store), 0);
    ck_assert_int_eq(spill_checkpoint_begin(store), -EALREADY);
    save_one(&saved, 0, list);
    ck_assert_uint_eq(spill_checkpoint_pending(store), 1);
    ck_assert(!saved.lists[0].is_there);
    spill_checkpoint_abort(store, false);
    ck_assert(saved.lists[0].is_there);
    ck_assert_int_eq(saved.lists[0].rc, -ECANCELED);
    ck_assert_int_eq(spill_checkpoint_save(list, root_came, &saved.lists[1]), -EINVAL);
    close_all(&saved, &list, 1);
}
END_TEST

/* While the path to the root's edge is on disk, what is pushed gathers beside it. */
START_TEST(what_gathers_beside_the_root_is_loaded_too)
{
    open_tiny();
    struct spill_deque *list = numbers(20000);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    for (uint32_t i = 20000; i < 20500; i++)
        ck_assert_int_eq(push_element(list, SPILL_TAIL, (struct element){ i, 20 }), 0);
    ck_assert_ptr_nonnull(list->grown->sides[SPILL_TAIL]);
    for (uint32_t i = 0; i < 500; i++)
        ck_assert_int_eq(push_element(list, SPILL_HEAD, (struct element){ i, 20 }), 0);
    ck_assert_ptr_nonnull(list->grown->sides[SPILL_HEAD]);
    checkpoint_all(&saved, &list, 1);
    die_and_reopen(&list);
    spill_deque_check(list);
    for (uint32_t i = 500; i-- > 0;)
        expect_pop(list, SPILL_HEAD, (struct element){ i, 20 });
    expect_numbers(list, 0, 20500, 20);
    close_all(&saved, &list, 1);
}
END_TEST

/* A tree that nobody has, and which was not taken apart yet, is no loss of room after a crash. */
START_TEST(dropped_trees_are_taken_apart_in_the_next_life)
{
    open_tiny();
    struct spill_deque *list = numbers(20000);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    spill_deque_destroy(list);
    ck_assert_uint_gt(store_info().pending_free_deques, 0);
    ck_assert_int_eq(spill_checkpoint_begin(store), 0);
    ck_assert_int_eq(wait_for_sync(), 0);
    take_state(&saved);
    spill_checkpoint_complete(store);
    crash();
    reopen(&saved);
    ck_assert_uint_gt(store_info().disk_used_bytes, 20000 * 20);
    saved_drop(&saved);
    persist_close();
}
END_TEST

/* Nor is one whose nodes are in memory, which no state tells of: it is taken apart before P. */
START_TEST(dropped_trees_in_memory_are_taken_apart_before_a_checkpoint)
{
    enum { COUNT = 600 * 1000, STRIDE = 1000 /* there is a chunk of each node among these */ };
    const struct spill_options roomy = { .memory_bytes = 64 << 20, .chunk_bytes = 512 };
    struct spill_deque *list;
    struct slice item;
    enum { BLOCKS_A_TURN = 2 * 256 };
    unsigned turns = 0;
    uint64_t chunks;
    int rc;

    persist_open(0, &roomy);
    list = numbers(COUNT);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    for (uint64_t index = 0; index < COUNT; index += STRIDE) {
        RETRIED(rc, spill_deque_get(list, index, &item));
        ck_assert_int_eq(rc, 1);
    }
    spill_deque_destroy(list);
    for (chunks = store_info().chunk_count; (rc = spill_checkpoint_begin(store)) == -EAGAIN;) {
        uint64_t left = store_info().chunk_count;

        if (turns == 0) ck_assert_uint_le(chunks - left, BLOCKS_A_TURN);
        turns++;
    }
    ck_assert_int_eq(rc, 0);
    ck_assert_uint_gt(turns, 0);
    ck_assert_int_eq(wait_for_sync(), 0);
    take_state(&saved);
    spill_checkpoint_complete(store);
    crash();
    reopen(&saved);
    saved_drop(&saved);
    persist_close();
}
END_TEST

/* Of many, a bounded number is looked at in a turn; what happens meanwhile is not told of. */
START_TEST(many_dropped_trees_are_told_of_in_slices)
{
    enum { LISTS = 2500, NODES_A_TURN = 1024, LATER = 10 };
    struct spill_deque *lists[LISTS];
    struct sync_result result = { 0 };
    uint64_t dropped;

    open_tiny();
    for (unsigned i = 0; i < LISTS; i++)
        lists[i] = numbers(200);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    for (unsigned i = LATER; i < LISTS; i++)
        spill_deque_destroy(lists[i]);
    dropped = store_info().pending_free_deques;
    ck_assert_uint_gt(dropped, 2 * NODES_A_TURN);
    ck_assert_int_eq(spill_checkpoint_begin(store), 0);
    for (unsigned i = 0; i < LATER; i++)
        save_one(&saved, i, lists[i]);
    ck_assert_int_eq(wait_for_roots(), 0);
    spill_checkpoint_sync(store, sync_came, &result);
    spill_deque_destroy(lists[0]);
    while (io_wait(io) > 0) {}
    for (unsigned turns = 1; turns < dropped / NODES_A_TURN; turns++) {
        ck_assert(!result.is_there);
        (void)spill_store_tick(store, 0);
    }
    while (!result.is_there)
        (void)spill_store_tick(store, 0);
    ck_assert_int_eq(result.rc, 0);
    take_state(&saved);
    spill_checkpoint_complete(store);
    for (unsigned i = 1; i < LATER; i++)
        spill_deque_destroy(lists[i]);
    crash();
    reopen(&saved);
    for (unsigned i = 0; i < LATER; i++) {
        lists[i] = load_one(&saved.lists[i]);
        expect_numbers(lists[i], 0, 200, 20);
    }
    close_all(&saved, lists, LATER);
}
END_TEST

START_TEST(a_second_process_is_refused)
{
    struct spill_store *mine;
    char why[SPILL_WHY_BYTES];

    open_tiny();
    struct spill_deque *list = numbers(2000);
    checkpoint_all(&saved, &list, 1);
    mine = store;
    ck_assert_int_eq(reopen_with(slice_of(saved.state, saved.state_size), why), -EWOULDBLOCK);
    ck_assert_str_eq(why, "another process has the spill file");
    store = mine;
    close_all(&saved, &list, 1);
}
END_TEST

static void expect_refusal(struct slice state, int rc, const char *words)
{
    char why[SPILL_WHY_BYTES] = "";

    ck_assert_int_eq(reopen_with(state, why), rc);
    ck_assert_str_eq(why, words);
}

static void path_of_file(char path[128])
{
    (void)snprintf(path, 128, "%s/spill-00000001.dat", directory);
}

START_TEST(what_does_not_fit_is_refused_in_words)
{
    char path[128], other[160];

    open_tiny();
    struct spill_deque *list = numbers(2000);
    checkpoint_all(&saved, &list, 1);
    spill_deque_destroy(list);
    crash();
    struct slice state = slice_of(saved.state, saved.state_size);
    persist_options.chunk_bytes = 1024;
    expect_refusal(state, -EINVAL, "the spill file has chunks of 512 bytes, not 1024");
    persist_options.chunk_bytes = 512;
    store_u32le(saved.state + 4, 2);
    expect_refusal(state, -EPROTONOSUPPORT,
                   "the state of the spill file has version 2, this program knows 1");
    store_u32le(saved.state + 4, 1);
    expect_refusal(slice_of(saved.state, 10), -EBADMSG, "the state of the spill file is none");
    path_of_file(path);
    (void)snprintf(other, sizeof(other), "%s.away", path);
    ck_assert_int_eq(rename(path, other), 0);
    expect_refusal(state, -ENOENT, "there is no spill file");
    ck_assert_int_eq(rename(other, path), 0);
    ck_assert_int_eq(truncate(path, 8192), 0);
    expect_refusal(state, -EBADMSG, "the spill file is shorter than its state says");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(directory), 0);
    io_destroy(io);
    fault_destroy(fault);
    saved_drop(&saved);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spill persist");
    TCase *tcase = test_suite_case(suite, "promises", NULL, NULL);

    tcase_add_test(tcase, a_list_is_there_again_with_all_its_elements);
    tcase_add_test(tcase, what_came_after_the_checkpoint_is_gone);
    tcase_add_test(tcase, opening_and_loading_read_nothing_of_the_lists);
    tcase_add_test(tcase, an_unchanged_list_costs_the_next_checkpoint_nothing);
    tcase_add_test(tcase, a_push_costs_the_next_checkpoint_a_chunk_and_the_path_to_it);
    tcase_add_test(tcase, short_lists_are_saved_as_their_elements);
    tcase_add_test(tcase, a_save_drops_nothing_from_memory);
    tcase_add_test(tcase, eviction_goes_on_and_the_budget_holds_while_lists_are_saved);
    tcase_add_test(tcase, what_a_checkpoint_refers_to_is_kept_until_the_next_is_complete);
    tcase_add_test(tcase, an_aborted_checkpoint_leaves_the_older_one);
    tcase_add_test(tcase, a_checkpoint_that_may_exist_is_kept_as_well_as_the_older_one);
    tcase_add_test(tcase, pending_saves_are_told_of_an_abort);
    tcase_add_test(tcase, what_gathers_beside_the_root_is_loaded_too);
    tcase_add_test(tcase, dropped_trees_are_taken_apart_in_the_next_life);
    tcase_add_test(tcase, dropped_trees_in_memory_are_taken_apart_before_a_checkpoint);
    tcase_add_test(tcase, many_dropped_trees_are_told_of_in_slices);
    tcase_add_test(tcase, a_second_process_is_refused);
    tcase_add_test(tcase, what_does_not_fit_is_refused_in_words);
    return test_suite_run(suite);
}
