/* check_lists.c - every list of the newest checkpoint, read from its root to its last element: each
 * extent's checksum is compared on the way. Through a table of system calls that changes nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "modules/io/io.h"
#include "modules/spill/persist.h"
#include "server/check/check.h"
#include "server/check/read_only_os.h"
#include "server/durability/checkpoint_reader.h"

enum { MEMORY_BYTES = 64 << 20, SHOWN_BYTES = 100 };

struct lists {
    struct check *check;
    struct checkpoint_reader *reader;
    struct io *io;
    struct spill_store *store;
    uint8_t *state;
    size_t state_size;
    uint64_t list_count, element_count, element_bytes, damaged_count;
};

/* ---- the store ---------------------------------------------------------------------------------
 */

static int wait_for_disk(void *context)
{
    struct lists *lists = context;

    (void)io_wait(lists->io);
    return 0;
}

static int add_state(struct lists *lists, uint64_t size)
{
    uint8_t *state = realloc(lists->state, lists->state_size + size + 1);
    int rc;

    if (!state) return -ENOMEM;
    lists->state = state;
    rc = checkpoint_reader_read(lists->reader, state + lists->state_size, size);
    if (rc == 0) lists->state_size += size;
    return rc;
}

static int read_state(struct lists *lists)
{
    struct checkpoint_record record;
    int rc;

    while ((rc = checkpoint_reader_next(lists->reader, &record)) == 1) {
        if (record.kind != CHECKPOINT_STORE) continue;
        rc = add_state(lists, record.value_size);
        if (rc < 0) return rc;
    }
    checkpoint_reader_rewind(lists->reader);
    return rc;
}

static int open_store(struct lists *lists)
{
    struct spill_hooks hooks = { .wait = wait_for_disk, .context = lists };
    struct slice state = slice_of(lists->state, lists->state_size);
    struct spill_options options = { .memory_bytes = MEMORY_BYTES };
    char why[SPILL_WHY_BYTES] = "", *directory;
    int rc = spill_state_chunk_bytes(state, &options.chunk_bytes, why);

    if (rc == 0 && asprintf(&directory, "%s/spill", lists->check->directory) < 0) return -ENOMEM;
    if (rc == 0) {
        options.directory = directory;
        rc = spill_store_open(os_read_only(), lists->io, &options, &hooks, state, &lists->store,
                              why);
        free(directory);
    }
    if (rc < 0 && rc != -ENOMEM) {
        check_damage(lists->check, "lists: the spill file cannot be opened: %s",
                     why[0] ? why : strerror(-rc));
        return 1;
    }
    return rc;
}

/* ---- a list ------------------------------------------------------------------------------------
 */

static int walk_elements(struct lists *lists, struct spill_cursor *cursor, uint64_t *out_count)
{
    struct slice element;
    int rc;

    *out_count = 0;
    while ((rc = spill_cursor_next(cursor, &element)) == 1) {
        (*out_count)++;
        lists->element_bytes += element.size;
    }
    lists->element_count += *out_count;
    return rc;
}

static int walk_list(struct lists *lists, struct spill_deque *deque, uint64_t *out_count)
{
    struct spill_snapshot *snapshot;
    struct spill_cursor *cursor;
    int rc = spill_deque_snapshot(deque, &snapshot);

    if (rc < 0) return rc;
    rc = spill_cursor_create(snapshot, 0, SPILL_TAIL, &cursor);
    if (rc == 0) {
        rc = walk_elements(lists, cursor, out_count);
        spill_cursor_destroy(cursor);
    }
    if (rc == 0 && *out_count != spill_deque_count(deque)) rc = -EBADMSG;
    spill_snapshot_release(snapshot);
    return rc;
}

static void tell_damaged(struct lists *lists, const struct checkpoint_record *record,
                         const char *name, uint64_t count, int rc)
{
    const char *why = spill_store_last_error(lists->store);

    lists->damaged_count++;
    check_damage(lists->check, "list \"%.*s\" of database %u: %s, behind %llu good elements",
                 (int)(record->name_size < SHOWN_BYTES ? record->name_size : SHOWN_BYTES), name,
                 record->database, why[0] ? why : strerror(-rc), (unsigned long long)count);
}

static int check_list(struct lists *lists, const struct checkpoint_record *record)
{
    size_t size = (size_t)record->name_size + (size_t)record->value_size;
    uint8_t *bytes = malloc(size + 1);
    struct spill_deque *deque = NULL;
    uint64_t count = 0;
    int rc = bytes ? checkpoint_reader_read(lists->reader, bytes, size) : -ENOMEM;

    if (rc == 0)
        rc = spill_deque_load(
            lists->store, slice_of(bytes + record->name_size, (size_t)record->value_size), &deque);
    if (rc == 0) rc = walk_list(lists, deque, &count);
    lists->list_count++;
    if (rc < 0 && rc != -ENOMEM) {
        tell_damaged(lists, record, (const char *)bytes, count, rc);
        rc = 0;
    }
    spill_deque_destroy(deque);
    while (spill_store_tick(lists->store, 0)) {}
    free(bytes);
    return rc;
}

/* ---- all of them -------------------------------------------------------------------------------
 */

static int check_all(struct lists *lists)
{
    struct checkpoint_record record;
    int rc;

    while ((rc = checkpoint_reader_next(lists->reader, &record)) == 1) {
        if (record.kind != CHECKPOINT_LIST) continue;
        rc = check_list(lists, &record);
        if (rc < 0) return rc;
    }
    return rc;
}

static int run(struct lists *lists)
{
    int rc = io_create(os_read_only(), 0, &lists->io);

    if (rc == 0) rc = read_state(lists);
    if (rc == 0) rc = open_store(lists);
    if (rc != 0) return rc < 0 ? rc : 0; /* told */
    rc = check_all(lists);
    if (rc == 0 && lists->damaged_count == 0)
        check_tell(lists->check,
                   "lists: %llu lists with %llu elements, %llu bytes, are whole as of the "
                   "checkpoint",
                   (unsigned long long)lists->list_count, (unsigned long long)lists->element_count,
                   (unsigned long long)lists->element_bytes);
    return rc;
}

int check_lists(struct check *check)
{
    char error[CHECKPOINT_ERROR_BYTES] = "";
    struct lists lists = { .check = check };
    int rc;

    if (!check->has_checkpoint) return 0;
    rc = checkpoint_reader_open(os_real(), check->checkpoint_path, error, &lists.reader);
    if (rc == 0) {
        rc = run(&lists);
        spill_store_close(lists.store);
        io_destroy(lists.io);
        checkpoint_reader_close(lists.reader);
    }
    free(lists.state);
    if (rc == -ENOMEM) return rc;
    if (rc < 0) check_error(check, "lists: %s", error[0] ? error : strerror(-rc));
    return 0;
}
