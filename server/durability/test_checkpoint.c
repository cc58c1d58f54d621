/* Checkpoints of a keyspace with strings and lists that spill, made while random changes go on. A
 * crash is a copy of the directory at any moment; what is loaded from the copy must be what there
 * was when the checkpoint in it was begun. */
#include "modules/base/test_directory.h"
#include "server/durability/checkpoint.h"
#include "server/durability/checkpoint_files.h"
#include "server/durability/checkpoint_load.h"

#include "modules/base/crc32c.h"
#include "modules/base/fault.h"
#include "modules/base/log.h"
#include "modules/base/os.h"
#include "modules/base/random.h"
#include "modules/base/test_soak.h"
#include "modules/io/io.h"
#include "modules/pool/pool.h"
#include "modules/spill/persist.h"
#include "server/keyspace/keyspace.h"
#include "server/types/list.h"
#include "server/types/string.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DATABASES = 2,
    NAMES = 60,
    NAME_BYTES = 16,
    ELEMENT_BYTES_MAX = 100,
    LARGE_BYTES = 40000,
    PATH_BYTES = 300,
};

/* What a key holds, as far as it matters. */
struct entry {
    bool is_there;
    enum value_kind kind;
    uint64_t size; /* of the string, or elements of the list */
    uint32_t sum;
    int64_t expires_at_ms;
};

struct contents {
    struct entry entries[DATABASES][NAMES];
};

/* A server's parts that matter here, in a directory. */
struct parts {
    char directory[64], spill[80];
    struct io *io;
    struct spill_store *store;
    struct keyspace *keyspace;
};

static struct {
    struct parts own;
    struct fault *fault;
    struct log *log;
    struct pool *pool;
    struct random random;
    struct checkpoint *checkpoint;
    struct contents last, next; /* of the last complete checkpoint; of the one under way */
    uint64_t log_position, log_synced, log_trimmed;
    int log_error;
} fixture;

/* ---- parts ---- */

static int wait_for_disk(void *context)
{
    const struct parts *parts = context;
    return io_wait(parts->io) > 0 ? 0 : -EAGAIN;
}

static bool holds_all(void *context, unsigned database, struct slice name)
{
    (void)context;
    (void)database;
    (void)name;
    return true; /* nothing expires in these tests */
}

static struct spill_options store_options(const struct parts *parts)
{
    return (struct spill_options){ .directory = parts->spill,
                                   .memory_bytes = 256 * 1024,
                                   .chunk_bytes = 512 };
}

static void open_keyspace(struct parts *parts)
{
    const struct keyspace_hooks hooks = { .is_held = holds_all };
    ck_assert_int_eq(keyspace_create(DATABASES, &hooks, &parts->keyspace), 0);
    keyspace_set_now(parts->keyspace, 1000);
}

static void name_directory(struct parts *parts)
{
    test_directory_make(parts->directory, sizeof(parts->directory), "/dev/shm", "ckpt");
    (void)snprintf(parts->spill, sizeof(parts->spill), "%s/spill", parts->directory);
    ck_assert_int_eq(mkdir(parts->spill, 0700), 0);
}

static void remove_files(const char *directory)
{
    char path[PATH_BYTES];
    struct dirent *entry;
    DIR *dir = opendir(directory);
    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL) {
        (void)snprintf(path, sizeof(path), "%s/%.200s", directory, entry->d_name);
        if (entry->d_name[0] != '.' && entry->d_type == DT_REG) ck_assert_int_eq(unlink(path), 0);
    }
    (void)closedir(dir);
}

static void remove_directory(const struct parts *parts)
{
    remove_files(parts->spill);
    ck_assert_int_eq(rmdir(parts->spill), 0);
    remove_files(parts->directory);
    ck_assert_int_eq(rmdir(parts->directory), 0);
}

/* ---- the log, which is only a number here ---- */

static uint64_t log_position(void *context)
{
    (void)context;
    return fixture.log_position;
}

static int log_sync(void *context, uint64_t position)
{
    (void)context;
    if (fixture.log_error) return fixture.log_error;
    if (fixture.log_synced >= position) return 1;
    fixture.log_synced = position; /* the next time that it is asked */
    return 0;
}

static void log_trim(void *context, uint64_t position)
{
    (void)context;
    ck_assert_uint_le(position, fixture.log_synced);
    fixture.log_trimmed = position;
}

static uint64_t log_distance(void *context, uint64_t position)
{
    (void)context;
    return fixture.log_position - position;
}

/* ---- what there is ---- */

static struct slice name_of(unsigned index, char text[NAME_BYTES])
{
    return slice_of(text, (size_t)snprintf(text, NAME_BYTES, "key:%u", index));
}

static struct key *find(const struct parts *parts, unsigned database, unsigned index)
{
    char text[NAME_BYTES];
    return keyspace_find(parts->keyspace, database, name_of(index, text));
}

static void sum_list(struct spill_deque *deque, struct entry *entry)
{
    struct spill_snapshot *snapshot;
    struct spill_cursor *cursor;
    struct slice item;
    int rc;
    entry->size = spill_deque_count(deque);
    ck_assert_int_eq(spill_deque_snapshot(deque, &snapshot), 0);
    ck_assert_int_eq(spill_cursor_create(snapshot, 0, SPILL_TAIL, &cursor), 0);
    while ((rc = spill_cursor_next(cursor, &item)) == 1) {
        entry->sum = crc32c(entry->sum, item.bytes, item.size);
        entry->sum = crc32c(entry->sum, &item.size, sizeof(item.size));
    }
    ck_assert_int_eq(rc, 0);
    spill_cursor_destroy(cursor);
    spill_snapshot_release(snapshot);
}

static void read_entry(const struct parts *parts, unsigned database, unsigned index,
                       struct entry *entry)
{
    struct key *key = find(parts, database, index);
    char digits[STRING_DIGITS_MAX];
    *entry = (struct entry){ 0 };
    if (!key) return;
    entry->is_there = true;
    entry->kind = key_value(key)->type->kind;
    entry->expires_at_ms = key_expires_at(parts->keyspace, key);
    if (entry->kind == VALUE_LIST) {
        sum_list(list_deque(key_value(key)), entry);
    } else {
        struct slice bytes = string_value_view(key_value(key), digits);
        entry->size = bytes.size;
        entry->sum = crc32c(0, bytes.bytes, bytes.size);
    }
}

static void read_contents(const struct parts *parts, struct contents *out_contents)
{
    for (unsigned d = 0; d < DATABASES; d++)
        for (unsigned i = 0; i < NAMES; i++)
            read_entry(parts, d, i, &out_contents->entries[d][i]);
}

static void expect_contents(const struct contents *got, const struct contents *want)
{
    for (unsigned d = 0; d < DATABASES; d++) {
        for (unsigned i = 0; i < NAMES; i++) {
            const struct entry *a = &got->entries[d][i], *b = &want->entries[d][i];
            if (a->is_there == b->is_there && a->kind == b->kind && a->size == b->size &&
                a->sum == b->sum && a->expires_at_ms == b->expires_at_ms)
                continue;
            ck_abort_msg("database %u key %u: there %d kind %d size %llu, not %d %d %llu", d, i,
                         a->is_there, (int)a->kind, (unsigned long long)a->size, b->is_there,
                         (int)b->kind, (unsigned long long)b->size);
        }
    }
}

/* ---- changes ---- */

static uint64_t below(uint64_t limit)
{
    return random_below(&fixture.random, limit);
}

static struct slice random_item(void)
{
    static uint8_t bytes[LARGE_BYTES];
    size_t size = below(30) == 0 ? LARGE_BYTES / (1 + below(4)) : below(ELEMENT_BYTES_MAX);
    for (size_t i = 0; i < size; i += 7)
        bytes[i] = (uint8_t)random_next(&fixture.random);
    return slice_of(bytes, size);
}

static void push_some(struct spill_deque *deque)
{
    enum spill_end end = below(3) == 0 ? SPILL_HEAD : SPILL_TAIL;
    for (uint64_t i = 1 + below(40); i > 0; i--) {
        struct slice item = random_item();
        if (item.size > ELEMENT_BYTES_MAX) item.size = ELEMENT_BYTES_MAX;
        ck_assert_int_eq(spill_deque_push(deque, end, &item, 1), 0);
    }
}

static void add_value(unsigned database, unsigned index, struct value *value)
{
    char text[NAME_BYTES];
    ck_assert_int_eq(
        keyspace_add(fixture.own.keyspace, database, name_of(index, text), value, NULL), 0);
}

static void add_some(unsigned database, unsigned index)
{
    struct value *value;
    if (below(2) == 0) {
        ck_assert_int_eq(list_create(fixture.own.store, &value), 0);
        push_some(list_deque(value));
    } else {
        ck_assert_int_eq(string_value_create(random_item(), &value), 0);
    }
    add_value(database, index, value);
}

static void change_list(struct key *key)
{
    struct spill_deque *deque = list_deque(key_value(key));
    uint64_t count = spill_deque_count(deque);
    struct slice item = SLICE_LITERAL("changed");
    switch (below(5)) {
    case 0:
        ck_assert_int_ge(spill_deque_drop(deque, SPILL_HEAD, 1 + below(30)), 0);
        break;
    case 1:
        ck_assert_int_eq(spill_deque_set(deque, below(count), item), 0);
        break;
    case 2:
        ck_assert_int_eq(spill_deque_insert(deque, below(count + 1), item), 0);
        break;
    default:
        push_some(deque);
        break;
    }
    if (spill_deque_count(deque) == 0) keyspace_remove(fixture.own.keyspace, key);
}

static void change_string(struct key *key)
{
    struct value *value = key_value(key), *other;
    uint64_t before = value->type->counted_bytes(value);
    if (string_value_is_raw(value)) {
        ck_assert_int_eq(string_value_overwrite(value, below(100), random_item()), 0);
        keyspace_account(fixture.own.keyspace,
                         (int64_t)(value->type->counted_bytes(value) - before));
        return;
    }
    ck_assert_int_eq(string_value_create_raw(random_item(), SLICE_LITERAL("!"), &other), 0);
    keyspace_replace(fixture.own.keyspace, key, other, true);
}

static void change_key(struct key *key)
{
    struct keyspace *keyspace = fixture.own.keyspace;
    char text[NAME_BYTES];
    switch (below(10)) {
    case 0:
        keyspace_remove(keyspace, key);
        break;
    case 1:
        ck_assert_int_eq(keyspace_set_expiry(keyspace, key, 5000 + (int64_t)below(99)), 0);
        break;
    case 2:
        ck_assert_int_eq(keyspace_move(keyspace, key, (unsigned)below(DATABASES),
                                       name_of((unsigned)below(NAMES), text)),
                         0);
        break;
    default:
        if (key_value(key)->type->kind == VALUE_LIST)
            change_list(key);
        else
            change_string(key);
        break;
    }
}

static void change_something(void)
{
    unsigned database = (unsigned)below(DATABASES), index = (unsigned)below(NAMES);
    struct key *key;
    fixture.log_position++;
    if (below(500) == 0) keyspace_flush(fixture.own.keyspace, database);
    if (below(200) == 0) keyspace_swap(fixture.own.keyspace, 0, 1);
    key = find(&fixture.own, database, index);
    if (!key)
        add_some(database, index);
    else
        change_key(key);
}

static void change_much(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        change_something();
        (void)spill_store_tick(fixture.own.store, 0);
        (void)io_poll(fixture.own.io);
    }
    (void)keyspace_rehash_step(fixture.own.keyspace, 10);
}

/* ---- crashes ---- */

static void copy_file(const char *from, const char *to)
{
    char buffer[65536];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT, 0600);
    ssize_t size;
    ck_assert(in >= 0 && out >= 0);
    while ((size = read(in, buffer, sizeof(buffer))) > 0)
        ck_assert_int_eq(write(out, buffer, (size_t)size), size);
    ck_assert_int_eq(size, 0);
    (void)close(in);
    (void)close(out);
}

static void copy_directory(const char *from, const char *to)
{
    char source[PATH_BYTES], target[PATH_BYTES];
    struct dirent *entry;
    DIR *dir = opendir(from);
    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_type != DT_REG) continue;
        (void)snprintf(source, sizeof(source), "%s/%.200s", from, entry->d_name);
        (void)snprintf(target, sizeof(target), "%s/%.200s", to, entry->d_name);
        copy_file(source, target);
    }
    (void)closedir(dir);
}

/* Loads what the directory of parts holds, in small steps. Its number. */
static uint64_t load(struct parts *parts)
{
    struct spill_options options = store_options(parts);
    struct spill_hooks hooks = { .wait = wait_for_disk, .context = parts };
    struct checkpoint_load *load;
    char why[SPILL_WHY_BYTES];
    uint64_t number;
    int rc = checkpoint_load_open(os_real(), parts->directory, &load);
    if (rc != 1)
        ck_abort_msg("%d: %s", rc, load ? checkpoint_load_error(load) : "nothing is there");
    number = checkpoint_load_head(load)->number;
    rc = spill_store_open(os_real(), parts->io, &options, &hooks, checkpoint_load_state(load),
                          &parts->store, why);
    if (rc < 0) ck_abort_msg("the store cannot be opened: %s", why);
    open_keyspace(parts);
    do {
        rc = checkpoint_load_step(load, parts->keyspace, parts->store, 1);
    } while (rc == 1);
    if (rc < 0) ck_abort_msg("%d: %s", rc, checkpoint_load_error(load));
    checkpoint_load_close(load);
    return number;
}

/* What would be there after a crash now. */
static void expect_after_crash(void)
{
    static struct contents got;
    struct checkpoint_info info;
    struct parts copy;
    uint64_t number;
    name_directory(&copy);
    ck_assert_int_eq(io_create(os_real(), 0, &copy.io), 0);
    copy_directory(fixture.own.directory, copy.directory);
    copy_directory(fixture.own.spill, copy.spill);
    number = load(&copy);
    checkpoint_get_info(fixture.checkpoint, &info);
    read_contents(&copy, &got);
    expect_contents(&got, number == info.number ? &fixture.last : &fixture.next);
    keyspace_destroy(copy.keyspace);
    spill_store_close(copy.store);
    io_destroy(copy.io);
    remove_directory(&copy);
}

/* ---- checkpoints ---- */

static enum checkpoint_step step_now(void)
{
    struct checkpoint_info info;
    checkpoint_get_info(fixture.checkpoint, &info);
    return info.step;
}

static void begin_known(void)
{
    (void)checkpoint_request(fixture.checkpoint, CHECKPOINT_AS_SAVE);
    ck_assert(checkpoint_wants_to_begin(fixture.checkpoint));
    checkpoint_begin(fixture.checkpoint);
}

static void begin(void)
{
    read_contents(&fixture.own, &fixture.next);
    begin_known();
}

/* A turn, with up to changes between. */
static void turn(unsigned changes)
{
    (void)checkpoint_step(fixture.checkpoint, 1);
    (void)spill_store_tick(fixture.own.store, 0);
    (void)io_poll(fixture.own.io);
    if (changes > 0) change_much((unsigned)below(changes));
}

/* To the end of the one under way. 0, or why it failed. */
static int run(unsigned changes)
{
    struct checkpoint_info before, after;
    checkpoint_get_info(fixture.checkpoint, &before);
    for (;;) {
        turn(changes);
        checkpoint_get_info(fixture.checkpoint, &after);
        if (after.ended_count != before.ended_count) break;
    }
    while (step_now() != CHECKPOINT_IDLE)
        turn(changes);
    checkpoint_get_info(fixture.checkpoint, &after);
    if (after.error == 0) fixture.last = fixture.next;
    return after.error;
}

static void setup(void)
{
    struct spill_options options;
    struct spill_hooks hooks = { .wait = wait_for_disk, .context = &fixture.own };
    struct checkpoint_options checkpoint;
    memset(&fixture, 0, sizeof(fixture));
    random_init(&fixture.random, 5 + soak_seed());
    name_directory(&fixture.own);
    ck_assert_int_eq(fault_create(os_real(), &fixture.fault), 0);
    ck_assert_int_eq(io_create(fault_os(fixture.fault), 0, &fixture.own.io), 0);
    ck_assert_int_eq(log_create("/dev/null", LOG_NOTICE, 'T', &fixture.log), 0);
    ck_assert_int_eq(pool_create(1 << 20, &fixture.pool), 0);
    options = store_options(&fixture.own);
    ck_assert_int_eq(spill_store_create(fault_os(fixture.fault), fixture.own.io, &options, &hooks,
                                        &fixture.own.store),
                     0);
    open_keyspace(&fixture.own);
    checkpoint = (struct checkpoint_options){
        .os = fault_os(fixture.fault),
        .io = fixture.own.io,
        .log_file = fixture.log,
        .directory = fixture.own.directory,
        .keyspace = fixture.own.keyspace,
        .store = fixture.own.store,
        .pool = fixture.pool,
        .log = { log_position, log_sync, log_trim, log_distance, &fixture },
    };
    ck_assert_int_eq(checkpoint_create(&checkpoint, &fixture.checkpoint), 0);
}

static void teardown(void)
{
    fault_clear(fixture.fault);
    checkpoint_destroy(fixture.checkpoint);
    keyspace_destroy(fixture.own.keyspace);
    spill_store_destroy(fixture.own.store);
    pool_destroy(fixture.pool);
    log_destroy(fixture.log);
    io_destroy(fixture.own.io);
    fault_destroy(fixture.fault);
    remove_directory(&fixture.own);
}

START_TEST(what_is_loaded_is_what_there_was_at_the_beginning)
{
    struct checkpoint_info info;
    for (int round = 0; round < (soak_is_full() ? 100 : 12); round++) {
        change_much(400);
        begin();
        ck_assert_int_eq(run(round % 3 == 0 ? 0 : 20), 0);
        expect_after_crash();
        change_much(200);
        expect_after_crash();
    }
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert_uint_eq(info.number, info.begun_count);
    ck_assert_uint_gt(info.file_bytes, 1000);
    ck_assert_uint_eq(fixture.log_trimmed, info.position);
}
END_TEST

START_TEST(a_crash_at_any_step_leaves_the_older_or_the_newer)
{
    struct checkpoint_info info;
    change_much(600);
    begin();
    ck_assert_int_eq(run(0), 0);
    for (int round = 0; round < (soak_is_full() ? 40 : 6); round++) {
        change_much(100);
        begin();
        for (int i = 0; step_now() != CHECKPOINT_IDLE; i++) {
            turn(3);
            if (step_now() == CHECKPOINT_CLEANING) fixture.last = fixture.next;
            if (i % 8 == 0 || step_now() == CHECKPOINT_CLEANING) expect_after_crash();
        }
        checkpoint_get_info(fixture.checkpoint, &info);
        ck_assert_int_eq(info.error, 0);
    }
}
END_TEST

START_TEST(one_that_is_given_up_changes_nothing)
{
    struct checkpoint_info info;
    change_much(600);
    begin();
    ck_assert_int_eq(run(0), 0);
    change_much(300);
    begin();
    turn(10);
    checkpoint_abort(fixture.checkpoint, -ECANCELED);
    ck_assert_int_eq(run(10), -ECANCELED);
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert_uint_eq(info.failed_count, 1);
    ck_assert(info.has_failed[CHECKPOINT_AS_SAVE]);
    change_much(300);
    expect_after_crash();
    begin();
    ck_assert_int_eq(run(10), 0);
    expect_after_crash();
}
END_TEST

START_TEST(a_log_that_cannot_be_synced_lets_none_complete)
{
    change_much(100);
    begin();
    ck_assert_int_eq(run(0), 0);
    change_much(100);
    fixture.log_error = -EIO;
    begin();
    ck_assert_int_eq(run(5), -EIO);
    expect_after_crash();
}
END_TEST

/* Whatever fails, and however often: the older one is what a crash leaves, until one is complete.
 */
START_TEST(every_system_call_may_fail)
{
    uint64_t failed = 0;
    change_much(500);
    begin();
    ck_assert_int_eq(run(0), 0);
    for (uint64_t nth = 1;; nth += soak_is_full() ? 1 : 1 + below(3)) {
        uint64_t fired;
        int tries = 0;
        change_much(20);
        read_contents(&fixture.own, &fixture.next);
        fault_fail(fixture.fault, FAULT_ANY, nth, nth % 2 ? EIO : ENOSPC,
                   nth % 5 == 0 ? FAULT_FROM_THEN_ON : FAULT_ONCE);
        begin_known();
        if (run(0) < 0) failed++;
        fired = fault_fired(fixture.fault);
        fault_clear(fixture.fault);
        expect_after_crash();
        do { /* a failed sync makes suspect what was written before, which has to be put right */
            begin();
        } while (run(1) < 0 && ++tries < 10);
        ck_assert_int_lt(tries, 10);
        expect_after_crash();
        if (fired == 0) break;
    }
    ck_assert_uint_gt(failed, 5);
}
END_TEST

START_TEST(requests_are_told_apart)
{
    struct checkpoint_info info;
    uint64_t turn_of_first = checkpoint_request(fixture.checkpoint, CHECKPOINT_AS_REWRITE);
    uint64_t turn_of_second;
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert_int_eq(info.step, CHECKPOINT_WANTED);
    ck_assert(checkpoint_is_in_progress(&info, CHECKPOINT_AS_REWRITE));
    ck_assert(!checkpoint_is_in_progress(&info, CHECKPOINT_AS_SAVE));
    checkpoint_begin(fixture.checkpoint);
    turn_of_second = checkpoint_request(fixture.checkpoint, CHECKPOINT_AS_SAVE);
    ck_assert_uint_eq(turn_of_second, turn_of_first + 1);
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert(checkpoint_is_scheduled(&info, CHECKPOINT_AS_SAVE));
    ck_assert(!checkpoint_is_in_progress(&info, CHECKPOINT_AS_SAVE));
    ck_assert_int_eq(checkpoint_wait(fixture.checkpoint), 0);
    checkpoint_get_info(fixture.checkpoint, &info);
    ck_assert_uint_eq(info.ended_count, turn_of_second);
    ck_assert_uint_eq(info.complete_counts[CHECKPOINT_AS_SAVE], 1);
    ck_assert_uint_eq(info.complete_counts[CHECKPOINT_AS_REWRITE], 1);
}
END_TEST

START_TEST(a_key_in_a_database_that_there_is_not_is_refused)
{
    struct checkpoint_load *load;
    struct keyspace *small;
    int rc;
    change_much(300);
    begin();
    ck_assert_int_eq(run(0), 0);
    ck_assert_int_eq(checkpoint_load_open(os_real(), fixture.own.directory, &load), 1);
    ck_assert_int_eq(keyspace_create(1, NULL, &small), 0);
    while ((rc = checkpoint_load_step(load, small, fixture.own.store, 1)) == 1) {}
    ck_assert_int_eq(rc, -EBADMSG);
    ck_assert_ptr_nonnull(strstr(checkpoint_load_error(load), "see databases"));
    checkpoint_load_close(load);
    keyspace_destroy(small);
}
END_TEST

START_TEST(a_directory_without_a_checkpoint_has_none)
{
    struct checkpoint_load *load;
    ck_assert_int_eq(checkpoint_load_open(os_real(), fixture.own.directory, &load), 0);
    ck_assert_ptr_null(load);
    ck_assert_int_eq(checkpoint_load_open(os_real(), "/dev/shm/sluice-none", &load), -ENOENT);
    ck_assert_ptr_nonnull(strstr(checkpoint_load_error(load), "sluice-none"));
    checkpoint_load_close(load);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *tests = tcase_create("checkpoint");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_is_loaded_is_what_there_was_at_the_beginning);
    tcase_add_test(tests, a_crash_at_any_step_leaves_the_older_or_the_newer);
    tcase_add_test(tests, one_that_is_given_up_changes_nothing);
    tcase_add_test(tests, a_log_that_cannot_be_synced_lets_none_complete);
    tcase_add_test(tests, every_system_call_may_fail);
    tcase_add_test(tests, requests_are_told_apart);
    tcase_add_test(tests, a_key_in_a_database_that_there_is_not_is_refused);
    tcase_add_test(tests, a_directory_without_a_checkpoint_has_none);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
