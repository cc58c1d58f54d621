/* test_stream_files.h - a store of streams in journals, in a directory of its own, its system calls
 * through a fault; what a checkpoint would hold is kept in memory. */
#ifndef MODULES_STREAM_TEST_STREAM_FILES_H
#define MODULES_STREAM_TEST_STREAM_FILES_H
#include <dirent.h>

#include "modules/base/fault.h"
#include "modules/base/os.h"
#include "modules/base/test_directory.h"
#include "modules/base/test_suite.h"
#include "modules/io/io.h"
#include "modules/journal/journal.h"
#include "modules/stream/checkpoint.h"
#include "modules/stream/test_stream_steps.h"

static struct {
    char directory[64];
    struct fault *fault;
    struct io *io;
    struct stream_options options;
    struct stream_hooks hooks;
    unsigned ready_count;
} files;

static int wait_for_io(void *context)
{
    (void)context;
    ck_assert_uint_gt(io_wait(files.io), 0);
    return 0;
}

static void count_ready(void *context)
{
    (void)context;
    files.ready_count++;
}

static inline void create_store(void)
{
    ck_assert_int_eq(
        stream_store_create(fault_os(files.fault), files.io, &files.options, &files.hooks, &store),
        0);
}

static inline void setup_in(const char *parent, unsigned thread_count)
{
    memset(&files, 0, sizeof(files));
    test_directory_make(files.directory, sizeof(files.directory), parent, "stream");
    ck_assert_int_eq(fault_create(os_real(), &files.fault), 0);
    ck_assert_int_eq(io_create(fault_os(files.fault), thread_count, &files.io), 0);
    files.options = (struct stream_options){ .directory = files.directory,
                                             .memory_bytes_max = 1000,
                                             .roll_bytes = JOURNAL_ROLL_BYTES_MIN,
                                             .node_entries = NODE_ENTRIES };
    files.hooks = (struct stream_hooks){ .wait = wait_for_io, .on_ready = count_ready };
}

static inline void setup_files(void)
{
    setup_in("/dev/shm", 0);
}

static inline void setup_threads(void)
{
    setup_in("/dev/shm", 2);
}

static inline void teardown_files(void)
{
    char command[100];

    fault_clear(files.fault);
    stream_store_destroy(store);
    store = NULL;
    io_destroy(files.io);
    fault_destroy(files.fault);
    (void)snprintf(command, sizeof(command), "rm -r %s", files.directory);
    ck_assert_int_eq(system(command), 0);
}

/* Until nothing is under way, and nothing due. */
static inline void settle_at(uint64_t now_ms)
{
    do {
        while (stream_store_tick(store, now_ms, 1000)) {}
    } while (io_wait(files.io) > 0);
}

static inline void settle(void)
{
    settle_at(0);
}

/* ---- checkpoints ------------------------------------------------------------------------------
 */

static inline int sync_checkpoint(void)
{
    int rc;

    while ((rc = stream_checkpoint_sync(store)) == 0)
        ck_assert_uint_gt(io_wait(files.io), 0);
    return rc;
}

/* Of one stream; NULL: of none. */
static inline void checkpoint(struct stream *of, bool is_complete)
{
    stream_checkpoint_begin(store);
    if (of) write_image(of);
    ck_assert_int_eq(sync_checkpoint(), 1);
    stream_checkpoint_end(store, is_complete);
    settle();
}

/* The stream that the checkpoint's image tells of. */
static inline void load(void)
{
    ck_assert_int_eq(stream_image_load(store, slice_of(image.bytes, image.size), &stream), 0);
    stream_checkpoint_loaded(store);
    settle();
}

/* All closed, and a store of the next start. */
static inline void restart(void)
{
    stream_store_destroy(store);
    create_store();
}

/* ---- streams ----------------------------------------------------------------------------------
 */

/* Entry n of a stream has the id (n, 0), and a value of so many letters. */
static inline struct slice value_of(uint64_t number, size_t size)
{
    static char bytes[70000];
    int head = snprintf(bytes, sizeof(bytes), "$1\r\nf\r\n$%zu\r\n", size);

    memset(bytes + head, (int)('a' + number % 26), size);
    bytes[(size_t)head + size] = '\r';
    bytes[(size_t)head + size + 1] = '\n';
    return slice_of(bytes, (size_t)head + size + 2);
}

static inline int try_add(struct stream *to, uint64_t number, size_t size)
{
    struct slice fields = value_of(number, size);
    int rc = stream_reserve(to, fields.size);

    return rc < 0 ? rc : stream_add(to, (struct stream_id){ number, 0 }, 2, fields);
}

static inline void add_entries(struct stream *to, uint64_t from, uint64_t end, size_t size)
{
    for (uint64_t number = from; number < end; number++)
        ck_assert_int_eq(try_add(to, number, size), 0);
}

/* Until it is refused; the number of the entry that was. */
static inline uint64_t add_until(struct stream *to, int error, uint64_t number, size_t size)
{
    int rc;

    while ((rc = try_add(to, number, size)) == 0)
        ck_assert_uint_lt(++number, 100000);
    ck_assert_int_eq(rc, error);
    return number;
}

/* The entries are [from, end), read both ways. */
static inline void expect_entries(struct stream *of, uint64_t from, uint64_t end, size_t size)
{
    struct stream_cursor cursor;
    struct stream_entry entry;

    stream_check(of);
    ck_assert_uint_eq(stream_count(of), end - from);
    stream_cursor_begin(&cursor, of, STREAM_ID_MIN, STREAM_FORWARD);
    for (uint64_t number = from; number < end; number++) {
        ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 1);
        ck_assert_uint_eq(entry.id.ms, number);
        ck_assert(slice_equal(entry.fields, value_of(number, size)));
    }
    ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 0);
    stream_cursor_begin(&cursor, of, STREAM_ID_MAX, STREAM_BACKWARD);
    for (uint64_t number = end; number > from; number--) {
        ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 1);
        ck_assert_uint_eq(entry.id.ms, number - 1);
    }
    ck_assert_int_eq(stream_cursor_next(&cursor, &entry), 0);
}

static inline void trim_to(struct stream *of, uint64_t length)
{
    struct stream_trim how = { .length = length };
    uint64_t end;

    ck_assert_int_eq(stream_trim_end(of, &how, &end), 0);
    (void)stream_trim(of, end);
}

/* Names in a directory that end so. */
static inline unsigned count_names(const char *path, const char *suffix)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    unsigned count = 0;

    if (!dir) return 0;
    while ((entry = readdir(dir)) != NULL) {
        size_t size = strlen(entry->d_name), end = strlen(suffix);
        if (entry->d_name[0] == '.' || size < end) continue;
        count += strcmp(entry->d_name + size - end, suffix) == 0;
    }
    closedir(dir);
    return count;
}

static inline unsigned count_directories(void)
{
    return count_names(files.directory, "");
}

static inline unsigned count_in_stream(unsigned number, const char *suffix)
{
    char path[100];

    (void)snprintf(path, sizeof(path), "%s/stream-%u", files.directory, number);
    return count_names(path, suffix);
}

/* That are plain. */
static inline unsigned count_segments(unsigned number)
{
    return count_in_stream(number, ".log");
}
#endif
