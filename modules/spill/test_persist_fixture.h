/* test_persist_fixture.h - checkpoints of the fixture's store, kept in memory, and opening from
 * them. */
#ifndef MODULES_SPILL_TEST_PERSIST_FIXTURE_H
#define MODULES_SPILL_TEST_PERSIST_FIXTURE_H
#include "modules/spill/persist.h"
#include "modules/spill/test_deque_steps.h"

enum { SAVED_LISTS_MAX = 64 };

/* What a caller would keep in its file. */
struct saved_list {
    bool is_there;
    int rc;
    size_t size;
    uint8_t bytes[SPILL_ROOT_BYTES_MAX];
    struct model model; /* what the list was at P */
};

struct saved {
    struct saved_list lists[SAVED_LISTS_MAX];
    unsigned come; /* roots that have */
    uint8_t *state;
    size_t state_size;
};

static struct spill_options persist_options;

static inline void saved_drop(struct saved *saved)
{
    for (unsigned i = 0; i < SAVED_LISTS_MAX; i++)
        free(saved->lists[i].model.elements);
    free(saved->state);
    *saved = (struct saved){ 0 };
}

static inline void root_came(void *context, int rc, struct slice root)
{
    struct saved_list *list = context;

    ck_assert(!list->is_there);
    list->is_there = true;
    list->rc = rc;
    ck_assert_uint_le(root.size, sizeof(list->bytes));
    if (rc == 0) memcpy(list->bytes, root.bytes, root.size);
    list->size = root.size;
}

struct sync_result {
    bool is_there;
    int rc;
};

static inline void sync_came(void *context, int rc)
{
    struct sync_result *result = context;

    result->is_there = true;
    result->rc = rc;
}

/* 0 or why a root could not be had. */
static inline int wait_for_roots(void)
{
    while (spill_checkpoint_pending(store) > 0) {
        (void)spill_store_tick(store, 0);
        if (io_in_flight(io) > 0) (void)io_wait(io);
    }
    return 0;
}

static inline int wait_for_sync(void)
{
    struct sync_result result = { 0 };

    spill_checkpoint_sync(store, sync_came, &result);
    while (!result.is_there)
        ck_assert_uint_gt(io_wait(io), 0);
    return result.rc;
}

static inline void take_state(struct saved *saved)
{
    struct slice piece;
    int rc;

    ck_assert_ptr_null(saved->state);
    while ((rc = spill_checkpoint_state(store, &piece)) == 1) {
        ck_assert_uint_le(piece.size, SPILL_STATE_PIECE_BYTES);
        saved->state = realloc(saved->state, saved->state_size + piece.size);
        ck_assert_ptr_nonnull(saved->state);
        memcpy(saved->state + saved->state_size, piece.bytes, piece.size);
        saved->state_size += piece.size;
    }
    ck_assert_int_eq(rc, 0);
}

static inline void save_one(struct saved *saved, unsigned which, struct spill_deque *list)
{
    ck_assert_int_eq(spill_checkpoint_save(list, root_came, &saved->lists[which]), 0);
}

/* At once, however many dropped trees are to be taken apart before. */
static inline void begin_picture(void)
{
    int rc;

    while ((rc = spill_checkpoint_begin(store)) == -EAGAIN) {}
    ck_assert_int_eq(rc, 0);
}

/* A whole checkpoint of these lists at once, but for completing it. */
static inline void checkpoint_until_state(struct saved *saved, struct spill_deque **lists,
                                          unsigned count)
{
    begin_picture();
    for (unsigned i = 0; i < count; i++)
        if (lists[i]) save_one(saved, i, lists[i]);
    ck_assert_int_eq(wait_for_roots(), 0);
    ck_assert_int_eq(wait_for_sync(), 0);
    take_state(saved);
}

static inline void checkpoint_all(struct saved *saved, struct spill_deque **lists, unsigned count)
{
    checkpoint_until_state(saved, lists, count);
    spill_checkpoint_complete(store);
}

static inline void persist_open(unsigned threads, const struct spill_options *options)
{
    persist_options = *options;
    store_open_with(threads, options);
    persist_options.directory = directory;
}

static inline int reopen_with(struct slice state, char *why)
{
    struct spill_hooks hooks = test_hooks();

    store = NULL;
    return spill_store_open(fault_os(fault), io, &persist_options, &hooks, state, &store, why);
}

/* The process dies, as far as the file can tell: what memory held is gone. All deques and snapshots
 * were destroyed, which writes nothing. */
static inline void crash(void)
{
    if (spill_checkpoint_is_running(store)) spill_checkpoint_abort(store, false);
    spill_store_close(store);
    store = NULL;
}

static inline void reopen(const struct saved *saved)
{
    char why[SPILL_WHY_BYTES] = "";
    int rc = reopen_with(slice_of(saved->state, saved->state_size), why);

    ck_assert_msg(rc == 0, "%d: %s", rc, why);
}

static inline struct spill_deque *load_one(const struct saved_list *list)
{
    struct spill_deque *loaded;

    ck_assert(list->is_there);
    ck_assert_int_eq(list->rc, 0);
    ck_assert_int_eq(spill_deque_load(store, slice_of(list->bytes, list->size), &loaded), 0);
    return loaded;
}

static inline struct spill_persist_info persist_info(void)
{
    struct spill_persist_info info;

    spill_persist_info(store, &info);
    return info;
}

static inline struct spill_deque *numbers(uint32_t count)
{
    struct spill_deque *list = deque_open();

    push_numbers(list, 0, count, 20);
    return list;
}

/* With all deques gone, and their memory in the last checkpoint too, nothing of the file is used:
 * no extent was lost on the way. */
static inline void persist_close(void)
{
    struct saved empty = { 0 };

    settle();
    checkpoint_all(&empty, NULL, 0);
    saved_drop(&empty);
    store_close();
}

/* Everything goes, but what the file holds for the last checkpoint. */
static inline void close_all(struct saved *saved, struct spill_deque **lists, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        spill_deque_destroy(lists[i]);
    saved_drop(saved);
    persist_close();
}
#endif
