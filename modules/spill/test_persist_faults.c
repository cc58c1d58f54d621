/* Checkpoints when calls fail, memory is short, or what was stored is damaged. */
#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/base/test_suite.h"
#include "modules/spill/handle.h"
#include "modules/spill/test_persist_fixture.h"

#include <fcntl.h>

static const struct spill_options tiny = {
    .memory_bytes = 256 << 10, .chunk_bytes = 512, .prefetch_bytes = 4096, .is_persistent = true
};

static struct saved saved;

static void open_tiny(void)
{
    persist_open(0, &tiny);
}

/* Up to and with the sync: 0, or what failed. */
static int try_checkpoint(struct spill_deque *list)
{
    int rc = spill_checkpoint_begin(store);

    if (rc < 0) return rc;
    rc = spill_checkpoint_save(list, root_came, &saved.lists[0]);
    if (rc == 0) {
        (void)wait_for_roots();
        rc = saved.lists[0].rc;
    }
    if (rc == 0) rc = wait_for_sync();
    if (rc == 0) {
        take_state(&saved);
        spill_checkpoint_complete(store);
        return 0;
    }
    spill_checkpoint_abort(store, false);
    saved_drop(&saved);
    return rc;
}

static void expect_after_crash(struct spill_deque **list, uint32_t count)
{
    spill_deque_destroy(*list);
    crash();
    reopen(&saved);
    *list = load_one(&saved.lists[0]);
    expect_numbers(*list, 0, count, 20);
}

/* ---- syncing ----------------------------------------------------------------------------------
 */

START_TEST(what_a_failed_sync_left_is_written_again_before_the_next)
{
    open_tiny();
    struct spill_deque *list = numbers(20000);
    fault_fail(fault, FAULT_FDATASYNC, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(try_checkpoint(list), -EIO);
    uint64_t suspect = persist_info().suspect_bytes;
    ck_assert_uint_gt(suspect, 20000 * 20);
    ck_assert_uint_eq(persist_info().sync_errors, 1);
    uint64_t writes = fault_count(fault, FAULT_PWRITE);
    ck_assert_int_eq(try_checkpoint(list), 0);
    ck_assert_uint_gt(fault_count(fault, FAULT_PWRITE) - writes, 800); /* chunks of 512 bytes */
    ck_assert_uint_eq(persist_info().suspect_bytes, 0);
    ck_assert_uint_eq(persist_info().unsynced_bytes, 0);
    expect_after_crash(&list, 20000);
    close_all(&saved, &list, 1);
}
END_TEST

START_TEST(a_directory_that_cannot_be_synced_fails_the_checkpoint)
{
    open_tiny();
    struct spill_deque *list = numbers(2000);
    fault_fail(fault, FAULT_FSYNC_DIRECTORY, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(try_checkpoint(list), -EIO);
    ck_assert_int_eq(try_checkpoint(list), 0);
    /* The name is there for good. */
    uint64_t count = fault_count(fault, FAULT_FSYNC_DIRECTORY);
    ck_assert_uint_eq(count, 2);
    saved_drop(&saved);
    ck_assert_int_eq(try_checkpoint(list), 0);
    ck_assert_uint_eq(fault_count(fault, FAULT_FSYNC_DIRECTORY), count);
    close_all(&saved, &list, 1);
}
END_TEST

static void zero_file(void)
{
    char path[128], zeros[4096] = { 0 };
    int fd;

    (void)snprintf(path, sizeof(path), "%s/spill-00000001.dat", directory);
    fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    for (off_t at = 0; at < (off_t)store_info().file_bytes; at += 4096)
        ck_assert_int_eq(pwrite(fd, zeros, sizeof(zeros), at), sizeof(zeros));
    ck_assert_int_eq(close(fd), 0);
}

START_TEST(no_checkpoint_is_complete_while_what_was_lost_is_needed)
{
    open_tiny();
    struct spill_deque *list = numbers(20000);
    fault_fail(fault, FAULT_FDATASYNC, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(try_checkpoint(list), -EIO);
    zero_file();
    ck_assert_int_eq(try_checkpoint(list), -EBADMSG);
    ck_assert_int_eq(try_checkpoint(list), -EBADMSG);
    ck_assert_uint_gt(persist_info().suspect_bytes, 0);
    /* Nodes that cannot be read any more keep what is below them. */
    ck_assert_int_eq(spill_store_evict_all(store), 0);
    spill_deque_destroy(list);
    saved_drop(&saved);
    crash();
    io_destroy(io);
    fault_destroy(fault);
}
END_TEST

START_TEST(what_is_freed_needs_no_repair)
{
    open_tiny();
    struct spill_deque *list = numbers(20000), *other = numbers(3);
    fault_fail(fault, FAULT_FDATASYNC, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(try_checkpoint(list), -EIO);
    spill_deque_destroy(list);
    settle();
    uint64_t used = store_info().disk_used_bytes;
    ck_assert_uint_ge(used, persist_info().suspect_bytes / 2); /* it is kept all the same */
    uint64_t writes = fault_count(fault, FAULT_PWRITE);
    ck_assert_int_eq(try_checkpoint(other), 0);
    ck_assert_uint_eq(fault_count(fault, FAULT_PWRITE), writes);
    ck_assert_uint_eq(store_info().disk_used_bytes, 0);
    close_all(&saved, &other, 1);
}
END_TEST

START_TEST(a_repair_that_fails_is_tried_again)
{
    open_tiny();
    struct spill_deque *list = numbers(5000);
    fault_fail(fault, FAULT_FDATASYNC, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(try_checkpoint(list), -EIO);
    fault_clear(fault);
    for (unsigned i = 0; i < 2; i++) {
        fault_fail(fault, i ? FAULT_PREAD : FAULT_PWRITE, 5, EIO, FAULT_ONCE);
        ck_assert_int_eq(try_checkpoint(list), -EIO);
        fault_clear(fault);
        ck_assert_uint_gt(persist_info().suspect_bytes, 0);
    }
    ck_assert_int_eq(try_checkpoint(list), 0);
    expect_after_crash(&list, 5000);
    close_all(&saved, &list, 1);
}
END_TEST

/* ---- each call and each allocation ------------------------------------------------------------
 */

START_TEST(each_call_may_fail_and_the_next_checkpoint_is_whole)
{
    open_tiny();
    struct spill_deque *list = numbers(1);
    uint32_t count = 1;
    for (uint64_t nth = 1;; nth++) {
        push_numbers(list, count, 300, 20);
        count += 300;
        fault_fail(fault, FAULT_ANY, nth, EIO, FAULT_ONCE);
        int rc = try_checkpoint(list);
        bool has_fired = fault_fired(fault) > 0;
        fault_clear(fault);
        if (rc < 0) {
            ck_assert_int_eq(rc, -EIO);
            ck_assert_int_eq(try_checkpoint(list), 0);
        }
        saved_drop(&saved);
        if (!has_fired) break;
    }
    ck_assert_int_eq(try_checkpoint(list), 0);
    expect_after_crash(&list, count);
    close_all(&saved, &list, 1);
}
END_TEST

START_TEST(each_allocation_may_fail_and_nothing_is_lost)
{
    open_tiny();
    struct spill_deque *list = numbers(3000);
    for (uint64_t nth = 1;; nth++) {
        ck_assert_int_eq(push_element(list, SPILL_TAIL, (struct element){ 3000, 20 }), 0);
        store->allocations_to_failure = nth;
        int rc = try_checkpoint(list);
        bool has_failed = store->allocations_to_failure == 0;
        store->allocations_to_failure = 0;
        expect_pop(list, SPILL_TAIL, (struct element){ 3000, 20 });
        saved_drop(&saved);
        if (!has_failed) {
            ck_assert_int_eq(rc, 0);
            break;
        }
        ck_assert(rc == 0 || rc == -ENOMEM);
    }
    ck_assert_int_eq(try_checkpoint(list), 0);
    expect_after_crash(&list, 3000);
    close_all(&saved, &list, 1);
}
END_TEST

START_TEST(each_call_of_opening_may_fail_and_the_next_succeeds)
{
    /* EINVAL is what a file system says that takes nothing past its cache. */
    static const int errors[] = { EIO, EINVAL, ENOSPC, ENOMEM, EINTR };
    unsigned failures = 0;

    open_tiny();
    struct spill_deque *list = numbers(3000);
    ck_assert_int_eq(try_checkpoint(list), 0);
    spill_deque_destroy(list);
    crash();
    for (uint64_t nth = 1;; nth++) {
        fault_fail(fault, FAULT_ANY, nth, errors[_i], FAULT_ONCE);
        int rc = reopen_with(slice_of(saved.state, saved.state_size), NULL);
        bool has_fired = fault_fired(fault) > 0;
        fault_clear(fault);
        if (rc == 0) crash();
        if (!has_fired) break;
        ck_assert(rc == 0 || rc == -errors[_i]);
        failures += rc < 0;
    }
    ck_assert_uint_gt(failures, 0);
    reopen(&saved);
    list = load_one(&saved.lists[0]);
    expect_numbers(list, 0, 3000, 20);
    close_all(&saved, &list, 1);
}
END_TEST

/* ---- damage -----------------------------------------------------------------------------------
 */

static void begin_damage(void)
{
    open_tiny();
    struct spill_deque *list = numbers(2000);
    checkpoint_all(&saved, &list, 1);
    spill_deque_destroy(list);
    crash();
}

static void end_damage(void)
{
    reopen(&saved);
    struct spill_deque *list = load_one(&saved.lists[0]);
    expect_numbers(list, 0, 2000, 20);
    close_all(&saved, &list, 1);
}

START_TEST(a_state_with_any_byte_changed_or_cut_is_refused)
{
    begin_damage();
    for (size_t i = 0; i < saved.state_size; i++) {
        saved.state[i] ^= (uint8_t)(1u << i % 8);
        ck_assert_int_lt(reopen_with(slice_of(saved.state, saved.state_size), NULL), 0);
        saved.state[i] ^= (uint8_t)(1u << i % 8);
        ck_assert_int_lt(reopen_with(slice_of(saved.state, i), NULL), 0);
    }
    end_damage();
}
END_TEST

START_TEST(a_root_with_any_byte_changed_or_cut_is_refused)
{
    struct saved_list *list = &saved.lists[0];
    struct spill_deque *loaded;

    begin_damage();
    reopen(&saved);
    for (size_t i = 0; i < list->size; i++) {
        list->bytes[i] ^= (uint8_t)(1u << i % 8);
        ck_assert_int_lt(spill_deque_load(store, slice_of(list->bytes, list->size), &loaded), 0);
        list->bytes[i] ^= (uint8_t)(1u << i % 8);
        ck_assert_int_lt(spill_deque_load(store, slice_of(list->bytes, i), &loaded), 0);
    }
    ck_assert_uint_eq(store_info().deque_count, 0);
    ck_assert_uint_eq(store_info().chunk_count, 0);
    crash();
    end_damage();
}
END_TEST

/* Its destruction would give back what lies where it says: such a root is not to be loaded. */
static void disown(struct spill_deque *loaded)
{
    struct block **places[PARTS_MAX];
    unsigned count = loaded->grown ? deque_parts(loaded->grown, places) : 0;

    for (unsigned i = 0; i < count; i++)
        (*places[i])->ref.generation = 0;
}

static void look_at_all(struct slice root)
{
    struct spill_deque *loaded;
    struct slice item;
    int rc = spill_deque_load(store, root, &loaded);

    if (rc < 0) return;
    for (uint32_t i = 0; i < 2000; i += 97) {
        rc = spill_deque_get(loaded, i, &item);
        if (rc == 1) ck_assert_uint_eq(item.size, 20);
    }
    disown(loaded);
    spill_deque_destroy(loaded);
}

static void seal_root(struct saved_list *list)
{
    uint32_t crc = crc32c(0, list->bytes, 4);

    store_u32le(list->bytes + 4, crc32c(crc, list->bytes + 8, list->size - 8));
}

/* The checksum says whether a root is right. Whatever it says otherwise must do no harm. */
START_TEST(a_root_with_any_byte_forged_does_no_harm)
{
    struct saved_list *list = &saved.lists[0];

    begin_damage();
    for (size_t i = 0; i < list->size; i++) {
        uint8_t before = list->bytes[i];
        reopen(&saved);
        list->bytes[i] = (uint8_t)(before ^ (1u << i % 8));
        seal_root(list);
        look_at_all(slice_of(list->bytes, list->size));
        list->bytes[i] = before;
        seal_root(list);
        crash();
    }
    end_damage();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spill persist faults");
    TCase *tcase = test_suite_case(suite, "faults", NULL, NULL);
    TCase *damage = test_suite_case(suite, "damage", NULL, NULL);

    tcase_add_test(tcase, what_a_failed_sync_left_is_written_again_before_the_next);
    tcase_add_test(tcase, a_directory_that_cannot_be_synced_fails_the_checkpoint);
    tcase_add_test(tcase, no_checkpoint_is_complete_while_what_was_lost_is_needed);
    tcase_add_test(tcase, what_is_freed_needs_no_repair);
    tcase_add_test(tcase, a_repair_that_fails_is_tried_again);
    tcase_add_test(tcase, each_call_may_fail_and_the_next_checkpoint_is_whole);
    tcase_add_test(tcase, each_allocation_may_fail_and_nothing_is_lost);
    tcase_add_loop_test(tcase, each_call_of_opening_may_fail_and_the_next_succeeds, 0, 5);
    tcase_add_test(damage, a_state_with_any_byte_changed_or_cut_is_refused);
    tcase_add_test(damage, a_root_with_any_byte_changed_or_cut_is_refused);
    tcase_add_test(damage, a_root_with_any_byte_forged_does_no_harm);
    return test_suite_run(suite);
}
