/* What is read before it is asked for: enough that who goes on in order rarely waits, and never
 * more than a share of the budget. */
#include "modules/base/test_suite.h"
#include "modules/spill/test_deque_fixture.h"

enum { MANY = 20000, ELEMENT_BYTES = 50 };

static struct spill_deque *deque;

static void open_with(uint64_t memory_bytes, uint32_t prefetch_bytes)
{
    store_open_with(0, &(struct spill_options){ .memory_bytes = memory_bytes,
                                                .chunk_bytes = 512,
                                                .prefetch_bytes = prefetch_bytes });
    deque = deque_open();
}

static void close_all(void)
{
    spill_deque_destroy(deque);
    store_close();
}

/* All on disk. */
static void fill(uint32_t count, uint32_t size)
{
    push_numbers(deque, 0, count, size);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    wait_count = 0;
}

/* Nearly all came before it was asked for, and many chunks with one transfer. */
static void expect_read_ahead(void)
{
    struct spill_store_info info = store_info();

    ck_assert_uint_gt(info.fetched_chunks, 1000);
    ck_assert_uint_gt(info.prefetched_chunks * 10, info.fetched_chunks * 9);
    ck_assert_uint_lt((uint64_t)wait_count * 4, info.fetched_chunks);
    ck_assert_uint_lt(fault_count(fault, FAULT_PREAD) * 4, info.fetched_chunks);
}

START_TEST(a_drain_reads_ahead)
{
    open_with(256 << 10, 16 << 10);
    fill(MANY, ELEMENT_BYTES);
    expect_numbers(deque, 0, MANY, ELEMENT_BYTES);
    expect_read_ahead();
    close_all();
}
END_TEST

/* What left memory while it was being pushed lies in runs, without single chunks between them that
 * left later. */
START_TEST(a_queue_that_outgrew_memory_comes_back_in_long_reads)
{
    enum { READ_CHUNKS = 9 }; /* 12 to 14 come with a read; with islands between, half as many */
    struct spill_store_info info;

    open_with(256 << 10, 16 << 10);
    for (uint32_t i = 0; i < MANY; i++) {
        ck_assert_int_eq(push_element(deque, SPILL_TAIL, (struct element){ i, ELEMENT_BYTES }), 0);
        if (i % 301 == 0) turn();
    }
    expect_numbers(deque, 0, MANY, ELEMENT_BYTES);
    info = store_info();
    ck_assert_uint_gt(info.fetched_chunks, 1000);
    ck_assert_uint_lt(fault_count(fault, FAULT_PREAD) * READ_CHUNKS, info.fetched_chunks);
    close_all();
}
END_TEST

/* A consumer that keeps pace with its producer, a tenth above what memory holds: what was pushed
 * last is needed last and goes to disk, what is older is popped from where it is. Evicted in order
 * of age, all of it would pass the disk. */
START_TEST(a_queue_a_little_longer_than_memory_partly_stays_there)
{
    enum { BUDGET = 1 << 20, LENGTH = 16000, ROUNDS = 10 };
    uint64_t passed_chunks = (uint64_t)ROUNDS * LENGTH / (512 / (ELEMENT_BYTES + 2));
    struct spill_store_info info;

    open_with(BUDGET, 16 << 10);
    push_numbers(deque, 0, LENGTH, ELEMENT_BYTES);
    for (uint32_t i = 0; i < ROUNDS * LENGTH; i++) {
        expect_pop(deque, SPILL_HEAD, (struct element){ i, ELEMENT_BYTES });
        push_numbers(deque, LENGTH + i, 1, ELEMENT_BYTES);
    }
    info = store_info();
    ck_assert_uint_gt(info.fetched_chunks, 0);
    ck_assert_uint_lt(info.fetched_chunks * 3, passed_chunks * 2);
    close_all();
}
END_TEST

START_TEST(a_walk_reads_ahead_in_both_directions)
{
    struct spill_snapshot *snapshot;
    struct spill_cursor *cursor;
    struct slice item;
    enum spill_end towards = (enum spill_end)_i;

    open_with(256 << 10, 16 << 10);
    fill(MANY, ELEMENT_BYTES);
    ck_assert_int_eq(spill_deque_snapshot(deque, &snapshot), 0);
    ck_assert_int_eq(
        spill_cursor_create(snapshot, towards == SPILL_TAIL ? 0 : MANY - 1, towards, &cursor), 0);
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t number = towards == SPILL_TAIL ? i : MANY - 1 - i;
        ck_assert_int_eq(spill_cursor_next(cursor, &item), 1);
        ck_assert(element_is((struct element){ number, ELEMENT_BYTES }, item));
        if (i % 64 == 0) turn();
    }
    expect_read_ahead();
    spill_cursor_destroy(cursor);
    spill_snapshot_release(snapshot);
    close_all();
}
END_TEST

static bool accept_none(void *context, struct slice item)
{
    (void)context;
    (void)item;
    return false;
}

START_TEST(removing_what_matches_reads_ahead)
{
    open_with(256 << 10, 16 << 10);
    fill(MANY, ELEMENT_BYTES);
    ck_assert_int_eq(spill_deque_remove_matching(deque, (enum spill_end)_i, 0, accept_none, NULL),
                     0);
    expect_read_ahead();
    close_all();
}
END_TEST

START_TEST(walks_that_were_given_up_do_not_keep_others_from_reading_ahead)
{
    struct spill_snapshot *snapshot;
    struct spill_cursor *cursor;
    struct slice item;

    open_with(256 << 10, 16 << 10);
    fill(MANY, ELEMENT_BYTES);
    ck_assert_int_eq(spill_deque_snapshot(deque, &snapshot), 0);
    for (uint32_t first = 0; first + 1000 < MANY; first += 1000) {
        ck_assert_int_eq(spill_cursor_create(snapshot, first, SPILL_TAIL, &cursor), 0);
        for (uint32_t i = 0; i < 500; i++)
            ck_assert_int_eq(spill_cursor_next(cursor, &item), 1);
        spill_cursor_destroy(cursor);
    }
    expect_read_ahead();
    spill_snapshot_release(snapshot);
    close_all();
}
END_TEST

/* The most memory that a drain of all on disk needs. */
static uint64_t memory_of_a_drain(uint32_t count, uint32_t size)
{
    uint64_t most = 0;

    fill(count, size);
    for (uint32_t i = 0; i < count; i++) {
        expect_pop(deque, SPILL_HEAD, (struct element){ i, size });
        if (blocks_memory() > most) most = blocks_memory();
    }
    return most;
}

START_TEST(a_small_budget_is_read_ahead_little)
{
    /* A quarter of it, and what descriptors and nodes take beside such small chunks. Nothing is
     * evicted meanwhile: what is not read takes no memory. */
    open_with(64 << 10, 1 << 20);
    ck_assert_uint_le(memory_of_a_drain(MANY, ELEMENT_BYTES), 44 << 10);
    close_all();
}
END_TEST

START_TEST(large_elements_are_read_ahead_by_their_bytes)
{
    /* A chunk each: as many of them as of small chunks would be 32 * 20,000 bytes. */
    open_with(4 << 20, 8 << 10);
    ck_assert_uint_le(memory_of_a_drain(300, 20000), 128 << 10);
    close_all();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("spill prefetch");
    TCase *tcase = test_suite_case(suite, "prefetch", NULL, NULL);

    tcase_add_test(tcase, a_queue_that_outgrew_memory_comes_back_in_long_reads);
    tcase_add_test(tcase, a_queue_a_little_longer_than_memory_partly_stays_there);
    tcase_add_test(tcase, a_drain_reads_ahead);
    tcase_add_loop_test(tcase, a_walk_reads_ahead_in_both_directions, 0, 2);
    tcase_add_loop_test(tcase, removing_what_matches_reads_ahead, 0, 2);
    tcase_add_test(tcase, walks_that_were_given_up_do_not_keep_others_from_reading_ahead);
    tcase_add_test(tcase, a_small_budget_is_read_ahead_little);
    tcase_add_test(tcase, large_elements_are_read_ahead_by_their_bytes);
    return suite;
}

int main(void)
{
    return test_suite_run(make_suite());
}
