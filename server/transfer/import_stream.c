/* import_stream.c - a stream of an RDB file as commands, much as Redis rewrites one:
 *
 *   an entry           XADD name id field value …
 *   none at all        XADD name MAXLEN 0 id x y
 *   the rest of it     XSETID name last-id ENTRIESADDED n MAXDELETEDID id
 *   a group            XGROUP CREATE name group last-id [ENTRIESREAD n]
 *   a consumer         XGROUP CREATECONSUMER name group consumer
 *   a pending entry    XCLAIM name group consumer 0 id TIME ms RETRYCOUNT n JUSTID FORCE
 *     that is nobody's XNACK name group FAIL IDS 1 id RETRYCOUNT n FORCE
 *   producers          XCFGSET name IDMP-DURATION s IDMP-MAXSIZE n
 *                      XIDMPRECORD name producer id entry-id
 *
 * An entry is gathered before it is sent, as it may turn out to be too long. When a consumer was
 * seen is not told by any command. */
#include <errno.h>
#include <stdlib.h>

#include "modules/base/number.h"
#include "server/transfer/command_text.h"
#include "server/transfer/import_internal.h"

enum {
    ID_BYTES_MAX = 2 * NUMBER_INT64_BYTES_MAX + 1,
    XADD_ARGUMENTS = 3, /* before the names and values */
};

/* ---- arguments ---------------------------------------------------------------------------------
 */

static int send_id(struct import *import, struct rdb_stream_id id)
{
    char text[ID_BYTES_MAX];
    size_t size = number_format_uint64(text, id.ms);

    text[size++] = '-';
    size += number_format_uint64(text + size, id.seq);
    return feed_argument(import->feed, slice_of(text, size));
}

static int send_count(struct import *import, uint64_t count)
{
    char text[NUMBER_INT64_BYTES_MAX];

    return feed_argument(import->feed, slice_of(text, number_format_uint64(text, count)));
}

static int send_word(struct import *import, const char *word)
{
    return feed_argument(import->feed, slice_of_string(word));
}

/* The begin of a command of so many arguments: its name, of one word or two, and the key. */
static int begin(struct import *import, uint64_t argument_count, const char *name,
                 const char *second)
{
    int rc = feed_begin(import->feed, argument_count);

    if (rc == 0) rc = send_word(import, name);
    if (rc == 0 && second) rc = send_word(import, second);
    return rc < 0 ? rc : feed_argument(import->feed, import->key.name);
}

/* ---- entries -----------------------------------------------------------------------------------
 */

static int gather(struct import_entry *entry, struct slice bytes)
{
    if (bytes.size > entry->capacity - entry->size) {
        size_t capacity = (entry->size + bytes.size) * 2;
        uint8_t *grown = realloc(entry->bytes, capacity);

        if (!grown) return -ENOMEM;
        entry->bytes = grown;
        entry->capacity = capacity;
    }
    if (bytes.size > 0) memcpy(entry->bytes + entry->size, bytes.bytes, bytes.size);
    entry->size += bytes.size;
    return 0;
}

static int send_entry(struct import *import)
{
    struct import_entry *entry = &import->entry;
    int rc = begin(import, XADD_ARGUMENTS + entry->part_count, "XADD", NULL);

    if (rc == 0) rc = send_id(import, entry->id);
    if (rc == 0) rc = feed_part(import->feed, slice_of(entry->bytes, entry->size));
    import->elements++;
    return rc;
}

int import_entry(void *context, struct rdb_stream_id id, uint64_t part_count)
{
    struct import *import = context;

    import->is_dropped = false;
    import->entry.id = id;
    import->entry.part_count = import->entry.parts_left = part_count;
    import->entry.size = 0;
    return 0;
}

/* size: of the name or value that begins. */
static bool is_too_long(const struct import *import, uint64_t size)
{
    return size > import->options.value_bytes_max ||
           import->entry.size + size > import->options.command_bytes_max;
}

int import_entry_part(struct import *import, struct slice part, uint64_t offset, uint64_t size)
{
    struct import_entry *entry = &import->entry;
    bool is_last = offset + part.size == size;
    char head[COMMAND_TEXT_HEAD_BYTES];
    int rc = 0;

    if (offset == 0 && !import->is_dropped && is_too_long(import, size)) {
        import->is_dropped = true;
        import->summary.long_entries++;
    }
    if (is_last) entry->parts_left--;
    if (import->is_dropped) return 0;
    if (offset == 0) rc = gather(entry, slice_of(head, command_text_argument(head, size)));
    if (rc == 0) rc = gather(entry, part);
    if (rc == 0 && is_last) rc = gather(entry, COMMAND_TEXT_END);
    return rc < 0 || entry->parts_left > 0 ? rc : send_entry(import);
}

/* ---- the rest of it ----------------------------------------------------------------------------
 */

static bool is_zero(struct rdb_stream_id id)
{
    return id.ms == 0 && id.seq == 0;
}

/* A stream without entries is made by adding one that is trimmed at once. */
static int send_empty(struct import *import, struct rdb_stream_id last_id)
{
    struct rdb_stream_id id = is_zero(last_id) ? (struct rdb_stream_id){ 0, 1 } : last_id;
    int rc = begin(import, 7, "XADD", NULL);

    if (rc == 0) rc = send_word(import, "MAXLEN");
    if (rc == 0) rc = send_word(import, "0");
    if (rc == 0) rc = send_id(import, id);
    if (rc == 0) rc = send_word(import, "x");
    return rc < 0 ? rc : send_word(import, "y");
}

int import_stream_state(void *context, const struct rdb_stream_state *state)
{
    struct import *import = context;
    int rc = import->elements == 0 ? send_empty(import, state->last_id) : 0;

    if (rc == 0) rc = begin(import, 7, "XSETID", NULL);
    if (rc == 0) rc = send_id(import, state->last_id);
    if (rc == 0) rc = send_word(import, "ENTRIESADDED");
    if (rc == 0) rc = send_count(import, state->entries_added);
    if (rc == 0) rc = send_word(import, "MAXDELETEDID");
    return rc < 0 ? rc : send_id(import, state->max_deleted_id);
}

int import_group(void *context, const struct rdb_group *group)
{
    struct import *import = context;
    bool knows_read = group->entries_read >= 0;
    int rc = begin(import, knows_read ? 7 : 5, "XGROUP", "CREATE");

    import->group_name = group->name;
    import->summary.groups++;
    if (rc == 0) rc = feed_argument(import->feed, group->name);
    if (rc == 0) rc = send_id(import, group->last_id);
    if (rc == 0 && knows_read) rc = send_word(import, "ENTRIESREAD");
    return rc < 0 || !knows_read ? rc : send_count(import, (uint64_t)group->entries_read);
}

int import_consumer(void *context, const struct rdb_consumer *consumer)
{
    struct import *import = context;
    int rc = begin(import, 5, "XGROUP", "CREATECONSUMER");

    if (rc == 0) rc = feed_argument(import->feed, import->group_name);
    return rc < 0 ? rc : feed_argument(import->feed, consumer->name);
}

static int send_claim(struct import *import, struct slice consumer,
                      const struct rdb_pending *pending)
{
    int rc = begin(import, 12, "XCLAIM", NULL);

    if (rc == 0) rc = feed_argument(import->feed, import->group_name);
    if (rc == 0) rc = feed_argument(import->feed, consumer);
    if (rc == 0) rc = send_word(import, "0");
    if (rc == 0) rc = send_id(import, pending->id);
    if (rc == 0) rc = send_word(import, "TIME");
    if (rc == 0)
        rc = send_count(import, pending->delivered_ms < 0 ? 0 : (uint64_t)pending->delivered_ms);
    if (rc == 0) rc = send_word(import, "RETRYCOUNT");
    if (rc == 0) rc = send_count(import, pending->delivery_count);
    if (rc == 0) rc = send_word(import, "JUSTID");
    return rc < 0 ? rc : send_word(import, "FORCE");
}

static int send_release(struct import *import, const struct rdb_pending *pending)
{
    int rc = begin(import, 10, "XNACK", NULL);

    if (rc == 0) rc = feed_argument(import->feed, import->group_name);
    if (rc == 0) rc = send_word(import, "FAIL");
    if (rc == 0) rc = send_word(import, "IDS");
    if (rc == 0) rc = send_word(import, "1");
    if (rc == 0) rc = send_id(import, pending->id);
    if (rc == 0) rc = send_word(import, "RETRYCOUNT");
    if (rc == 0) rc = send_count(import, pending->delivery_count);
    return rc < 0 ? rc : send_word(import, "FORCE");
}

int import_pending(void *context, const struct rdb_consumer *owner,
                   const struct rdb_pending *pending)
{
    struct import *import = context;

    return owner ? send_claim(import, owner->name, pending) : send_release(import, pending);
}

int import_producers(void *context, const struct rdb_producers *producers)
{
    struct import *import = context;
    int rc = begin(import, 6, "XCFGSET", NULL);

    if (rc == 0) rc = send_word(import, "IDMP-DURATION");
    if (rc == 0) rc = send_count(import, producers->duration_s);
    if (rc == 0) rc = send_word(import, "IDMP-MAXSIZE");
    return rc < 0 ? rc : send_count(import, producers->size_max);
}

int import_produced(void *context, const struct rdb_produced *produced)
{
    struct import *import = context;
    int rc = begin(import, 5, "XIDMPRECORD", NULL);

    if (rc == 0) rc = feed_argument(import->feed, produced->producer);
    if (rc == 0) rc = feed_argument(import->feed, produced->id);
    return rc < 0 ? rc : send_id(import, produced->entry);
}

void import_end_stream(struct import *import)
{
    import->summary.streams++;
    import->summary.entries += import->elements;
    import_count(import);
}
