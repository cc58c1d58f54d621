/* test_deque_steps.h - one random operation of any kind on a deque, and the same on an array.
 *
 * The deque at hand, its model and the dice are static; who plays several swaps them. */
#ifndef MODULES_SPILL_TEST_DEQUE_STEPS_H
#define MODULES_SPILL_TEST_DEQUE_STEPS_H
#include "modules/spill/test_deque_fixture.h"

static struct random dice;
static struct spill_deque *deque;
static struct model model;
static uint32_t next_number;
static size_t count_max;

static struct spill_snapshot *snapshot;
static struct model snapshot_model;

static inline struct element new_element(void)
{
    uint64_t kind = random_below(&dice, 100);
    uint32_t size = (uint32_t)random_below(&dice, 40);

    if (kind >= 90) size = 100 + (uint32_t)random_below(&dice, 300);
    if (kind >= 97) size = 500 + (uint32_t)random_below(&dice, 1500);
    if (kind == 99) size = 5000 + (uint32_t)random_below(&dice, 20000);
    return (struct element){ next_number++, size };
}

static inline enum spill_end any_end(void)
{
    return (enum spill_end)random_below(&dice, 2);
}

static inline void step_push(enum spill_end end)
{
    struct element elements[40];
    struct slice items[40];
    size_t count = 1 + random_below(&dice, 40);
    int rc;

    if (model.count > count_max) return;
    for (size_t i = 0; i < count; i++) {
        elements[i] = new_element();
        uint8_t *bytes = malloc(elements[i].size + 1);
        ck_assert_ptr_nonnull(bytes);
        element_fill(elements[i], bytes);
        items[i] = slice_of(bytes, elements[i].size);
    }
    RETRIED(rc, spill_deque_push(deque, end, items, count));
    ck_assert_int_eq(rc, 0);
    for (size_t i = 0; i < count; i++) {
        model_insert(&model, end == SPILL_HEAD ? 0 : model.count, elements[i]);
        free((void *)(uintptr_t)items[i].bytes);
    }
}

static inline void step_pop(void)
{
    enum spill_end end = any_end();
    uint64_t count = random_below(&dice, 60);
    struct slice item;

    for (; count > 0 && model.count > 0; count--) {
        size_t at = end == SPILL_HEAD ? 0 : model.count - 1;
        expect_pop(deque, end, model.elements[at]);
        model_remove(&model, at, 1);
    }
    if (model.count == 0) ck_assert_int_eq(spill_deque_peek(deque, end, &item), 0);
}

static inline void step_drop(void)
{
    enum spill_end end = any_end();
    uint64_t count = random_below(&dice, random_below(&dice, 4) == 0 ? 400 : 20);
    uint64_t expected = count < model.count ? count : model.count;
    int64_t rc;

    RETRIED(rc, spill_deque_drop(deque, end, count));
    ck_assert_int_eq(rc, (int64_t)expected);
    model_remove(&model, end == SPILL_HEAD ? 0 : model.count - expected, expected);
}

static inline void step_get(void)
{
    uint64_t index = random_below(&dice, model.count + 2);
    struct slice item;
    int rc;

    RETRIED(rc, spill_deque_get(deque, index, &item));
    ck_assert_int_eq(rc, index < model.count ? 1 : 0);
    if (rc == 1) ck_assert(element_is(model.elements[index], item));
}

static inline void step_edit(bool is_insert)
{
    struct element element = new_element();
    uint64_t index = random_below(&dice, model.count + 2);
    uint8_t *bytes = malloc(element.size + 1);
    int rc;

    ck_assert_ptr_nonnull(bytes);
    element_fill(element, bytes);
    struct slice item = { bytes, element.size };
    if (is_insert)
        RETRIED(rc, spill_deque_insert(deque, index, item));
    else
        RETRIED(rc, spill_deque_set(deque, index, item));
    free(bytes);
    if (index >= model.count + is_insert) {
        ck_assert_int_eq(rc, -ERANGE);
        return;
    }
    ck_assert_int_eq(rc, 0);
    if (is_insert)
        model_insert(&model, index, element);
    else
        model.elements[index] = element;
}

static inline void step_remove(void)
{
    uint64_t index = random_below(&dice, model.count + 1);
    uint64_t count = random_below(&dice, random_below(&dice, 4) == 0 ? 300 : 5);
    uint64_t there = model.count - index;
    int rc;

    RETRIED(rc, spill_deque_remove(deque, index, count));
    ck_assert_int_eq(rc, 0);
    model_remove(&model, index, count < there ? count : there);
}

static inline void step_keep(void)
{
    uint64_t index = random_below(&dice, model.count / 4 + 1);
    uint64_t count = model.count - index - random_below(&dice, model.count / 4 + 1);
    int rc;

    RETRIED(rc, spill_deque_keep(deque, index, count));
    ck_assert_int_eq(rc, 0);
    if (index + count > model.count) count = model.count - index;
    model_remove(&model, index + count, model.count - index - count);
    model_remove(&model, 0, index);
}

struct matching {
    uint64_t modulus;
};

static inline bool matches(uint64_t modulus, const uint8_t *bytes, size_t size)
{
    uint64_t sum = size;
    for (size_t i = 0; i < size && i < 8; i++)
        sum = sum * 31 + bytes[i];
    return sum % modulus == 0;
}

static inline bool accepts(void *context, struct slice item)
{
    return matches(*(uint64_t *)context, item.bytes, item.size);
}

static inline void step_remove_matching(void)
{
    uint64_t modulus = 1 + random_below(&dice, 30), removed = 0;
    uint64_t limit = random_below(&dice, 2) ? random_below(&dice, 50) : 0;
    enum spill_end from = any_end();
    static uint8_t bytes[65536];
    int64_t rc;

    if (modulus == 1 && random_below(&dice, 8)) modulus = 2;
    for (size_t i = 0, at = from == SPILL_HEAD ? 0 : model.count - 1; i < model.count + removed;
         i++) {
        struct element element = model.elements[at];
        element_fill(element, bytes);
        bool is_match = (limit == 0 || removed < limit) && matches(modulus, bytes, element.size);
        if (is_match) {
            model_remove(&model, at, 1);
            removed++;
            if (from == SPILL_TAIL) at--;
        } else {
            at = from == SPILL_HEAD ? at + 1 : at - 1;
        }
    }
    RETRIED(rc, spill_deque_remove_matching(deque, from, limit, accepts, &modulus));
    ck_assert_int_eq(rc, (int64_t)removed);
}

static inline void step_pin(void)
{
    enum spill_end end = any_end();
    uint64_t count = 1 + random_below(&dice, 100);
    struct slice item;
    int64_t ready;

    RETRIED(ready, spill_deque_pin_end(deque, end, count, 65536));
    ck_assert_int_ge(ready, model.count > 0);
    ck_assert_int_le(ready, (int64_t)count);
    unsigned waits = wait_count;
    for (; ready > 0; ready--) {
        size_t at = end == SPILL_HEAD ? 0 : model.count - 1;
        ck_assert_int_eq(spill_deque_peek(deque, end, &item), 1);
        ck_assert(element_is(model.elements[at], item));
        spill_deque_drop_peeked(deque, end);
        model_remove(&model, at, 1);
    }
    ck_assert_uint_eq(wait_count, waits);
    spill_deque_unpin(deque);
}

static inline void drop_snapshot(void)
{
    spill_snapshot_release(snapshot);
    free(snapshot_model.elements);
    snapshot = NULL;
    snapshot_model = (struct model){ 0 };
}

static inline void step_snapshot(void)
{
    if (!snapshot) {
        ck_assert_int_eq(spill_deque_snapshot(deque, &snapshot), 0);
        snapshot_model = model_copy(&model);
        return;
    }
    switch (random_below(&dice, 4)) {
    case 0:
        spill_deque_restore(deque, snapshot);
        snapshot = NULL;
        free(model.elements);
        model = snapshot_model;
        snapshot_model = (struct model){ 0 };
        break;
    case 1:
        drop_snapshot();
        break;
    default:
        if (snapshot_model.count > 0) expect_snapshot(snapshot, &snapshot_model, any_end());
    }
}

static inline void step(void)
{
    uint64_t kind = random_below(&dice, 100);

    if (kind < 25)
        step_push(any_end());
    else if (kind < 30)
        step_push(SPILL_TAIL);
    else if (kind < 42)
        step_pop();
    else if (kind < 47)
        step_drop();
    else if (kind < 57)
        step_get();
    else if (kind < 64)
        step_edit(false);
    else if (kind < 74)
        step_edit(true);
    else if (kind < 80)
        step_remove();
    else if (kind < 81)
        step_keep();
    else if (kind < 83)
        step_remove_matching();
    else if (kind < 86)
        step_pin();
    else if (kind < 90)
        step_snapshot();
    else if (kind < 91)
        ck_assert_int_eq(spill_store_evict_all(store), 0);
    else
        turn();
}
#endif
