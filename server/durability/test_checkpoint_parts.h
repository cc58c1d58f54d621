/* test_checkpoint_parts.h - the parts of a server that a checkpoint is about, in a directory of
 * their own, and all that they hold, so that it can be compared. The log is a number. */
#ifndef SERVER_DURABILITY_TEST_CHECKPOINT_PARTS_H
#define SERVER_DURABILITY_TEST_CHECKPOINT_PARTS_H
#include "modules/base/crc32c.h"
#include "modules/base/fault.h"
#include "modules/base/os.h"
#include "modules/base/random.h"
#include "modules/base/test_directory.h"
#include "modules/io/io.h"
#include "modules/journal/journal.h"
#include "modules/spill/persist.h"
#include "server/durability/checkpoint.h"
#include "server/durability/test_checkpoint_streams.h"
#include "server/keyspace/keyspace.h"
#include "server/types/list.h"
#include "server/types/string.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
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
    PATH_BYTES = 600,
    STREAM_BYTES_MAX = 1500, /* in memory, for tests that have journals */
};

/* What a key holds, as far as it matters. */
struct entry {
    bool is_there;
    enum value_kind kind;
    uint64_t size; /* of the string, or elements of the list, entries of the stream */
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
    struct stream_store *streams;
    struct stream_group_store *groups;
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
    uint32_t stream_bytes_max;  /* in memory; longer ones are journals */
    uint64_t log_position, log_synced, log_trimmed;
    int log_error;
    void (*on_trim)(uint64_t position); /* NULL: nobody looks */
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

/* The store of streams, without any. */
static void open_streams(struct parts *parts, struct os *os)
{
    const struct stream_options options = { .directory = parts->directory,
                                            .memory_bytes_max = fixture.stream_bytes_max,
                                            .roll_bytes = JOURNAL_ROLL_BYTES_MIN,
                                            .open_max = 8 };
    const struct stream_hooks hooks = { .wait = wait_for_disk, .context = parts };
    ck_assert_int_eq(stream_store_create(os, parts->io, &options, &hooks, &parts->streams), 0);
    ck_assert_int_eq(stream_group_store_create(&parts->groups), 0);
}

static void close_streams(struct parts *parts)
{
    stream_group_store_destroy(parts->groups);
    stream_store_destroy(parts->streams);
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
        if (entry->d_name[0] == '.') continue;
        if (entry->d_type == DT_DIR && strncmp(entry->d_name, "stream-", 7) == 0) {
            remove_files(path);
            ck_assert_int_eq(rmdir(path), 0);
        } else if (entry->d_type == DT_REG) {
            ck_assert_int_eq(unlink(path), 0);
        }
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
    if (fixture.on_trim) fixture.on_trim(position);
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
    } else if (entry->kind == VALUE_STREAM) {
        entry->size = stream_count(stream_value_stream(key_value(key)));
        entry->sum = sum_stream(key_value(key));
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

/* The first key that is another; false: none is. */
static bool find_difference(const struct contents *got, const struct contents *want,
                            unsigned *out_database, unsigned *out_index)
{
    for (unsigned d = 0; d < DATABASES; d++) {
        for (unsigned i = 0; i < NAMES; i++) {
            const struct entry *a = &got->entries[d][i], *b = &want->entries[d][i];
            if (a->is_there == b->is_there && a->kind == b->kind && a->size == b->size &&
                a->sum == b->sum && a->expires_at_ms == b->expires_at_ms)
                continue;
            *out_database = d;
            *out_index = i;
            return true;
        }
    }
    return false;
}
#endif
