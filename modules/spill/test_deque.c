/* What a deque and its store promise, one promise a test. */
#include "modules/base/test_suite.h"
#include "modules/spill/handle.h"
#include "modules/spill/test_deque_fixture.h"

enum { ELEMENT_BYTES = 100, MANY = 20000 }; /* 2 MB against a budget of 256 KiB */

static struct spill_deque *deque;

static void open_tiny(void)
{
    store_open_tiny(0);
    deque = deque_open();
}

static void close_all(void)
{
    spill_deque_destroy(deque);
    deque = NULL;
    store_close();
}

static void expect_all(uint32_t count)
{
    ck_assert_uint_eq(spill_deque_count(deque), count);
    expect_numbers(deque, 0, count, ELEMENT_BYTES);
    ck_assert_uint_eq(spill_deque_count(deque), 0);
}

START_TEST(a_new_deque_is_empty)
{
    struct slice item;

    ck_assert_uint_eq(spill_deque_count(deque), 0);
    ck_assert_int_eq(spill_deque_peek(deque, SPILL_HEAD, &item), 0);
    ck_assert_int_eq(spill_deque_peek(deque, SPILL_TAIL, &item), 0);
    ck_assert_int_eq(spill_deque_get(deque, 0, &item), 0);
    ck_assert_int_eq((int)spill_deque_drop(deque, SPILL_HEAD, 5), 0);
    ck_assert_int_eq(spill_deque_remove(deque, 0, 5), 0);
    ck_assert_int_eq(spill_deque_keep(deque, 3, 5), 0);
    ck_assert(spill_deque_is_resident(deque));
    spill_deque_check(deque);
}
END_TEST

START_TEST(the_last_one_pushed_ends_up_outermost)
{
    struct slice items[3] = { SLICE_LITERAL("a"), SLICE_LITERAL("b"), SLICE_LITERAL("c") }, item;

    ck_assert_int_eq(spill_deque_push(deque, SPILL_HEAD, items, 3), 0);
    ck_assert_int_eq(spill_deque_get(deque, 0, &item), 1);
    ck_assert(slice_equal(item, items[2]));
    ck_assert_int_eq(spill_deque_get(deque, 2, &item), 1);
    ck_assert(slice_equal(item, items[0]));
    ck_assert_uint_eq(spill_deque_bytes(deque), 3);
}
END_TEST

START_TEST(a_few_elements_take_little_and_are_never_evicted)
{
    struct spill_deque_info info;

    push_numbers(deque, 0, 5, 10);
    ck_assert_ptr_null(deque->grown);
    ck_assert_int_eq(spill_deque_info(deque, &info), 0);
    ck_assert_uint_le(info.bytes_in_memory, 128);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    ck_assert(spill_deque_is_resident(deque));
    ck_assert_int_eq(spill_deque_remove(deque, 1, 3), 0);
    ck_assert_uint_eq(spill_deque_count(deque), 2);
    ck_assert_uint_eq(spill_deque_bytes(deque), 20);
    spill_deque_check(deque);
    push_numbers(deque, 5, 500, 10);
    ck_assert_ptr_nonnull(deque->grown);
    ck_assert_uint_eq(spill_deque_count(deque), 502);
    spill_deque_check(deque);
}
END_TEST

static bool accept_third(void *context, struct slice item)
{
    unsigned *asked = context;
    (*asked)++;
    return item.bytes[0] % 3 == 0; /* an element's number */
}

START_TEST(of_a_few_elements_those_that_match_are_removed_from_either_end)
{
    enum spill_end from = _i ? SPILL_TAIL : SPILL_HEAD;
    unsigned asked = 0;

    push_numbers(deque, 0, 7, 10);
    ck_assert_int_eq(spill_deque_remove_matching(deque, from, 2, accept_third, &asked), 2);
    ck_assert_uint_eq(asked, 4); /* 0 1 2 3, or 6 5 4 3 */
    ck_assert_ptr_null(deque->grown);
    expect_numbers(deque, _i ? 0 : 1, _i ? 3 : 2, 10);
    expect_numbers(deque, 4, 2, 10);
    if (!_i) expect_pop(deque, SPILL_HEAD, (struct element){ 6, 10 });
    push_numbers(deque, 0, 7, 10);
    ck_assert_int_eq(spill_deque_remove_matching(deque, from, 0, accept_third, &asked), 3);
    ck_assert_uint_eq(asked, 11);
    ck_assert_uint_eq(spill_deque_count(deque), 4);
    ck_assert_uint_eq(spill_deque_bytes(deque), 40);
}
END_TEST

START_TEST(a_view_of_a_few_elements_can_be_pushed)
{
    enum spill_end end = _i ? SPILL_TAIL : SPILL_HEAD;
    struct slice view;

    push_numbers(deque, 7, 1, 10);
    for (unsigned i = 0; i < 8; i++) {
        ck_assert_int_eq(spill_deque_peek(deque, end, &view), 1);
        ck_assert_int_eq(spill_deque_push(deque, end, &view, 1), 0);
        ck_assert_int_eq(spill_deque_get(deque, i, &view), 1);
        ck_assert_int_eq(spill_deque_set(deque, 0, view), 0);
    }
    ck_assert_ptr_null(deque->grown);
    for (unsigned i = 0; i < 8; i++) {
        ck_assert_int_eq(spill_deque_peek(deque, end, &view), 1);
        ck_assert_int_eq(spill_deque_push(deque, other_end(end), &view, 1), 0);
    }
    ck_assert_ptr_nonnull(deque->grown);
    for (unsigned i = 0; i < 17; i++)
        expect_pop(deque, end, (struct element){ 7, 10 });
}
END_TEST

START_TEST(a_view_of_the_list_itself_can_be_pushed)
{
    struct slice view;

    push_numbers(deque, 0, 1, 300);
    for (unsigned i = 0; i < 20; i++) {
        ck_assert_int_eq(spill_deque_peek(deque, SPILL_HEAD, &view), 1);
        ck_assert_int_eq(spill_deque_push(deque, SPILL_TAIL, &view, 1), 0);
        ck_assert_int_eq(spill_deque_get(deque, i, &view), 1);
        ck_assert_int_eq(spill_deque_insert(deque, i, view), 0);
    }
    ck_assert_uint_eq(spill_deque_count(deque), 41);
    for (unsigned i = 0; i < 41; i++)
        expect_pop(deque, SPILL_TAIL, (struct element){ 0, 300 });
}
END_TEST

START_TEST(an_element_that_is_too_large_changes_nothing)
{
    static uint8_t bytes[1001];
    struct slice items[3] = { SLICE_LITERAL("x"), { bytes, 1001 }, SLICE_LITERAL("y") };

    push_numbers(deque, 0, 3, 10);
    spill_store_set_element_max(store, 1000);
    ck_assert_int_eq(spill_deque_push(deque, SPILL_TAIL, items, 3), -EMSGSIZE);
    ck_assert_int_eq(spill_deque_set(deque, 1, items[1]), -EMSGSIZE);
    ck_assert_int_eq(spill_deque_insert(deque, 1, items[1]), -EMSGSIZE);
    items[1].size = 1000;
    expect_numbers(deque, 0, 3, 10);
    ck_assert_int_eq(spill_deque_push(deque, SPILL_TAIL, items, 3), 0);
}
END_TEST

START_TEST(elements_keep_their_order_when_most_of_them_went_to_disk)
{
    push_numbers(deque, 0, MANY, ELEMENT_BYTES);
    ck_assert(!spill_deque_is_resident(deque));
    ck_assert_uint_gt(store_info().evicted_chunks, 1000);
    expect_all(MANY);
    spill_deque_check(deque);
}
END_TEST

START_TEST(a_deque_is_resident_again_when_what_was_on_disk_is_gone)
{
    push_numbers(deque, 0, MANY, ELEMENT_BYTES);
    expect_numbers(deque, 0, MANY - 2, ELEMENT_BYTES);
    ck_assert(spill_deque_is_resident(deque));
}
END_TEST

START_TEST(a_short_deque_is_resident_whenever_all_of_it_is_in_memory)
{
    struct spill_snapshot *snapshot;
    struct slice item;
    int rc;

    push_numbers(deque, 0, 50, ELEMENT_BYTES); /* about 12 chunks */
    ck_assert_int_eq(spill_deque_snapshot(deque, &snapshot), 0);
    ck_assert(spill_deque_is_resident(deque));
    ck_assert_int_eq(spill_deque_insert(deque, 20, SLICE_LITERAL("x")), 0);
    ck_assert(spill_deque_is_resident(deque));
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    ck_assert(!spill_deque_is_resident(deque));
    /* All but the last chunk, then that one too. */
    for (uint64_t i = 0; i < 51; i++) {
        if (i == 48) ck_assert(!spill_deque_is_resident(deque));
        RETRIED(rc, spill_deque_get(deque, i, &item));
        ck_assert_int_eq(rc, 1);
    }
    ck_assert(spill_deque_is_resident(deque));
    spill_snapshot_release(snapshot);
    ck_assert(spill_deque_is_resident(deque));
}
END_TEST

START_TEST(memory_stays_within_the_budget_and_what_is_being_written)
{
    uint64_t most = 0, budget = store_info().memory_budget_bytes;

    for (uint32_t i = 0; i < MANY; i++) {
        ck_assert_int_eq(push_element(deque, SPILL_TAIL, (struct element){ i, ELEMENT_BYTES }), 0);
        turn();
        /* The file's transfer buffers are its own matter and bounded by it. */
        uint64_t held = blocks_memory();
        if (held > most) most = held;
    }
    ck_assert_uint_gt(most, budget / 2);
    ck_assert_uint_le(most, budget + budget / 8);
    expect_all(MANY);
}
END_TEST

START_TEST(pushing_never_reads)
{
    push_numbers(deque, 0, MANY, ELEMENT_BYTES);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    waiting = WAIT_AGAIN;
    for (uint32_t i = 0; i < MANY / 4; i++) {
        ck_assert_int_eq(push_element(deque, SPILL_TAIL, (struct element){ MANY + i, 100 }), 0);
        ck_assert_int_eq(push_element(deque, SPILL_HEAD, (struct element){ MANY + i, 100 }), 0);
    }
    ck_assert_uint_eq(wait_count, 0);
    spill_deque_check(deque);
    waiting = WAIT_BLOCKING;
    for (uint32_t i = MANY / 4; i-- > 0;)
        expect_pop(deque, SPILL_HEAD, (struct element){ MANY + i, 100 });
    expect_all(MANY + MANY / 4);
}
END_TEST

START_TEST(a_queue_keeps_its_oldest_elements_in_memory)
{
    struct slice item;

    push_numbers(deque, 0, MANY, ELEMENT_BYTES);
    settle();
    waiting = WAIT_AGAIN;
    /* Many more than the window of 9 chunks are still there, at the end that is popped. */
    for (uint32_t i = 0; i < 250; i++) {
        ck_assert_int_eq(spill_deque_peek(deque, SPILL_HEAD, &item), 1);
        ck_assert(element_is((struct element){ i, ELEMENT_BYTES }, item));
        spill_deque_drop_peeked(deque, SPILL_HEAD);
    }
}
END_TEST

START_TEST(a_stack_keeps_its_newest_elements_in_memory)
{
    struct slice item;
    uint32_t top = 0;

    for (uint32_t round = 0; round < MANY / 10; round++) {
        for (unsigned i = 0; i < 11; i++)
            push_numbers(deque, top++, 1, ELEMENT_BYTES);
        expect_pop(deque, SPILL_TAIL, (struct element){ --top, ELEMENT_BYTES });
    }
    settle();
    waiting = WAIT_AGAIN;
    for (uint32_t i = 0; i < 640; i++) {
        ck_assert_int_eq(spill_deque_peek(deque, SPILL_TAIL, &item), 1);
        ck_assert(element_is((struct element){ --top, ELEMENT_BYTES }, item));
        spill_deque_drop_peeked(deque, SPILL_TAIL);
    }
}
END_TEST

START_TEST(draining_is_read_ahead)
{
    push_numbers(deque, 0, MANY, ELEMENT_BYTES);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    expect_all(MANY);
    struct spill_store_info info = store_info();
    ck_assert_uint_gt(info.prefetched_chunks * 10, info.fetched_chunks * 9);
    /* Neighbours are read in one transfer. */
    ck_assert_uint_lt(fault_count(fault, FAULT_PREAD) * 2, info.fetched_chunks);
}
END_TEST

/* Walks all of it by views of a few elements each. */
static void expect_views(uint32_t count, enum spill_end towards)
{
    struct slice items[7];
    uint32_t seen = 0;

    while (seen < count) {
        uint32_t index = towards == SPILL_TAIL ? seen : count - 1 - seen;
        int viewed = spill_deque_view(deque, index, towards, items, 7);

        ck_assert_int_ge(viewed, 1);
        ck_assert_int_le(viewed, 7);
        for (uint32_t i = 0; i < (uint32_t)viewed; i++) {
            uint32_t number = towards == SPILL_TAIL ? index + i : index - i;
            ck_assert(element_is((struct element){ number, ELEMENT_BYTES }, items[i]));
        }
        seen += (uint32_t)viewed;
    }
    ck_assert_uint_eq(seen, count);
}

START_TEST(views_show_what_is_in_memory_and_read_nothing)
{
    enum { FEW = 500 }; /* a hundred chunks and more, within the budget */
    struct slice item;
    uint64_t reads;

    push_numbers(deque, 0, FEW, ELEMENT_BYTES);
    expect_views(FEW, SPILL_TAIL);
    expect_views(FEW, SPILL_HEAD);
    ck_assert_int_eq(spill_deque_view(deque, FEW, SPILL_TAIL, &item, 1), 0);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    reads = fault_count(fault, FAULT_PREAD);
    ck_assert_int_eq(spill_deque_view(deque, FEW / 2, SPILL_TAIL, &item, 1), -EAGAIN);
    ck_assert_int_eq(spill_deque_view(deque, 0, SPILL_HEAD, &item, 1), -EAGAIN);
    ck_assert_uint_eq(store_info().fetched_chunks, 0);
    ck_assert_uint_eq(fault_count(fault, FAULT_PREAD), reads);
}
END_TEST

START_TEST(what_was_read_and_not_changed_is_dropped_without_a_write)
{
    struct slice item;

    push_numbers(deque, 0, MANY, ELEMENT_BYTES);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    uint64_t writes = store_info().writes;
    for (uint32_t i = 0; i < MANY; i += 97) {
        ck_assert_int_eq(spill_deque_get(deque, i, &item), 1);
        ck_assert(element_is((struct element){ i, ELEMENT_BYTES }, item));
        turn();
    }
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    ck_assert_uint_eq(store_info().writes, writes);
    expect_all(MANY);
}
END_TEST

START_TEST(a_list_that_gets_an_element_now_and_then_does_not_crumble)
{
    struct spill_deque_info info;

    for (uint32_t i = 0; i < 2000; i++) {
        ck_assert_int_eq(push_element(deque, SPILL_TAIL, (struct element){ i, 10 }), 0);
        if (i % 3 == 0) ck_assert_int_eq(spill_store_evict_all(store), 0);
    }
    ck_assert_int_eq(spill_deque_info(deque, &info), 0);
    /* 24,000 packed bytes fill 50 chunks. */
    ck_assert_uint_lt(info.chunk_count, 100);
    expect_numbers(deque, 0, 2000, 10);
}
END_TEST

START_TEST(crumbs_of_many_lists_are_read_back_a_few_at_a_time)
{
    enum { LISTS = 2000, ELEMENTS = 18 };
    struct spill_deque *lists[LISTS];
    uint64_t most = 0;

    for (uint32_t i = 0; i < LISTS; i++)
        ck_assert_int_eq(spill_deque_create(store, &lists[i]), 0);
    for (uint32_t i = 0; i < 2 * ELEMENTS * LISTS; i++) {
        struct element element = { i / LISTS, 10 };

        ck_assert_int_eq(push_element(lists[i % LISTS], SPILL_TAIL, element), 0);
        if (i == ELEMENTS * LISTS) ck_assert_int_eq(spill_store_evict_all(store), 0);
    }
    do { /* nothing is read before it is waited for: there is no I/O thread */
        for (unsigned ticks = 0; ticks < 10; ticks++)
            (void)spill_store_tick(store, 100000);
        if (store_info().reads_in_flight > most) most = store_info().reads_in_flight;
    } while (io_in_flight(io) > 0 && io_wait(io) > 0);
    ck_assert_uint_gt(most, 10); /* there was something to read */
    ck_assert_uint_lt(most, LISTS / 10);
    for (uint32_t i = 0; i < LISTS; i++) {
        expect_numbers(lists[i], 0, 2 * ELEMENTS, 10);
        spill_deque_destroy(lists[i]);
    }
}
END_TEST

START_TEST(the_index_does_not_grow_with_the_list)
{
    uint64_t budget = store_info().memory_budget_bytes;

    /* Descriptors of all its 6,400 chunks would be three times the budget. */
    for (uint32_t first = 0; first < 250000; first += 50000) {
        push_numbers(deque, first, 50000, 10);
        settle();
        ck_assert_uint_lt(store_info().index_memory_bytes, budget / 2);
    }
    spill_deque_check(deque);
    expect_numbers(deque, 0, 250000, 10);
}
END_TEST

START_TEST(reaching_an_element_reads_the_path_and_one_chunk)
{
    struct spill_deque_info info;
    struct random dice;

    random_init(&dice, 1);
    push_numbers(deque, 0, 200000, 10);
    ck_assert_int_eq(spill_deque_info(deque, &info), 0);
    ck_assert_uint_ge(info.tree_height, 3);
    for (unsigned i = 0; i < 200; i++) {
        uint32_t index = (uint32_t)random_below(&dice, 200000);
        struct slice item;
        ck_assert_int_eq(spill_store_evict_all(store), 0);
        uint64_t reads = store_info().reads;
        ck_assert_int_eq(spill_deque_get(deque, index, &item), 1);
        ck_assert(element_is((struct element){ index, 10 }, item));
        ck_assert_uint_le(store_info().reads - reads, info.tree_height);
    }
}
END_TEST

START_TEST(cutting_a_middle_away_does_not_read_it)
{
    struct slice item;

    push_numbers(deque, 0, MANY, ELEMENT_BYTES);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    uint64_t fetched = store_info().fetched_chunks;
    ck_assert_int_eq(spill_deque_remove(deque, 10, MANY - 20), 0);
    ck_assert_uint_le(store_info().fetched_chunks - fetched, 8);
    ck_assert_uint_eq(spill_deque_count(deque), 20);
    ck_assert_int_eq(spill_deque_get(deque, 10, &item), 1);
    ck_assert(element_is((struct element){ MANY - 10, ELEMENT_BYTES }, item));
    settle();
    ck_assert_uint_lt(store_info().disk_used_bytes, 65536);
}
END_TEST

START_TEST(destroying_while_reads_and_writes_are_in_flight_is_safe)
{
    struct slice item;

    waiting = WAIT_AGAIN;
    for (unsigned i = 0; i < 50; i++) {
        push_numbers(deque, 0, 4000, ELEMENT_BYTES);
        (void)spill_store_tick(store, 0);
        (void)spill_deque_get(deque, i * 80, &item);
        (void)spill_deque_peek(deque, SPILL_TAIL, &item);
        spill_deque_destroy(deque);
        spill_store_check(store);
        if (i % 7 == 0) turn();
        deque = deque_open();
    }
}
END_TEST

START_TEST(a_dropped_list_gives_its_room_back_in_slices)
{
    push_numbers(deque, 0, MANY, ELEMENT_BYTES);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    ck_assert_uint_gt(store_info().disk_used_bytes, MANY * ELEMENT_BYTES);
    spill_deque_destroy(deque);
    ck_assert_uint_gt(store_info().pending_free_deques, 0);
    settle();
    ck_assert_uint_eq(store_info().pending_free_deques, 0);
    ck_assert_uint_eq(store_info().disk_used_bytes, 0);
    deque = deque_open();
}
END_TEST

START_TEST(a_snapshot_outlives_its_deque)
{
    struct spill_snapshot *snapshot;
    struct spill_cursor *cursor;
    struct slice item;

    push_numbers(deque, 0, 5000, ELEMENT_BYTES);
    ck_assert_int_eq(spill_deque_snapshot(deque, &snapshot), 0);
    ck_assert_int_eq(spill_cursor_create(snapshot, 0, SPILL_TAIL, &cursor), 0);
    spill_snapshot_release(snapshot);
    spill_deque_destroy(deque);
    for (uint32_t i = 0; i < 5000; i++) {
        ck_assert_int_eq(spill_cursor_next(cursor, &item), 1);
        ck_assert(element_is((struct element){ i, ELEMENT_BYTES }, item));
        turn();
    }
    ck_assert_int_eq(spill_cursor_next(cursor, &item), 0);
    spill_cursor_destroy(cursor);
    deque = deque_open();
}
END_TEST

START_TEST(a_resting_cursor_holds_no_chunk_and_goes_on_where_it_was)
{
    struct spill_snapshot *snapshot;
    struct spill_cursor *cursor;
    struct spill_deque_info info;
    struct slice item;

    push_numbers(deque, 0, 5000, ELEMENT_BYTES);
    ck_assert_int_eq(spill_deque_snapshot(deque, &snapshot), 0);
    ck_assert_int_eq(spill_cursor_create(snapshot, 100, SPILL_TAIL, &cursor), 0);
    for (uint32_t number = 100; number < 5000; number++) {
        ck_assert_int_eq(spill_cursor_next(cursor, &item), 1);
        ck_assert(element_is((struct element){ number, ELEMENT_BYTES }, item));
        if (number % 7 == 0) spill_cursor_rest(cursor);
        if (number != 700) continue;
        ck_assert_int_eq(spill_store_evict_all(store), 0);
        ck_assert_int_eq(spill_deque_info(deque, &info), 0);
        ck_assert_uint_eq(info.chunks_in_memory, 0);
    }
    ck_assert_int_eq(spill_cursor_next(cursor, &item), 0);
    spill_cursor_destroy(cursor);
    spill_snapshot_release(snapshot);
}
END_TEST

START_TEST(a_ready_cursor_does_not_wait)
{
    struct spill_snapshot *snapshot;
    struct spill_cursor *cursor;
    struct slice item;
    unsigned waits = 0;

    push_numbers(deque, 0, 5000, ELEMENT_BYTES);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    ck_assert_int_eq(spill_deque_snapshot(deque, &snapshot), 0);
    ck_assert_int_eq(spill_cursor_create(snapshot, 4999, SPILL_HEAD, &cursor), 0);
    ck_assert(!spill_cursor_ready(cursor));
    waiting = WAIT_AGAIN;
    for (uint32_t i = 0; i < 5000;) {
        bool is_ready = spill_cursor_ready(cursor);
        int rc = spill_cursor_next(cursor, &item);
        if (rc == -EAGAIN) {
            ck_assert(!is_ready);
            waits++;
            (void)io_wait(io);
            continue;
        }
        ck_assert_int_eq(rc, 1);
        ck_assert(element_is((struct element){ 4999 - i, ELEMENT_BYTES }, item));
        i++;
    }
    ck_assert_uint_gt(waits, 0);
    ck_assert_uint_gt(ready_count, 0);
    ck_assert(spill_cursor_ready(cursor));
    spill_cursor_destroy(cursor);
    spill_snapshot_release(snapshot);
}
END_TEST

static bool accept_all(void *context, struct slice item)
{
    (void)item;
    ++*(unsigned *)context;
    return true;
}

START_TEST(removing_what_matches_stops_without_a_trace_when_it_is_told_to)
{
    unsigned asked = 0;

    push_numbers(deque, 0, 5000, ELEMENT_BYTES);
    pause_rc = -EINTR;
    ck_assert_int_eq(spill_deque_remove_matching(deque, SPILL_HEAD, 0, accept_all, &asked), -EINTR);
    ck_assert_uint_gt(asked, 0);
    pause_rc = 0;
    spill_deque_check(deque);
    expect_all(5000);
    ck_assert_uint_gt(pause_count, 0);
}
END_TEST

START_TEST(pinning_an_end_makes_the_pops_ready)
{
    struct slice item;

    push_numbers(deque, 0, MANY, ELEMENT_BYTES);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    int64_t ready = spill_deque_pin_end(deque, SPILL_HEAD, 100, 1 << 20);
    ck_assert_int_eq(ready, 100);
    waiting = WAIT_AGAIN;
    for (uint32_t i = 0; i < 100; i++) {
        ck_assert_int_eq(spill_deque_peek(deque, SPILL_HEAD, &item), 1);
        ck_assert(element_is((struct element){ i, ELEMENT_BYTES }, item));
        spill_deque_drop_peeked(deque, SPILL_HEAD);
    }
    spill_deque_unpin(deque);
    /* bytes_max bounds it: one chunk holds 4. */
    (void)spill_deque_pin_end(deque, SPILL_TAIL, 100, 1); /* may ask for it to be read */
    waiting = WAIT_BLOCKING;
    ready = spill_deque_pin_end(deque, SPILL_TAIL, 100, 1);
    ck_assert_int_gt(ready, 0);
    ck_assert_int_lt(ready, 5);
}
END_TEST

START_TEST(producers_are_told_to_slow_down_and_to_go_on)
{
    uint32_t pushed = 0;

    while (spill_store_pressure(store) == SPILL_OK && pushed < MANY)
        push_element(deque, SPILL_TAIL, (struct element){ pushed++, ELEMENT_BYTES });
    ck_assert_uint_lt(pushed, MANY);
    ck_assert_int_eq(spill_store_pressure(store), SPILL_SLOW);
    settle();
    ck_assert_int_eq(spill_store_pressure(store), SPILL_OK);
    expect_all(pushed);
}
END_TEST

START_TEST(the_budget_can_be_lowered)
{
    push_numbers(deque, 0, 2000, ELEMENT_BYTES);
    settle();
    ck_assert_uint_gt(blocks_memory(), 100000);
    spill_store_set_memory(store, 65536);
    settle();
    ck_assert_uint_le(blocks_memory(), 65536);
    expect_all(2000);
}
END_TEST

/* What an attempt has fetched waits for the next one. When that is held up by the pressure itself,
 * nothing else makes turns pass: the store must ask for them. */
START_TEST(what_waits_for_its_next_attempt_does_not_keep_producers_waiting)
{
    int64_t rc = -EAGAIN;

    push_numbers(deque, 0, MANY, ELEMENT_BYTES);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    waiting = WAIT_AGAIN;
    for (unsigned attempt = 0; rc == -EAGAIN && blocks_memory() < 100000; attempt++) {
        rc = spill_deque_pin_end(deque, SPILL_HEAD, 2000, UINT64_MAX);
        while (io_in_flight(io) > 0)
            (void)io_wait(io);
    }
    ck_assert_int_eq(rc, -EAGAIN);
    spill_store_set_memory(store, 65536);
    turn();
    ck_assert_int_eq(spill_store_pressure(store), SPILL_SLOW);
    settle();
    ck_assert_int_eq(spill_store_pressure(store), SPILL_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spill deque");
    TCase *tcase = test_suite_case(suite, "tiny chunks", open_tiny, close_all);

    tcase_add_test(tcase, a_new_deque_is_empty);
    tcase_add_test(tcase, the_last_one_pushed_ends_up_outermost);
    tcase_add_test(tcase, a_few_elements_take_little_and_are_never_evicted);
    tcase_add_loop_test(tcase, of_a_few_elements_those_that_match_are_removed_from_either_end, 0,
                        2);
    tcase_add_loop_test(tcase, a_view_of_a_few_elements_can_be_pushed, 0, 2);
    tcase_add_test(tcase, a_view_of_the_list_itself_can_be_pushed);
    tcase_add_test(tcase, an_element_that_is_too_large_changes_nothing);
    tcase_add_test(tcase, elements_keep_their_order_when_most_of_them_went_to_disk);
    tcase_add_test(tcase, a_deque_is_resident_again_when_what_was_on_disk_is_gone);
    tcase_add_test(tcase, a_short_deque_is_resident_whenever_all_of_it_is_in_memory);
    tcase_add_test(tcase, memory_stays_within_the_budget_and_what_is_being_written);
    tcase_add_test(tcase, pushing_never_reads);
    tcase_add_test(tcase, a_queue_keeps_its_oldest_elements_in_memory);
    tcase_add_test(tcase, a_stack_keeps_its_newest_elements_in_memory);
    tcase_add_test(tcase, draining_is_read_ahead);
    tcase_add_test(tcase, views_show_what_is_in_memory_and_read_nothing);
    tcase_add_test(tcase, what_was_read_and_not_changed_is_dropped_without_a_write);
    tcase_add_test(tcase, a_list_that_gets_an_element_now_and_then_does_not_crumble);
    tcase_add_test(tcase, crumbs_of_many_lists_are_read_back_a_few_at_a_time);
    tcase_add_test(tcase, the_index_does_not_grow_with_the_list);
    tcase_add_test(tcase, reaching_an_element_reads_the_path_and_one_chunk);
    tcase_add_test(tcase, cutting_a_middle_away_does_not_read_it);
    tcase_add_test(tcase, destroying_while_reads_and_writes_are_in_flight_is_safe);
    tcase_add_test(tcase, a_dropped_list_gives_its_room_back_in_slices);
    tcase_add_test(tcase, a_snapshot_outlives_its_deque);
    tcase_add_test(tcase, a_resting_cursor_holds_no_chunk_and_goes_on_where_it_was);
    tcase_add_test(tcase, a_ready_cursor_does_not_wait);
    tcase_add_test(tcase, removing_what_matches_stops_without_a_trace_when_it_is_told_to);
    tcase_add_test(tcase, pinning_an_end_makes_the_pops_ready);
    tcase_add_test(tcase, producers_are_told_to_slow_down_and_to_go_on);
    tcase_add_test(tcase, what_waits_for_its_next_attempt_does_not_keep_producers_waiting);
    tcase_add_test(tcase, the_budget_can_be_lowered);
    return test_suite_run(suite);
}
