/* Random operations on several lists, checkpoints at any moment, the process dying at any moment:
 * what is opened afterwards is what the last complete checkpoint showed. */
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"
#include "modules/spill/file_internal.h"
#include "modules/spill/space_internal.h"
#include "modules/spill/test_persist_fixture.h"

enum { LISTS = 12, LIVES = 8, LIFE_STEPS = 1500, LIST_COUNT_MAX = 700, HELD = 4 };

/* A list as it is now. */
struct list {
    struct spill_deque *deque; /* NULL: there is none */
    struct model model;
    bool is_unseen; /* the running checkpoint has not saved it yet */
};

enum phase { PHASE_NONE, PHASE_SAVING, PHASE_SYNCING, PHASE_STATED };

static struct list lists[LISTS];
static struct spill_snapshot *held[HELD]; /* of readers, while their lists change and go */
static struct saved last, next;           /* complete; being made */
static bool has_last;
static enum phase phase;
static struct sync_result sync_result;
static unsigned completed_count, opened_count, failed_count;
static bool plants_reuse; /* the bug: freed extents are written again before the checkpoint */

static void make_list(unsigned which)
{
    lists[which].deque = deque_open();
    lists[which].model = (struct model){ 0 };
    lists[which].is_unseen = false;
}

static void drop_list(unsigned which)
{
    spill_deque_destroy(lists[which].deque);
    free(lists[which].model.elements);
    lists[which] = (struct list){ 0 };
}

static void see_list(unsigned which)
{
    if (!lists[which].is_unseen) return;
    lists[which].is_unseen = false;
    next.lists[which].model = model_copy(&lists[which].model);
    save_one(&next, which, lists[which].deque);
}

static void begin_checkpoint(void)
{
    begin_picture();
    for (unsigned i = 0; i < LISTS; i++)
        lists[i].is_unseen = lists[i].deque != NULL;
    phase = PHASE_SAVING;
}

static void abort_checkpoint(bool may_exist)
{
    spill_checkpoint_abort(store, may_exist);
    for (unsigned i = 0; i < LISTS; i++)
        lists[i].is_unseen = false;
    phase = PHASE_NONE;
}

/* Gives up, or completes; when nobody knows which, either may be found. */
static void end_checkpoint(void)
{
    uint64_t kind = random_below(&dice, 8);

    if (kind == 0) {
        abort_checkpoint(false);
        saved_drop(&next);
        return;
    }
    if (kind == 1) {
        abort_checkpoint(true);
        if (random_below(&dice, 2)) {
            saved_drop(&next);
            return;
        }
    } else {
        spill_checkpoint_complete(store);
        phase = PHASE_NONE;
    }
    saved_drop(&last);
    last = next;
    next = (struct saved){ 0 };
    has_last = true;
    completed_count++;
}

/* One step of the running checkpoint, or its begin. */
static void advance_checkpoint(void)
{
    switch (phase) {
    case PHASE_NONE:
        if (random_below(&dice, 10) == 0) begin_checkpoint();
        return;
    case PHASE_SAVING:
        for (unsigned i = 0; i < LISTS; i++) {
            if (!lists[i].is_unseen) continue;
            see_list(i);
            return;
        }
        if (spill_checkpoint_pending(store) > 0) return;
        sync_result = (struct sync_result){ 0 };
        if (random_below(&dice, 4) == 0) {
            enum fault_call call = random_below(&dice, 8) ? FAULT_FDATASYNC : FAULT_FSYNC_DIRECTORY;
            fault_fail(fault, call, 1, EIO, FAULT_ONCE);
        }
        spill_checkpoint_sync(store, sync_came, &sync_result);
        phase = PHASE_SYNCING;
        return;
    case PHASE_SYNCING:
        if (!sync_result.is_there) return;
        fault_clear(fault);
        if (sync_result.rc < 0) {
            failed_count++;
            abort_checkpoint(false);
            saved_drop(&next);
            return;
        }
        take_state(&next);
        phase = PHASE_STATED;
        return;
    case PHASE_STATED:
        end_checkpoint();
    }
}

/* What a planted bug does: the extents of the last checkpoint are nobody's business. */
static void forget_kept(void)
{
    struct spill_space *space = store->file->space;

    for (size_t i = 0; i < space->region_count; i++)
        memset(space->regions[i].kept->saved, 0, sizeof(space->regions[i].kept->saved));
    spill_space_abort(space, false);
}

/* Reading changes what is in memory, and must not change the picture. */
static void step_reading(void)
{
    struct slice item;
    int64_t rc;

    switch (random_below(&dice, 4)) {
    case 0:
        step_get();
        return;
    case 1:
        expect_model(deque, &model);
        return;
    case 2:
        RETRIED(rc, spill_deque_peek(deque, any_end(), &item));
        return;
    default:
        RETRIED(rc, spill_deque_pin_end(deque, any_end(), 1 + random_below(&dice, 50), 8192));
        spill_deque_unpin(deque);
    }
}

static void step_on(unsigned which)
{
    deque = lists[which].deque;
    model = lists[which].model;
    if (random_below(&dice, 3) == 0) {
        step_reading();
    } else {
        see_list(which);
        step();
        if (snapshot && random_below(&dice, 2)) drop_snapshot();
        if (snapshot) {
            /* Held over other lists' steps it would be restored to the wrong one. */
            turn();
            drop_snapshot();
        }
    }
    lists[which].deque = deque;
    lists[which].model = model;
}

static void let_go(unsigned which)
{
    spill_snapshot_release(held[which]);
    held[which] = NULL;
}

/* Some reader comes or goes. */
static void step_reader(void)
{
    unsigned which = (unsigned)random_below(&dice, HELD), of = (unsigned)random_below(&dice, LISTS);

    if (held[which]) {
        let_go(which);
    } else if (lists[of].deque) {
        see_list(of);
        ck_assert_int_eq(spill_deque_snapshot(lists[of].deque, &held[which]), 0);
    }
}

static void live(unsigned step_count)
{
    for (unsigned i = 0; i < step_count; i++) {
        unsigned which = (unsigned)random_below(&dice, LISTS);
        if (!lists[which].deque) {
            make_list(which);
        } else if (random_below(&dice, 60) == 0) {
            see_list(which);
            drop_list(which);
        } else {
            step_on(which);
        }
        if (random_below(&dice, 50) == 0) step_reader();
        if (plants_reuse)
            forget_kept();
        else if (random_below(&dice, 6) == 0)
            advance_checkpoint();
        if (random_below(&dice, 3) == 0) turn();
        if (i % 64 == 0) spill_store_check(store);
    }
}

static void let_all_go(void)
{
    for (unsigned i = 0; i < HELD; i++)
        let_go(i);
}

static void die(void)
{
    let_all_go();
    for (unsigned i = 0; i < LISTS; i++)
        if (lists[i].deque) drop_list(i);
    phase = PHASE_NONE;
    fault_clear(fault);
    crash();
    saved_drop(&next);
}

static void open_new(void)
{
    struct spill_hooks hooks = test_hooks();

    ck_assert_int_eq(spill_store_create(fault_os(fault), io, &persist_options, &hooks, &store), 0);
}

/* Whether a loaded list is what it was. */
static bool agrees(struct spill_deque *loaded, const struct model *expected)
{
    struct slice item;
    int rc;

    if (spill_deque_count(loaded) != expected->count) return false;
    for (size_t i = 0; i < expected->count; i++) {
        RETRIED(rc, spill_deque_get(loaded, i, &item));
        if (rc != 1 || !element_is(expected->elements[i], item)) return false;
    }
    return true;
}

/* The number of lists that are not what they were. */
static unsigned open_last(void)
{
    unsigned wrong_count = 0;

    reopen(&last);
    opened_count++;
    for (unsigned i = 0; i < LISTS; i++) {
        if (!last.lists[i].is_there) continue;
        lists[i].deque = load_one(&last.lists[i]);
        lists[i].model = model_copy(&last.lists[i].model);
        spill_deque_check(lists[i].deque);
        if (random_below(&dice, 2) == 0 || plants_reuse) {
            if (!agrees(lists[i].deque, &lists[i].model)) wrong_count++;
        }
    }
    spill_store_check(store);
    return wrong_count;
}

static void begin_play(uint64_t seed, unsigned threads)
{
    random_init(&dice, seed + 1000 * soak_seed());
    persist_open(threads, &(struct spill_options){ .memory_bytes = 256 << 10,
                                                   .chunk_bytes = 512,
                                                   .prefetch_bytes = 4096 });
    next_number = 1;
    count_max = LIST_COUNT_MAX;
    completed_count = opened_count = failed_count = 0;
    has_last = false;
}

static void end_play(void)
{
    let_all_go();
    for (unsigned i = 0; i < LISTS; i++)
        if (lists[i].deque) drop_list(i);
    if (phase != PHASE_NONE) abort_checkpoint(false);
    saved_drop(&next);
    saved_drop(&last);
    persist_close();
}

static void play(uint64_t seed, unsigned threads)
{
    begin_play(seed, threads);
    for (unsigned life = 0; life < LIVES; life++) {
        live(LIFE_STEPS / 2 + (unsigned)random_below(&dice, LIFE_STEPS));
        die();
        if (has_last)
            ck_assert_uint_eq(open_last(), 0);
        else
            open_new();
    }
    for (unsigned i = 0; i < LISTS; i++)
        if (lists[i].deque) expect_model(lists[i].deque, &lists[i].model);
    ck_assert_uint_gt(completed_count, LIVES);
    ck_assert_uint_gt(opened_count, LIVES / 2);
    ck_assert_uint_gt(failed_count, LIVES / 4);
    end_play();
}

START_TEST(what_is_opened_is_the_last_complete_checkpoint)
{
    play((uint64_t)_i + 1, 0);
}
END_TEST

START_TEST(what_is_opened_is_the_last_complete_checkpoint_with_io_threads)
{
    play((uint64_t)_i + 101, 2);
}
END_TEST

/* The test above proves itself: extents that are written again too early are found. */
START_TEST(extents_reused_before_the_checkpoint_are_found)
{
    unsigned wrong_count = 0;

    begin_play((uint64_t)_i + 201, 0);
    while (!has_last)
        live(LIFE_STEPS);
    if (phase != PHASE_NONE) abort_checkpoint(false);
    plants_reuse = true;
    live(2 * LIFE_STEPS);
    die();
    /* Even the file's end may have been given back. */
    if (reopen_with(slice_of(last.state, last.state_size), NULL) == 0) {
        crash();
        wrong_count = open_last();
        ck_assert_uint_gt(wrong_count, 0);
        for (unsigned i = 0; i < LISTS; i++)
            if (lists[i].deque) drop_list(i);
        crash();
    }
    plants_reuse = false;
    saved_drop(&last);
    io_destroy(io);
    fault_destroy(fault);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spill persist model");
    TCase *tcase = test_suite_case(suite, "model", NULL, NULL);

    tcase_add_loop_test(tcase, what_is_opened_is_the_last_complete_checkpoint, 0, 8);
    tcase_add_loop_test(tcase, what_is_opened_is_the_last_complete_checkpoint_with_io_threads, 0,
                        4);
    tcase_add_loop_test(tcase, extents_reused_before_the_checkpoint_are_found, 0, 2);
    return test_suite_run(suite);
}
