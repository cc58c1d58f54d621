/* stream_group_ahead.c - a journal's entries, read before they are delivered
 *
 * Who cannot be suspended must not find out half-way that an entry has to be fetched: what was
 * delivered until then could not be answered with the rest. So a few entries are read first and
 * kept; what is more, or has to be looked for here and there, is done in a fiber. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/stream/stream.h"
#include "server/commands/stream_group_reading.h"

enum { AHEAD_MAX = 1000, BYTES_MIN = 1024 };

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

struct stream_entry group_ahead_at(const struct group_ahead *ahead, uint64_t index)
{
    const struct group_ahead_entry *kept;

    assert(index < ahead->count);
    kept = &ahead->entries[index];
    return (struct stream_entry){ .id = kept->id,
                                  .ordinal = kept->ordinal,
                                  .field_count = kept->field_count,
                                  .fields = slice_of(ahead->bytes + kept->at, kept->size) };
}

static int reserve_bytes(struct group_ahead *ahead, size_t size)
{
    size_t capacity = ahead->byte_capacity > 0 ? ahead->byte_capacity : BYTES_MIN;
    uint8_t *bytes;

    while (capacity < ahead->byte_count + size)
        capacity *= 2;
    if (capacity == ahead->byte_capacity) return 0;
    bytes = realloc(ahead->bytes, capacity);
    if (!bytes) return -ENOMEM;
    ahead->bytes = bytes;
    ahead->byte_capacity = capacity;
    return 0;
}

static int keep(struct group_ahead *ahead, const struct stream_entry *entry)
{
    size_t size = entry->fields.size;
    int rc;

    if (ahead->byte_count + size > STREAM_GROUP_INLINE_BYTES) return -EAGAIN;
    rc = reserve_bytes(ahead, size);
    if (rc < 0) return rc;
    if (size > 0) memcpy(ahead->bytes + ahead->byte_count, entry->fields.bytes, size);
    ahead->entries[ahead->count++] = (struct group_ahead_entry){ .id = entry->id,
                                                                 .ordinal = entry->ordinal,
                                                                 .field_count = entry->field_count,
                                                                 .at = ahead->byte_count,
                                                                 .size = size };
    ahead->byte_count += size;
    return 0;
}

static int keep_range(struct group_ahead *ahead, const struct stream_range *range)
{
    struct stream_cursor cursor = range->cursor;
    int rc = 0;

    ahead->entries = malloc(range->count * sizeof(*ahead->entries));
    if (!ahead->entries) return -ENOMEM;
    while (ahead->count < range->count && rc == 0) {
        struct stream_entry entry;

        rc = stream_cursor_next(&cursor, &entry);
        if (rc == 0) return -EBADMSG; /* fewer than were counted */
        if (rc == 1) rc = keep(ahead, &entry);
    }
    return rc;
}

/* Something that is pending may have to be read, too. */
static bool may_read_old(const struct group_reading *reading, const struct group_served *served)
{
    if (served->is_new)
        return reading->min_idle_ms >= 0 && stream_group_pending_count(served->key.group) > 0;
    return stream_group_find_consumer(served->key.group, reading->consumer) != NULL;
}

int group_ahead_read(struct call *call, const struct group_reading *reading,
                     struct group_served *served)
{
    struct stream_id from = stream_group_last_id(served->key.group);
    struct group_answer fresh = { .count_left = UINT64_MAX };
    struct stream_range range;
    struct stream_info info;
    int rc;

    stream_get_info(served->key.stream.stream, &info);
    if (info.is_in_memory) return 0;
    if (may_read_old(reading, served)) return -EAGAIN;
    if (!served->is_new || !stream_id_increment(&from)) return 0;
    if (reading->asked.max_count > 0) fresh.count_left = (uint64_t)reading->asked.max_count;
    rc = stream_range_find(served->key.stream.stream, from, STREAM_ID_MAX, STREAM_FORWARD,
                           group_served_count_max(call, reading, &fresh), &range);
    if (rc < 0 || range.count == 0) return rc;
    return range.count > AHEAD_MAX ? -EAGAIN : keep_range(&served->ahead, &range);
}
