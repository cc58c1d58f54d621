#include "server/commands/stream_copy.h"

#include <assert.h>
#include <errno.h>

#include "modules/stream/stream.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/types/stream.h"

enum { INLINE_BYTES = 256 * 1024, BREATH_ENTRIES = 64 };

/* The entry is looked at twice: making room for it in the other stream takes the view away. */
static int copy_next(struct stream_cursor *cursor, struct stream *to)
{
    struct stream_cursor before = *cursor;
    struct stream_entry entry;
    int rc = stream_cursor_next(cursor, &entry);

    if (rc <= 0) return rc;
    rc = stream_reserve(to, entry.fields.size);
    if (rc < 0) return rc;
    *cursor = before;
    rc = stream_cursor_next(cursor, &entry);
    if (rc <= 0) return rc;
    rc = stream_add(to, entry.id, entry.field_count, entry.fields);
    assert(rc == 0); /* ids go up, and there is room */
    return 1;
}

static int copy_entries(struct call *call, struct stream *from, struct stream *to)
{
    struct stream_cursor cursor;
    struct stream_info info;
    uint64_t steps = 0;
    int rc;

    stream_cursor_begin(&cursor, from, STREAM_ID_MIN, STREAM_FORWARD);
    do {
        rc = copy_next(&cursor, to);
        if (rc == 1 && ++steps % BREATH_ENTRIES == 0 && parking_breathe(call->server) < 0)
            rc = -ECANCELED;
    } while (rc == 1);
    if (rc < 0) return rc;
    stream_get_info(from, &info);
    stream_set_last_id(to, info.last_id);
    stream_set_added(to, info.entries_added);
    stream_set_max_deleted(to, info.max_deleted_id);
    return 0;
}

static bool is_small(const struct stream *stream)
{
    struct stream_info info;

    stream_get_info(stream, &info);
    return info.is_in_memory && info.memory_bytes <= INLINE_BYTES;
}

int stream_copy(struct call *call, const struct value *value, struct value **out_value)
{
    struct stream *from = stream_value_stream(value);
    struct value *copy;
    int rc;

    if (!is_small(from) && !call_can_suspend(call)) return -EAGAIN;
    rc = stream_value_create(call->server->streams, &copy);
    if (rc < 0) return rc;
    rc = copy_entries(call, from, stream_value_stream(copy));
    if (rc < 0)
        copy->type->destroy(copy);
    else
        *out_value = copy;
    return rc;
}
