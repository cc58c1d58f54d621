/* check_lists.c - every list of the newest checkpoint, read from its root to its last element, and
 * whether all that the checkpoint keeps of the spill file belongs to one. Through a table of system
 * calls that changes nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/base/os.h"
#include "modules/io/io.h"
#include "modules/spill/check.h"
#include "modules/spill/persist.h"
#include "server/check/check.h"
#include "server/check/read_only_os.h"
#include "server/durability/checkpoint_reader.h"

enum { MEMORY_BYTES = 64 << 20 };

typedef unsigned long long ull; /* for printf */

struct lists {
    struct check *check;
    struct checkpoint_reader *reader;
    struct io *io;
    struct spill_store *store;
    struct spill_check *walker;
    uint8_t *state;
    size_t state_size;
    char name[2 * CHECK_QUOTED_BYTES]; /* of the list that is looked at, in words */
    uint64_t list_count, damaged_count;
    struct spill_check_counts counts; /* of all lists */
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

static void tell_extent(void *context, const struct spill_check_damage *damage)
{
    const struct lists *lists = context;

    check_damage(lists->check, "%s: %s offset %llu: %s: elements %llu to %llu cannot be had",
                 lists->name, spill_store_path(lists->store), (ull)damage->offset_bytes,
                 damage->why, (ull)damage->first_element,
                 (ull)(damage->first_element + damage->element_count - 1));
}

/* What was found of a list, or of what was dropped. */
static void add_counts(struct lists *lists, const struct spill_check_counts *counts)
{
    lists->counts.extent_count += counts->extent_count;
    if (counts->damage_count == 0) return;
    lists->damaged_count++;
    check_damage(lists->check, "%s: %llu of its %llu elements are lost", lists->name,
                 (ull)counts->lost_count, (ull)counts->element_count);
}

/* rc: what spill_check says. */
static int tell_list(struct lists *lists, int rc, const struct spill_check_counts *counts)
{
    if (rc == -ENOMEM) return rc;
    lists->list_count++;
    if (rc < 0) {
        lists->damaged_count++;
        check_damage(lists->check,
                     "%s: %s before offset %llu: what leads to it does not fit to the spill file",
                     lists->name, lists->check->checkpoint_path,
                     (ull)checkpoint_reader_position(lists->reader));
        return 0;
    }
    lists->counts.element_count += counts->element_count;
    lists->counts.element_bytes += counts->element_bytes;
    add_counts(lists, counts);
    return 0;
}

static int check_list(struct lists *lists, const struct checkpoint_record *record)
{
    size_t size = (size_t)record->name_size + (size_t)record->value_size;
    uint8_t *bytes = malloc(size + 1);
    char quoted[CHECK_QUOTED_BYTES];
    struct spill_check_counts counts;
    int rc = bytes ? checkpoint_reader_read(lists->reader, bytes, size) : -ENOMEM;

    if (rc == 0) {
        (void)snprintf(lists->name, sizeof(lists->name), "list \"%s\" of database %u",
                       check_quote(slice_of(bytes, record->name_size), quoted), record->database);
        rc = spill_check_list(lists->walker,
                              slice_of(bytes + record->name_size, (size_t)record->value_size),
                              &counts);
        rc = tell_list(lists, rc, &counts);
    }
    free(bytes);
    return rc;
}

/* ---- all of them -------------------------------------------------------------------------------
 */

static int check_dropped(struct lists *lists)
{
    struct spill_check_counts counts;
    int rc;

    (void)snprintf(lists->name, sizeof(lists->name), "lists that were dropped");
    rc = spill_check_dropped(lists->walker, &counts);
    if (rc == 0) add_counts(lists, &counts);
    return rc;
}

static int check_all(struct lists *lists)
{
    struct checkpoint_record record;
    int rc = check_dropped(lists);

    if (rc < 0) return rc;
    while ((rc = checkpoint_reader_next(lists->reader, &record)) == 1) {
        if (record.kind != CHECKPOINT_LIST) continue;
        rc = check_list(lists, &record);
        if (rc < 0) return rc;
    }
    return rc;
}

static int tell_all(struct lists *lists)
{
    uint64_t unreached;
    int rc = spill_check_unreached(lists->walker, &unreached);

    if (rc < 0) return rc;
    if (lists->damaged_count > 0) {
        check_note(lists->check,
                   "a server starts on that: damaged elements are answered with an error that says "
                   "which they are, and LTRIM removes them when they are at an end of their list");
        check_note(lists->check, "not checked: what lies behind damaged nodes of lists");
        return 0;
    }
    check_tell(lists->check,
               "lists: %llu lists with %llu elements, %llu bytes, are whole as of the checkpoint: "
               "%llu extents, no two in one place",
               (ull)lists->list_count, (ull)lists->counts.element_count,
               (ull)lists->counts.element_bytes, (ull)lists->counts.extent_count);
    if (unreached > 0)
        check_note(lists->check,
                   "%s: %llu bytes are in use for the checkpoint, but no list leads there: room "
                   "that is lost, no data",
                   spill_store_path(lists->store), (ull)unreached);
    return 0;
}

static int run(struct lists *lists)
{
    int rc = io_create(os_read_only(), 0, &lists->io);

    if (rc == 0) rc = read_state(lists);
    if (rc == 0) rc = open_store(lists);
    if (rc != 0) return rc < 0 ? rc : 0; /* told */
    rc = spill_check_create(os_read_only(), lists->store, tell_extent, lists, &lists->walker);
    if (rc == 0) rc = check_all(lists);
    return rc == 0 ? tell_all(lists) : rc;
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
        spill_check_destroy(lists.walker);
        spill_store_close(lists.store);
        io_destroy(lists.io);
        checkpoint_reader_close(lists.reader);
    }
    free(lists.state);
    if (rc == -ENOMEM) return rc;
    if (rc < 0) check_error(check, "lists: %s", error[0] ? error : strerror(-rc));
    return 0;
}
