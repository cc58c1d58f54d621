/* test_deque_fixture.h - a store in a directory of its own, deques in it, and a plain array to
 * compare them with.
 *
 * System calls go through a struct fault. `waiting` says how operations wait. */
#ifndef MODULES_SPILL_TEST_DEQUE_FIXTURE_H
#define MODULES_SPILL_TEST_DEQUE_FIXTURE_H
#include "modules/base/fault.h"
#include "modules/base/os.h"
#include "modules/base/random.h"
#include "modules/base/test_directory.h"
#include "modules/io/io.h"
#include "modules/spill/deque.h"
#include "modules/spill/store.h"
#include "modules/spill/store_internal.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum waiting { WAIT_BLOCKING, WAIT_AGAIN };

static struct fault *fault;
static struct io *io;
static struct spill_store *store;
static char directory[64];
static enum waiting waiting;
static unsigned wait_count, pause_count, ready_count;
static int pause_rc;
static bool pause_evicts; /* all that is not pinned goes to disk in each pause */

static inline int wait_hook(void *context)
{
    (void)context;
    wait_count++;
    if (waiting == WAIT_AGAIN) return -EAGAIN;
    (void)io_wait(io);
    return 0;
}

static inline int pause_hook(void *context)
{
    (void)context;
    pause_count++;
    if (pause_evicts) ck_assert_int_eq(spill_store_evict_all(store), 0);
    return pause_rc;
}

static inline void ready_hook(void *context)
{
    (void)context;
    ready_count++;
}

static inline struct spill_hooks test_hooks(void)
{
    return (struct spill_hooks){ .wait = wait_hook, .pause = pause_hook, .on_ready = ready_hook };
}

static inline void store_open_with(unsigned threads, const struct spill_options *options)
{
    struct spill_options all = *options;
    struct spill_hooks hooks = test_hooks();

    test_directory_make(directory, sizeof(directory), "/tmp", "deque");
    all.directory = directory;
    waiting = WAIT_BLOCKING;
    wait_count = pause_count = ready_count = 0;
    pause_rc = 0;
    pause_evicts = false;
    ck_assert_int_eq(fault_create(os_real(), &fault), 0);
    ck_assert_int_eq(io_create(fault_os(fault), threads, &io), 0);
    ck_assert_int_eq(spill_store_create(fault_os(fault), io, &all, &hooks, &store), 0);
}

/* Tiny chunks and a budget that holds about 300 of them. */
static inline void store_open_tiny(unsigned threads)
{
    store_open_with(threads, &(struct spill_options){ .memory_bytes = 256 << 10,
                                                      .chunk_bytes = 512,
                                                      .prefetch_bytes = 4096 });
}

static inline void store_close(void)
{
    struct spill_store_info info;

    spill_store_check(store);
    /* What was dropped is given back to the last block. */
    for (unsigned turn = 0; turn < 100000; turn++) {
        bool has_more = spill_store_tick(store, 0);
        if (io_in_flight(io) > 0)
            (void)io_wait(io);
        else if (!has_more)
            break;
    }
    spill_store_info(store, &info);
    ck_assert_uint_eq(info.element_count, 0);
    ck_assert_uint_eq(info.pending_free_deques, 0);
    ck_assert_uint_eq(info.chunk_count, 0);
    ck_assert_uint_eq(info.disk_used_bytes, 0);
    spill_store_destroy(store);
    io_destroy(io);
    fault_destroy(fault);
    ck_assert_int_eq(rmdir(directory), 0);
}

/* What the store does on its own, once. */
static inline void turn(void)
{
    (void)spill_store_tick(store, 0);
    (void)io_poll(io);
}

/* Until the store has come down to its budget and nothing is in flight. */
static inline void settle(void)
{
    while (spill_store_tick(store, 0) || io_in_flight(io) > 0)
        if (io_in_flight(io) > 0) (void)io_wait(io);
}

/* Repeats a call that gives -EAGAIN, as a parked client would: each time something was read. */
#define RETRIED(rc, call)                                                                          \
    do {                                                                                           \
        unsigned retried_times = 0;                                                                \
        while (((rc) = (call)) == -EAGAIN) {                                                       \
            ck_assert_uint_lt(++retried_times, 1000);                                              \
            (void)io_wait(io);                                                                     \
            (void)spill_store_tick(store, 0);                                                      \
        }                                                                                          \
    } while (0)

/* An element is known by its number: its bytes follow from number and size. */
struct element {
    uint32_t number, size;
};

static inline void element_fill(struct element element, uint8_t *bytes)
{
    for (uint32_t i = 0; i < element.size; i++)
        bytes[i] = (uint8_t)(element.number * 31 + (element.number >> 8) + i * 7);
    if (element.size >= 4) memcpy(bytes, &element.number, 4);
}

static inline bool element_is(struct element element, struct slice item)
{
    if (item.size != element.size) return false;
    uint8_t *bytes = malloc(element.size + 1);
    ck_assert_ptr_nonnull(bytes);
    element_fill(element, bytes);
    bool is_equal = memcmp(bytes, item.bytes, element.size) == 0;
    free(bytes);
    return is_equal;
}

struct model {
    struct element *elements;
    size_t count, capacity;
};

static inline void model_insert(struct model *model, size_t at, struct element element)
{
    if (model->count == model->capacity) {
        model->capacity = model->capacity ? 2 * model->capacity : 64;
        model->elements = realloc(model->elements, model->capacity * sizeof(element));
        ck_assert_ptr_nonnull(model->elements);
    }
    memmove(&model->elements[at + 1], &model->elements[at], (model->count - at) * sizeof(element));
    model->elements[at] = element;
    model->count++;
}

static inline void model_remove(struct model *model, size_t at, size_t count)
{
    if (count == 0) return;
    model->count -= count;
    memmove(&model->elements[at], &model->elements[at + count],
            (model->count - at) * sizeof(struct element));
}

static inline struct model model_copy(const struct model *model)
{
    struct model copy = { malloc((model->count + 1) * sizeof(struct element)), model->count,
                          model->count + 1 };
    ck_assert_ptr_nonnull(copy.elements);
    if (model->count > 0)
        memcpy(copy.elements, model->elements, model->count * sizeof(struct element));
    return copy;
}

static inline int push_element(struct spill_deque *deque, enum spill_end end,
                               struct element element)
{
    uint8_t *bytes = malloc(element.size + 1);
    ck_assert_ptr_nonnull(bytes);
    element_fill(element, bytes);
    struct slice item = { bytes, element.size };
    int rc = spill_deque_push(deque, end, &item, 1);
    free(bytes);
    return rc;
}

/* Numbers first, first + 1, … as elements of `size` bytes at the tail; lets the store work. */
static inline void push_numbers(struct spill_deque *deque, uint32_t first, uint32_t count,
                                uint32_t size)
{
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(push_element(deque, SPILL_TAIL, (struct element){ first + i, size }), 0);
        if (i % 64 == 0) turn();
    }
}

static inline void expect_pop(struct spill_deque *deque, enum spill_end end, struct element element)
{
    struct slice item;
    int rc;
    RETRIED(rc, spill_deque_peek(deque, end, &item));
    ck_assert_int_eq(rc, 1);
    ck_assert(element_is(element, item));
    spill_deque_drop_peeked(deque, end);
}

static inline void expect_numbers(struct spill_deque *deque, uint32_t first, uint32_t count,
                                  uint32_t size)
{
    for (uint32_t i = 0; i < count; i++) {
        expect_pop(deque, SPILL_HEAD, (struct element){ first + i, size });
        if (i % 64 == 0) turn();
    }
}

static inline struct spill_deque *deque_open(void)
{
    struct spill_deque *deque;
    ck_assert_int_eq(spill_deque_create(store, &deque), 0);
    return deque;
}

static inline struct spill_store_info store_info(void)
{
    struct spill_store_info info;
    spill_store_info(store, &info);
    return info;
}

/* What the budget bounds: without the file's transfer buffers and tables, which it bounds itself.
 */
static inline uint64_t blocks_memory(void)
{
    return store->memory_bytes;
}

/* A snapshot shows exactly the model, from both sides. */
static inline void expect_snapshot(struct spill_snapshot *snapshot, const struct model *model,
                                   enum spill_end towards)
{
    struct spill_cursor *cursor;
    struct slice item;
    int rc;

    ck_assert_uint_eq(spill_snapshot_count(snapshot), model->count);
    ck_assert_int_eq(spill_cursor_create(snapshot, towards == SPILL_TAIL ? 0 : model->count - 1,
                                         towards, &cursor),
                     0);
    for (size_t i = 0; i < model->count; i++) {
        size_t at = towards == SPILL_TAIL ? i : model->count - 1 - i;
        RETRIED(rc, spill_cursor_next(cursor, &item));
        ck_assert_int_eq(rc, 1);
        ck_assert(element_is(model->elements[at], item));
        if (i % 16 == 0) turn();
    }
    if (model->count > 0) ck_assert_int_eq(spill_cursor_next(cursor, &item), 0);
    spill_cursor_destroy(cursor);
}

static inline void expect_model(struct spill_deque *deque, const struct model *model)
{
    struct spill_snapshot *snapshot;
    uint64_t bytes = 0;

    for (size_t i = 0; i < model->count; i++)
        bytes += model->elements[i].size;
    ck_assert_uint_eq(spill_deque_count(deque), model->count);
    ck_assert_uint_eq(spill_deque_bytes(deque), bytes);
    spill_deque_check(deque);
    ck_assert_int_eq(spill_deque_snapshot(deque, &snapshot), 0);
    expect_snapshot(snapshot, model, SPILL_TAIL);
    spill_snapshot_release(snapshot);
}
#endif
