/* stream_group_ahead.c - a journal's entries, read before they are delivered
 *
 * Who cannot be suspended must not find out half-way that an entry has to be fetched: what was
 * delivered until then could not be answered with the rest. So a few entries are read first and
 * kept; what is more, or has to be looked for here and there, is done in a fiber, where each entry
 * is read once. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/stream/stream.h"
#include "server/commands/server.h"
#include "server/commands/stream_group_reading.h"

enum { AT_ONCE_PENDING = 1024 }; /* more is gone through in a fiber */

struct group_ahead_entry {
    struct stream_id id;
    uint64_t ordinal;
    uint32_t field_count;
    size_t at, size; /* of its fields */
};

void group_ahead_finish(struct group_ahead *ahead)
{
    free(ahead->entries);
    free(ahead->bytes);
    *ahead = (struct group_ahead){ .entries = NULL };
}

void group_ahead_get(const struct group_ahead *ahead, uint64_t index, uint32_t count,
                     struct stream_entry *out_entries)
{
    assert(index + count <= ahead->count);
    for (uint32_t i = 0; i < count; i++) {
        const struct group_ahead_entry *kept = &ahead->entries[index + i];

        out_entries[i] =
            (struct stream_entry){ .id = kept->id,
                                   .ordinal = kept->ordinal,
                                   .field_count = kept->field_count,
                                   .fields = slice_of(ahead->bytes + kept->at, kept->size) };
    }
}

static void keep(struct group_ahead *ahead, const struct stream_entry *entry)
{
    size_t size = entry->fields.size;

    if (size > 0) memcpy(ahead->bytes + ahead->byte_count, entry->fields.bytes, size);
    ahead->entries[ahead->count++] = (struct group_ahead_entry){ .id = entry->id,
                                                                 .ordinal = entry->ordinal,
                                                                 .field_count = entry->field_count,
                                                                 .at = ahead->byte_count,
                                                                 .size = size };
    ahead->byte_count += size;
}

/* What was read together. */
static int keep_some(struct group_ahead *ahead, const struct stream_entry *some, int count)
{
    size_t size = ahead->byte_count;
    uint8_t *bytes;

    for (int i = 0; i < count; i++)
        size += some[i].fields.size;
    if (size > STREAM_GROUP_INLINE_BYTES) return -EAGAIN;
    bytes = realloc(ahead->bytes, size);
    if (!bytes) return -ENOMEM;
    ahead->bytes = bytes;
    for (int i = 0; i < count; i++)
        keep(ahead, &some[i]);
    return 0;
}

static bool is_last(const struct stream_cursor *cursor)
{
    return cursor->is_at_end || stream_id_compare(cursor->next, stream_last_id(cursor->stream)) > 0;
}

/* All that there is behind the cursor, at most count_max. */
static int keep_all(struct group_ahead *ahead, struct stream_cursor cursor, uint64_t count_max)
{
    uint64_t most = count_max < STREAM_GROUP_AT_ONCE ? count_max : STREAM_GROUP_AT_ONCE;

    ahead->entries = malloc(most * sizeof(*ahead->entries));
    if (!ahead->entries) return -ENOMEM;
    while (ahead->count < most && !is_last(&cursor)) {
        struct stream_entry some[STREAM_GROUP_AT_ONCE];
        struct stream_want want = { (uint32_t)(most - ahead->count), STREAM_GROUP_INLINE_BYTES };
        int rc = stream_cursor_next_some(&cursor, want, some);

        if (rc == 0) break; /* what is left was deleted */
        if (rc > 0) rc = keep_some(ahead, some, rc);
        if (rc < 0) return rc;
    }
    ahead->range.count = ahead->count;
    return most == count_max || is_last(&cursor) ? 0 : -EAGAIN;
}

/* Something that is pending may have to be read, too. */
static bool may_read_old(const struct group_reading *reading, const struct group_served *served)
{
    if (served->is_new)
        return reading->min_idle_ms >= 0 && stream_group_pending_count(served->key.group) > 0;
    return stream_group_find_consumer(served->key.group, reading->consumer) != NULL;
}

/* So much of what is pending that others have to go first in between. */
static bool is_much(const struct group_reading *reading, const struct group_served *served,
                    uint64_t count_max)
{
    const struct stream_consumer *consumer;
    uint64_t pending = 0;

    if (count_max <= AT_ONCE_PENDING) return false;
    if (served->is_new)
        return reading->min_idle_ms >= 0 &&
               stream_group_pending_count(served->key.group) > AT_ONCE_PENDING;
    consumer = stream_group_find_consumer(served->key.group, reading->consumer);
    if (consumer) pending = stream_consumer_pending_count(consumer);
    return pending > AT_ONCE_PENDING;
}

int group_ahead_read(struct call *call, const struct group_reading *reading,
                     struct group_served *served)
{
    struct stream *stream = served->key.stream.stream;
    struct stream_id from = stream_group_last_id(served->key.group);
    struct group_answer fresh = { .count_left = UINT64_MAX };
    struct stream_cursor *cursor = &served->ahead.range.cursor;
    uint64_t count_max;

    if (reading->asked.max_count > 0) fresh.count_left = (uint64_t)reading->asked.max_count;
    count_max = group_served_count_max(call, reading, &fresh);
    if (is_much(reading, served, count_max)) return -EAGAIN;
    if (!stream_may_wait(call->server->streams, stream, 0)) return 0;
    if (may_read_old(reading, served)) return -EAGAIN;
    if (!served->is_new || !stream_id_increment(&from)) return 0;
    stream_cursor_begin(cursor, stream, from, STREAM_FORWARD);
    if (is_last(cursor)) return 0;
    return keep_all(&served->ahead, *cursor, count_max);
}
