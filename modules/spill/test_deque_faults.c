/* The disk fails, is full, or gives back other bytes than were written: nothing that was accepted
 * is lost or changed, errors name their place, and the rest goes on. */
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"
#include "modules/spill/deque_internal.h"
#include "modules/spill/handle.h"
#include "modules/spill/test_deque_fixture.h"

#include <dirent.h>
#include <fcntl.h>

enum { COUNT = 1500, ELEMENT_BYTES = 100 };

static struct spill_deque *deque;

static void open_tiny(void)
{
    store_open_tiny(0);
    deque = deque_open();
}

static void close_all(void)
{
    fault_clear(fault);
    fault_set_disk(fault, UINT64_MAX);
    spill_deque_destroy(deque);
    deque = NULL;
    store_close();
}

static struct model numbers(uint32_t count)
{
    struct model model = { 0 };
    for (uint32_t i = 0; i < count; i++)
        model_insert(&model, i, (struct element){ i, ELEMENT_BYTES });
    return model;
}

static bool accept_multiples_of_seven(void *context, struct slice item)
{
    uint32_t number;
    (void)context;
    memcpy(&number, item.bytes, sizeof(number));
    return number % 7 == 0;
}

static int push_three(enum spill_end end)
{
    uint8_t bytes[3][300];
    struct slice items[3];

    for (uint32_t i = 0; i < 3; i++) {
        element_fill((struct element){ COUNT + i, 300 }, bytes[i]);
        items[i] = slice_of(bytes[i], 300);
    }
    return spill_deque_push(deque, end, items, 3);
}

/* Operations, the first READING_COUNT of which need what is on disk; each changes the model as it
 * changes the deque. */
static int operation(unsigned which, struct model *model)
{
    static uint8_t bytes[3000];
    struct slice item;
    struct element zeros = { 0, 0 }, large = { COUNT + 9, 3000 };
    int64_t rc;

    switch (which) {
    case 0:
        return spill_deque_get(deque, COUNT / 2, &item);
    case 1:
        rc = spill_deque_set(deque, COUNT / 2, slice_of(bytes, 0));
        if (rc == 0) model->elements[COUNT / 2] = zeros;
        return (int)rc;
    case 2:
        element_fill(large, bytes);
        rc = spill_deque_insert(deque, COUNT / 3, slice_of(bytes, large.size));
        if (rc == 0) model_insert(model, COUNT / 3, large);
        return (int)rc;
    case 3:
        rc = spill_deque_remove(deque, 300, 500);
        if (rc == 0) model_remove(model, 300, 500);
        return (int)rc;
    case 4:
        rc = spill_deque_keep(deque, 251, 800);
        if (rc == 0) {
            model_remove(model, 1051, model->count - 1051);
            model_remove(model, 0, 251);
        }
        return (int)rc;
    case 5:
        rc = spill_deque_drop(deque, SPILL_TAIL, 501);
        if (rc > 0) model_remove(model, model->count - 501, 501);
        return (int)rc;
    case 6:
        rc = spill_deque_peek(deque, SPILL_HEAD, &item);
        if (rc == 1) {
            spill_deque_drop_peeked(deque, SPILL_HEAD);
            model_remove(model, 0, 1);
        }
        return (int)rc;
    case 7:
        rc = spill_deque_pin_end(deque, SPILL_TAIL, 50, 1 << 20);
        spill_deque_unpin(deque);
        return (int)rc;
    case 8:
        rc = spill_deque_remove_matching(deque, SPILL_TAIL, 0, accept_multiples_of_seven, NULL);
        for (size_t i = model->count; rc > 0 && i-- > 0;)
            if (model->elements[i].number % 7 == 0) model_remove(model, i, 1);
        return (int)rc;
    case 9:
        rc = push_three(SPILL_HEAD);
        for (uint32_t i = 0; rc == 0 && i < 3; i++)
            model_insert(model, 0, (struct element){ COUNT + i, 300 });
        return (int)rc;
    case 10:
        rc = push_three(SPILL_TAIL);
        for (uint32_t i = 0; rc == 0 && i < 3; i++)
            model_insert(model, model->count, (struct element){ COUNT + i, 300 });
        return (int)rc;
    default:
        return -ENOSYS;
    }
}
enum { READING_COUNT = 9, OPERATION_COUNT = 11 };

/* Of the many alike of a long walk only some, but for the soak. */
static uint64_t next_fault(uint64_t nth)
{
    return nth + 1 + (soak_is_full() ? 0 : nth / 8);
}

/* Lets the nth read fail, for n = 1, 2, … until the operation succeeds. */
static void fail_each_read(unsigned which, int error, int expected)
{
    for (uint64_t nth = 1;; nth = next_fault(nth)) {
        struct model model = numbers(COUNT);
        bool has_fired;
        int rc;

        open_tiny();
        push_numbers(deque, 0, COUNT, ELEMENT_BYTES);
        ck_assert_int_eq(spill_store_evict_all(store), 0);
        if (error)
            fault_fail(fault, FAULT_PREAD, nth, error, FAULT_ONCE);
        else
            fault_flip(fault, nth, nth * 7919, 16, FAULT_ONCE);
        rc = operation(which, &model);
        has_fired = fault_fired(fault) > 0;
        fault_clear(fault);
        if (rc < 0) {
            ck_assert_int_eq(rc, expected);
            ck_assert_ptr_nonnull(strstr(spill_store_last_error(store), "list 1, elements "));
        }
        /* One read more or less: reading ahead may have met the fault, or the bytes between. */
        expect_model(deque, &model);
        /* The next try is a new one. */
        if (rc < 0) ck_assert_int_ge(operation(which, &model), 0);
        expect_model(deque, &model);
        free(model.elements);
        close_all();
        if (!has_fired) return;
    }
}

START_TEST(a_read_that_fails_changes_nothing)
{
    fail_each_read((unsigned)_i, EIO, -EIO);
}
END_TEST

START_TEST(a_flipped_byte_is_found_and_changes_nothing)
{
    fail_each_read((unsigned)_i, 0, -EBADMSG);
}
END_TEST

/* Lets the nth allocation fail, for n = 1, 2, … until the operation needs no more; with the list on
 * disk and in memory, and a snapshot that makes the operation copy. */
START_TEST(an_allocation_that_fails_changes_nothing)
{
    unsigned which = (unsigned)_i % OPERATION_COUNT;
    bool is_on_disk = _i < OPERATION_COUNT;

    for (uint64_t nth = 1;; nth = next_fault(nth)) {
        struct model model = numbers(COUNT);
        struct spill_snapshot *snapshot;

        open_tiny();
        push_numbers(deque, 0, COUNT, ELEMENT_BYTES);
        if (is_on_disk) ck_assert_int_eq(spill_store_evict_all(store), 0);
        ck_assert_int_eq(spill_deque_snapshot(deque, &snapshot), 0);
        store->allocations_to_failure = nth;
        int rc = operation(which, &model);
        bool has_fired = store->allocations_to_failure == 0;
        store->allocations_to_failure = 0;
        if (rc < 0) ck_assert_int_eq(rc, -ENOMEM);
        expect_model(deque, &model);
        if (rc < 0) ck_assert_int_ge(operation(which, &model), 0);
        expect_model(deque, &model);
        spill_snapshot_release(snapshot);
        free(model.elements);
        close_all();
        if (!has_fired) return;
    }
}
END_TEST

/* What makes a list of FEW elements take another run, grow, or neither. */
static int operation_on_few(unsigned which, struct model *model)
{
    struct element same = { COUNT, 10 }, longer = { COUNT, 11 }, large = { COUNT, 300 };
    struct element sorts[] = { same, same, large, same, longer, same };
    enum { HEAD, TAIL, OUTGROW, OVERWRITE, REPLACE, INSERT, SNAPSHOT, FILTER, CUT };
    struct spill_snapshot *snapshot;
    struct element element = which <= INSERT ? sorts[which] : same;
    uint8_t bytes[300];
    struct slice item = { bytes, element.size };
    int rc;

    element_fill(element, bytes);
    switch (which) {
    case HEAD:
        rc = spill_deque_push(deque, SPILL_HEAD, &item, 1);
        if (rc == 0) model_insert(model, 0, element);
        return rc;
    case TAIL:
    case OUTGROW:
        rc = spill_deque_push(deque, SPILL_TAIL, &item, 1);
        if (rc == 0) model_insert(model, model->count, element);
        return rc;
    case OVERWRITE:
    case REPLACE:
        rc = spill_deque_set(deque, 1, item);
        if (rc == 0) model->elements[1] = element;
        return rc;
    case INSERT:
        rc = spill_deque_insert(deque, 2, item);
        if (rc == 0) model_insert(model, 2, element);
        return rc;
    case SNAPSHOT:
        rc = spill_deque_snapshot(deque, &snapshot);
        if (rc == 0) spill_snapshot_release(snapshot);
        return rc;
    case FILTER:
        rc =
            (int)spill_deque_remove_matching(deque, SPILL_TAIL, 1, accept_multiples_of_seven, NULL);
        if (rc == 1) model_remove(model, 0, 1);
        return rc;
    case CUT:
        rc = spill_deque_keep(deque, 1, 2);
        if (rc == 0) {
            model_remove(model, 3, 1);
            model_remove(model, 0, 1);
        }
        return rc;
    default:
        return -ENOSYS;
    }
}
enum { FEW = 4, OPERATION_ON_FEW_COUNT = 9 };

/* Without a snapshot, which would let it grow. */
static void expect_few(const struct model *model)
{
    struct slice item;

    spill_deque_check(deque);
    ck_assert_uint_eq(spill_deque_count(deque), model->count);
    ck_assert_uint_eq(store->element_count, model->count);
    for (size_t i = 0; i < model->count; i++) {
        ck_assert_int_eq(spill_deque_get(deque, i, &item), 1);
        ck_assert(element_is(model->elements[i], item));
    }
}

START_TEST(an_allocation_that_fails_changes_nothing_of_a_few_elements)
{
    static const unsigned expected_allocations[] = { 1, 1, 3, 0, 4, 4, 3, 0, 0 };
    unsigned which = (unsigned)_i;
    uint64_t nth = 1;

    for (bool has_fired = true; has_fired; nth++) {
        struct model model = numbers(0);
        uint64_t memory_bytes;
        int rc;

        open_tiny();
        for (uint32_t i = 0; i < FEW; i++) {
            struct element element = { i, 10 };
            ck_assert_int_eq(push_element(deque, SPILL_TAIL, element), 0);
            model_insert(&model, i, element);
        }
        ck_assert_ptr_null(deque->grown);
        memory_bytes = store->memory_bytes;
        store->allocations_to_failure = nth;
        rc = operation_on_few(which, &model);
        has_fired = store->allocations_to_failure == 0;
        store->allocations_to_failure = 0;
        if (has_fired) {
            ck_assert_int_eq(rc, -ENOMEM);
            if (!deque->grown) ck_assert_uint_eq(store->memory_bytes, memory_bytes);
        }
        expect_few(&model);
        if (rc < 0) ck_assert_int_ge(operation_on_few(which, &model), 0);
        expect_few(&model);
        expect_model(deque, &model);
        free(model.elements);
        close_all();
    }
    ck_assert_uint_eq(nth - 2, expected_allocations[which]);
}
END_TEST

START_TEST(what_is_refused_grows_no_list)
{
    uint8_t bytes[200] = { 0 };
    struct slice large = { bytes, sizeof(bytes) };

    open_tiny();
    push_numbers(deque, 0, FEW, 10);
    ck_assert_int_eq(spill_deque_set(deque, FEW, large), -ERANGE);
    ck_assert_int_eq(spill_deque_insert(deque, FEW + 1, large), -ERANGE);
    store->is_full = true;
    ck_assert_int_eq(spill_deque_push(deque, SPILL_TAIL, &large, 1), -ENOSPC);
    ck_assert_int_eq(spill_deque_set(deque, 1, large), -ENOSPC);
    ck_assert_int_eq(spill_deque_insert(deque, 1, large), -ENOSPC);
    store->is_full = false;
    store->element_bytes_max = sizeof(bytes) - 1;
    ck_assert_int_eq(spill_deque_push(deque, SPILL_TAIL, &large, 1), -EMSGSIZE);
    ck_assert_int_eq(spill_deque_set(deque, 1, large), -EMSGSIZE);
    ck_assert_int_eq(spill_deque_insert(deque, 1, large), -EMSGSIZE);
    ck_assert_ptr_null(deque->grown);
    expect_numbers(deque, 0, FEW, 10);
    close_all();
}
END_TEST

/* Flips a byte of what lies on disk for a chunk. */
static void spoil(const struct block *chunk)
{
    char path[400] = "";
    struct dirent *entry;
    DIR *files = opendir(directory);
    uint8_t byte;

    ck_assert_ptr_nonnull(files);
    while ((entry = readdir(files)) != NULL) {
        if (strncmp(entry->d_name, "spill-", 6) == 0)
            (void)snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
    }
    (void)closedir(files);
    int fd = open(path, O_RDWR);
    ck_assert_int_ge(fd, 0);
    off_t at = (off_t)chunk->ref.position_bytes + 100;
    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    ck_assert_int_eq(fdatasync(fd), 0);
    ck_assert_int_eq(close(fd), 0);
}

START_TEST(a_corrupted_chunk_spoils_only_its_own_elements)
{
    struct block *leaf;
    struct visit visit;
    struct slice item;
    uint64_t first;
    char range[80];

    open_tiny();
    push_numbers(deque, 0, COUNT, ELEMENT_BYTES);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    ck_assert_int_eq(spill_deque_get(deque, 700, &item), 1);
    visit_begin(&visit);
    ck_assert_ptr_null(deque->grown->ends[SPILL_HEAD]);
    ck_assert_int_eq(tree_find(deque->grown->root, 700, &visit, &leaf, &first), 0);
    uint64_t count = leaf->element_count;
    spoil(leaf);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        bool is_spoilt = i >= first && i < first + count;
        ck_assert_int_eq(spill_deque_get(deque, i, &item), is_spoilt ? -EBADMSG : 1);
        if (!is_spoilt) ck_assert(element_is((struct element){ i, ELEMENT_BYTES }, item));
    }
    (void)snprintf(range, sizeof(range), "list 1, elements %u to %u:", (unsigned)first,
                   (unsigned)(first + count - 1));
    ck_assert_ptr_nonnull(strstr(spill_store_last_error(store), range));
    ck_assert_uint_gt(store_info().checksum_errors, 0);
    /* A whole chunk is removed unread, and the way is free again. */
    expect_numbers(deque, 0, (uint32_t)first, ELEMENT_BYTES);
    ck_assert_int_eq(spill_deque_peek(deque, SPILL_HEAD, &item), -EBADMSG);
    ck_assert_int_eq(spill_deque_drop(deque, SPILL_HEAD, count), (int64_t)count);
    expect_numbers(deque, (uint32_t)(first + count), COUNT - (uint32_t)(first + count),
                   ELEMENT_BYTES);
    close_all();
}
END_TEST

START_TEST(a_write_that_fails_loses_nothing)
{
    for (uint64_t nth = 1; nth < 40; nth++) {
        open_tiny();
        fault_fail(fault, FAULT_PWRITE, nth, EIO, FAULT_ONCE);
        push_numbers(deque, 0, COUNT, ELEMENT_BYTES);
        int rc = spill_store_evict_all(store);
        if (fault_fired(fault) > 0) ck_assert_str_ne(spill_store_last_error(store), "");
        if (rc < 0) ck_assert_int_eq(spill_store_evict_all(store), 0);
        ck_assert_uint_ge(store_info().evicted_chunks, COUNT / 5);
        expect_numbers(deque, 0, COUNT, ELEMENT_BYTES);
        close_all();
    }
}
END_TEST

START_TEST(a_disk_that_never_writes_refuses_nobody_below_the_budget)
{
    open_tiny();
    fault_fail(fault, FAULT_PWRITE, 1, EIO, FAULT_FROM_THEN_ON);
    push_numbers(deque, 0, 1000, ELEMENT_BYTES);
    ck_assert_int_eq(spill_store_pressure(store), SPILL_OK);
    ck_assert_int_eq(spill_store_evict_all(store), -EIO);
    expect_numbers(deque, 0, 1000, ELEMENT_BYTES);
    close_all();
}
END_TEST

/* Pushes until the store refuses; the number of elements that it took. */
static uint32_t push_until_full(uint32_t first)
{
    for (uint32_t i = first; i < first + 100 * COUNT; i++) {
        int rc = push_element(deque, SPILL_TAIL, (struct element){ i, ELEMENT_BYTES });
        if (rc < 0) {
            ck_assert_int_eq(rc, -ENOSPC);
            ck_assert_int_eq(spill_store_pressure(store), SPILL_FULL);
            return i;
        }
        turn();
    }
    ck_abort_msg("the store is never full");
    return 0;
}

static void survive_a_full_disk(enum spill_disk cause, const char *error)
{
    struct slice item = SLICE_LITERAL("x");
    uint32_t first = 0, next;

    next = push_until_full(0);
    ck_assert_uint_gt(next, 1000);
    for (unsigned round = 0; round < 5; round++) {
        spill_deque_check(deque);
        ck_assert_uint_eq(spill_deque_count(deque), next - first);
        ck_assert_int_eq(spill_deque_set(deque, 0, item), -ENOSPC);
        ck_assert_int_eq(spill_deque_insert(deque, 5, item), -ENOSPC);
        ck_assert_int_eq(spill_store_disk(store), cause);
        ck_assert_ptr_nonnull(strstr(spill_store_last_error(store), error));
        ck_assert(*error || !*spill_store_last_error(store));
        /* Pops go on, and bring the room back. */
        expect_numbers(deque, first, (next - first) / 2, ELEMENT_BYTES);
        first += (next - first) / 2;
        settle();
        ck_assert_int_eq(spill_store_pressure(store), SPILL_OK);
        next = push_until_full(next);
    }
    expect_numbers(deque, first, next - first, ELEMENT_BYTES);
}

START_TEST(a_full_disk_refuses_pushes_until_pops_have_made_room)
{
    open_tiny();
    fault_set_disk(fault, 400 << 10);
    survive_a_full_disk(SPILL_DISK_FULL, "No space");
    close_all();
}
END_TEST

START_TEST(the_limit_of_disk_space_is_kept)
{
    open_tiny();
    spill_store_set_disk_max(store, 400 << 10);
    survive_a_full_disk(SPILL_DISK_AT_LIMIT, "");
    ck_assert_uint_le(store_info().file_bytes, 400 << 10);
    close_all();
}
END_TEST

START_TEST(raising_the_limit_of_disk_space_helps_at_once)
{
    open_tiny();
    spill_store_set_disk_max(store, 200 << 10);
    uint32_t pushed = push_until_full(0);
    ck_assert_int_eq(spill_store_pressure(store), SPILL_FULL);
    spill_store_set_disk_max(store, 300 << 10);
    ck_assert_int_eq(spill_store_pressure(store), SPILL_SLOW); /* before anything was written */
    settle();
    ck_assert_int_eq(spill_store_pressure(store), SPILL_OK);
    spill_store_set_disk_max(store, 0);
    push_numbers(deque, pushed, COUNT, ELEMENT_BYTES);
    expect_numbers(deque, 0, pushed + COUNT, ELEMENT_BYTES);
    close_all();
}
END_TEST

START_TEST(an_unreadable_root_leaves_the_ends_usable)
{
    struct slice item;

    open_tiny();
    push_numbers(deque, 0, COUNT, ELEMENT_BYTES);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    fault_fail(fault, FAULT_PREAD, 1, EIO, FAULT_FROM_THEN_ON);
    ck_assert_int_eq(spill_deque_peek(deque, SPILL_HEAD, &item), -EIO);
    /* More than a chunk: they gather beside the tree. */
    push_numbers(deque, COUNT, COUNT, ELEMENT_BYTES);
    for (uint32_t i = 2 * COUNT; i-- > 2 * COUNT - 3;)
        expect_pop(deque, SPILL_TAIL, (struct element){ i, ELEMENT_BYTES });
    spill_deque_check(deque);
    fault_clear(fault);
    expect_numbers(deque, 0, 2 * COUNT - 3, ELEMENT_BYTES);
    close_all();
}
END_TEST

START_TEST(what_cannot_be_read_to_be_freed_is_given_up)
{
    open_tiny();
    push_numbers(deque, 0, COUNT, ELEMENT_BYTES);
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    fault_fail(fault, FAULT_PREAD, 1, EIO, FAULT_FROM_THEN_ON);
    spill_deque_destroy(deque);
    settle();
    fault_clear(fault);
    /* The descriptors are gone; the room on disk stays taken for the life of the file. */
    ck_assert_uint_eq(store_info().pending_free_deques, 0);
    ck_assert_uint_eq(store_info().chunk_count, 0);
    ck_assert_uint_gt(store_info().disk_used_bytes, 0);
    ck_assert_uint_eq(blocks_memory(), 0);
    spill_store_destroy(store);
    io_destroy(io);
    fault_destroy(fault);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spill deque faults");
    TCase *tcase = test_suite_case(suite, "faults", NULL, NULL);

    tcase_add_loop_test(tcase, a_read_that_fails_changes_nothing, 0, READING_COUNT);
    tcase_add_loop_test(tcase, a_flipped_byte_is_found_and_changes_nothing, 0, READING_COUNT);
    tcase_add_loop_test(tcase, an_allocation_that_fails_changes_nothing, 0, 2 * OPERATION_COUNT);
    tcase_add_loop_test(tcase, an_allocation_that_fails_changes_nothing_of_a_few_elements, 0,
                        OPERATION_ON_FEW_COUNT);
    tcase_add_test(tcase, what_is_refused_grows_no_list);
    tcase_add_test(tcase, a_corrupted_chunk_spoils_only_its_own_elements);
    tcase_add_test(tcase, a_write_that_fails_loses_nothing);
    tcase_add_test(tcase, a_disk_that_never_writes_refuses_nobody_below_the_budget);
    tcase_add_test(tcase, a_full_disk_refuses_pushes_until_pops_have_made_room);
    tcase_add_test(tcase, the_limit_of_disk_space_is_kept);
    tcase_add_test(tcase, raising_the_limit_of_disk_space_helps_at_once);
    tcase_add_test(tcase, an_unreadable_root_leaves_the_ends_usable);
    tcase_add_test(tcase, what_cannot_be_read_to_be_freed_is_given_up);
    return test_suite_run(suite);
}
