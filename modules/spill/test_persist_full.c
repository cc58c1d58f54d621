/* A full disk, with checkpoints: what is refused, and that it can always be drained. */
#include "modules/base/test_suite.h"
#include "modules/spill/test_persist_fixture.h"

enum { ROUNDS = 40, ELEMENT_BYTES = 100 };

static struct spill_options options = {
    .memory_bytes = 256 << 10, .chunk_bytes = 4096, .prefetch_bytes = 16384, .is_persistent = true
};
static struct saved saved;
static uint32_t first, next; /* numbers in the list: [first, next) */

/* Until the store refuses: 0 when it never did. */
static uint32_t push_until_full(struct spill_deque *list, uint32_t most)
{
    for (uint32_t i = 0; i < most; i++) {
        struct element element = { next, ELEMENT_BYTES };
        int rc = spill_store_pressure(store) == SPILL_FULL
                     ? -ENOSPC
                     : push_element(list, SPILL_TAIL, element);
        if (rc == -ENOSPC) return i;
        ck_assert_int_eq(rc, 0);
        next++;
        if (i % 16 == 0) settle();
    }
    return most;
}

static void pop_numbers(struct spill_deque *list, uint32_t count)
{
    expect_numbers(list, first, count, ELEMENT_BYTES);
    first += count;
}

static void checkpoint(struct spill_deque **list)
{
    saved_drop(&saved);
    checkpoint_all(&saved, list, 1);
    ck_assert_int_eq(saved.lists[0].rc, 0);
    settle();
}

static void drain_and_fill(struct spill_deque **list)
{
    ck_assert_uint_lt(push_until_full(*list, 100000), 100000);
    for (unsigned round = 0; round < ROUNDS; round++) {
        checkpoint(list);
        pop_numbers(*list, (next - first) / 2);
        checkpoint(list);
        uint32_t count = next - first;
        ck_assert_uint_gt(push_until_full(*list, 100000), count / 2);
        ck_assert_int_eq(spill_store_pressure(store), SPILL_FULL);
    }
}

static void end(struct spill_deque **list)
{
    spill_deque_destroy(*list);
    crash();
    reopen(&saved);
    *list = load_one(&saved.lists[0]);
    ck_assert_uint_gt(spill_deque_count(*list), 0);
    spill_deque_destroy(*list);
    saved_drop(&saved);
    persist_close();
}

START_TEST(a_store_at_its_limit_is_drained_and_filled_again_and_again)
{
    options.disk_bytes_max = 4 << 20;
    persist_open(0, &options);
    struct spill_deque *list = deque_open();
    first = next = 0;
    drain_and_fill(&list);
    ck_assert_int_eq(spill_store_disk(store), SPILL_DISK_AT_LIMIT);
    ck_assert_uint_le(fault_disk_used(fault), 6 << 20);
    end(&list);
}
END_TEST

START_TEST(a_full_disk_is_drained_and_filled_again_and_again)
{
    options.disk_bytes_max = 0;
    persist_open(0, &options);
    fault_set_disk(fault, 4 << 20);
    struct spill_deque *list = deque_open();
    first = next = 0;
    drain_and_fill(&list);
    ck_assert_int_eq(spill_store_disk(store), SPILL_DISK_FULL);
    end(&list);
}
END_TEST

/* Nothing was refused, so all of it must go to disk. */
START_TEST(what_was_taken_can_be_saved_on_any_disk)
{
    for (uint64_t disk = 1 << 20; disk < 3 << 20; disk += 100 * 1000) {
        options.disk_bytes_max = 0;
        persist_open(0, &options);
        fault_set_disk(fault, disk);
        struct spill_deque *list = deque_open();
        first = next = 0;
        (void)push_until_full(list, 100000);
        ck_assert_uint_gt(next, 0);
        checkpoint(&list);
        /* What is popped makes chunks dirty that were clean. */
        pop_numbers(list, next / 3);
        checkpoint(&list);
        end(&list);
    }
}
END_TEST

/* ---- what changes without growing --------------------------------------------------------------
 */

/* Chunks of a block each, or of up to eight, which not every free piece can take. */
struct turning {
    uint32_t chunk_bytes, memory_bytes, disk_bytes;
    uint32_t element_bytes_max; /* 0: all have ELEMENT_BYTES */
};
static const struct turning turnings[] = {
    { 4096, 256 << 10, 4 << 20, 0 },
    { 32768, 2 << 20, 16 << 20, 3000 },
};
enum { TURNINGS = sizeof(turnings) / sizeof(turnings[0]) };
static const struct turning *turning;

static struct element element_of(uint32_t number)
{
    uint32_t most = turning->element_bytes_max;

    return (struct element){ number, most == 0 ? ELEMENT_BYTES : 4 + number * 7919 % most };
}

static void fill_for_turning(struct spill_deque *list)
{
    first = next = 0;
    while (spill_store_pressure(store) != SPILL_FULL) {
        int rc = push_element(list, SPILL_TAIL, element_of(next));
        if (rc == -ENOSPC) break;
        ck_assert_int_eq(rc, 0);
        if (next++ % 16 == 0) settle();
    }
}

static void move_one(struct spill_deque *list)
{
    expect_pop(list, SPILL_HEAD, element_of(first++));
    spill_store_use_reserve(store, true);
    ck_assert_int_eq(push_element(list, SPILL_TAIL, element_of(next)), 0);
    spill_store_use_reserve(store, false);
    spill_store_rewrote(store, element_of(next++).size);
}

/* Each chunk that moves keeps its old place until the next checkpoint: who is told to wait for that
 * finds it possible. */
static void turn_the_list(void)
{
    struct spill_deque *list = deque_open();
    unsigned waits = 0;

    fill_for_turning(list);
    checkpoint(&list);
    for (uint32_t moves = 2 * next; moves > 0; moves--) {
        if (spill_store_room(store) == SPILL_ROOM_COMING) settle();
        if (spill_store_room(store) >= SPILL_ROOM_SHORT) {
            ck_assert_int_eq(spill_store_room(store), SPILL_ROOM_SHORT);
            checkpoint(&list);
            waits++;
        }
        move_one(list);
        if (moves % 16 == 0) settle();
    }
    ck_assert_uint_gt(waits, 1);
    checkpoint(&list);
    end(&list);
}

static void open_for_turning(int which, bool is_limited)
{
    struct spill_options turned = options;

    turning = &turnings[which];
    turned.chunk_bytes = turning->chunk_bytes;
    turned.memory_bytes = turning->memory_bytes;
    turned.disk_bytes_max = is_limited ? turning->disk_bytes : 0;
    persist_open(0, &turned);
    if (!is_limited) fault_set_disk(fault, turning->disk_bytes);
}

START_TEST(a_list_on_a_full_disk_is_turned)
{
    open_for_turning(_i, false);
    turn_the_list();
}
END_TEST

START_TEST(a_list_at_the_limit_is_turned)
{
    open_for_turning(_i, true);
    turn_the_list();
}
END_TEST

static bool accepts_some(void *context, struct slice item)
{
    unsigned *left = context;

    (void)item;
    return --*left % 100 == 0;
}

/* Without checkpoints, too: what an operation holds until its end has a bound. */
START_TEST(what_would_take_too_much_room_removes_nothing)
{
    struct spill_deque *list;
    unsigned asked = 100000;

    options.is_persistent = _i == 0;
    options.disk_bytes_max = 4 << 20;
    persist_open(0, &options);
    list = deque_open();
    first = next = 0;
    (void)push_until_full(list, 100000);
    settle();
    ck_assert_int_eq(spill_deque_remove_matching(list, SPILL_HEAD, 0, accepts_some, &asked),
                     -ENOSPC);
    ck_assert_uint_eq(spill_deque_count(list), next);
    settle();
    asked = 100000;
    ck_assert_int_eq(spill_deque_remove_matching(list, SPILL_HEAD, 1, accepts_some, &asked), 1);
    spill_deque_destroy(list);
    settle();
    store_close();
    options.is_persistent = true;
}
END_TEST

enum { SOME = 7 }; /* each so-manieth number is removed */

static bool accepts_multiples(void *context, struct slice item)
{
    uint32_t number;

    (void)context;
    memcpy(&number, item.bytes, sizeof(number));
    return number % SOME == 0;
}

static void expect_no_multiples(struct spill_deque *list)
{
    for (uint32_t number = 0; number < next; number++) {
        if (number % SOME == 0) continue;
        expect_pop(list, SPILL_HEAD, (struct element){ number, ELEMENT_BYTES });
        if (number % 64 == 0) settle();
    }
    ck_assert_uint_eq(spill_deque_count(list), 0);
}

/* Of every chunk something, from either end, with checkpoints and without: in steps. */
START_TEST(what_takes_too_much_room_at_once_is_removed_in_steps)
{
    enum spill_end from = _i % 2 == 0 ? SPILL_HEAD : SPILL_TAIL;
    struct spill_deque *list;
    uint64_t passed = 0, removed = 0;
    unsigned steps = 0;

    options.is_persistent = _i < 2;
    options.disk_bytes_max = 4 << 20;
    persist_open(0, &options);
    list = deque_open();
    first = next = 0;
    ck_assert_uint_lt(push_until_full(list, 100000), 100000);
    if (options.is_persistent) checkpoint(&list);
    for (; passed < spill_deque_count(list); steps++) {
        int64_t rc = spill_deque_remove_some(list, from, 0, accepts_multiples, NULL, &passed);
        ck_assert_int_gt(rc, 0);
        removed += (uint64_t)rc;
        if (options.is_persistent) checkpoint(&list);
        settle();
        ck_assert(spill_store_may_rewrite(store));
    }
    ck_assert_uint_gt(steps, 2);
    ck_assert_uint_eq(removed, (next + SOME - 1) / SOME);
    expect_no_multiples(list);
    spill_deque_destroy(list);
    saved_drop(&saved);
    if (options.is_persistent)
        persist_close();
    else
        store_close();
    options.is_persistent = true;
}
END_TEST

enum { LISTS = 60, POPS_A_CHECKPOINT = 8 };

static struct spill_deque *lists[LISTS];

/* Elements pushed to each. */
static uint32_t fill_all(void)
{
    uint32_t count = 0;

    for (;; count++) {
        for (unsigned i = 0; i < LISTS; i++) {
            next = count;
            if (push_until_full(lists[i], 1) == 0) return count;
        }
    }
}

static void pop_one_of_each(uint32_t number)
{
    for (unsigned i = 0; i < LISTS; i++) {
        expect_pop(lists[i], SPILL_HEAD, (struct element){ number, ELEMENT_BYTES });
        settle();
    }
}

/* Each makes a chunk dirty that was clean, and its extent waits for the checkpoint. */
START_TEST(lists_on_a_full_disk_are_drained_evenly)
{
    options.disk_bytes_max = 4 << 20;
    persist_open(0, &options);
    for (unsigned i = 0; i < LISTS; i++)
        lists[i] = deque_open();
    uint32_t count = fill_all();
    ck_assert_uint_gt(count, 100);
    for (uint32_t number = 0; number < count / 2; number++) {
        pop_one_of_each(number);
        if (number % POPS_A_CHECKPOINT > 0) continue;
        saved_drop(&saved);
        checkpoint_all(&saved, lists, LISTS);
        for (unsigned i = 0; i < LISTS; i++)
            ck_assert_int_eq(saved.lists[i].rc, 0);
        settle();
    }
    ck_assert_int_eq(spill_store_pressure(store), SPILL_OK);
    for (unsigned i = 0; i < LISTS; i++)
        spill_deque_destroy(lists[i]);
    saved_drop(&saved);
    persist_close();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spill persist full");
    TCase *tcase = test_suite_case(suite, "full", NULL, NULL);

    tcase_add_test(tcase, a_store_at_its_limit_is_drained_and_filled_again_and_again);
    tcase_add_test(tcase, a_full_disk_is_drained_and_filled_again_and_again);
    tcase_add_test(tcase, what_was_taken_can_be_saved_on_any_disk);
    tcase_add_loop_test(tcase, a_list_on_a_full_disk_is_turned, 0, TURNINGS);
    tcase_add_loop_test(tcase, a_list_at_the_limit_is_turned, 0, TURNINGS);
    tcase_add_loop_test(tcase, what_would_take_too_much_room_removes_nothing, 0, 2);
    tcase_add_loop_test(tcase, what_takes_too_much_room_at_once_is_removed_in_steps, 0, 4);
    tcase_add_test(tcase, lists_on_a_full_disk_are_drained_evenly);
    return test_suite_run(suite);
}
