#include "server/commands/stream_reply.h"

#include <errno.h>

#include "modules/base/number.h"
#include "server/commands/stream_words.h"

int stream_range_find(struct stream *stream, struct stream_id first, struct stream_id last,
                      enum stream_direction direction, uint64_t count_max,
                      struct stream_range *out_range)
{
    struct stream_info info;
    uint64_t begin, end;
    int rc;

    *out_range = (struct stream_range){ .stream = stream,
                                        .from = direction == STREAM_FORWARD ? first : last,
                                        .direction = direction };
    stream_get_info(stream, &info);
    if (stream_id_compare(first, last) > 0 || stream_id_compare(first, info.last_id) > 0) return 0;
    rc = stream_ordinal_of(stream, first, &begin);
    if (rc < 0) return rc;
    end = info.end;
    if (stream_id_compare(last, info.last_id) < 0) {
        (void)stream_id_increment(&last); /* something is greater */
        rc = stream_ordinal_of(stream, last, &end);
        if (rc < 0) return rc;
    }
    out_range->count = stream_count_between(stream, begin, end);
    if (out_range->count > count_max) out_range->count = count_max;
    return 0;
}

static char *put_bytes(char *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

static char *put_line(char *at, char type, uint64_t number)
{
    *at++ = type;
    at += number_format_uint64(at, number);
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

size_t stream_entry_header(char text[STREAM_ENTRY_HEADER_BYTES], const struct stream_entry *entry)
{
    static const char pair[] = { '*', '2', '\r', '\n' };
    char id[STREAM_ID_TEXT_BYTES];
    size_t id_size = stream_id_format(id, entry->id);
    char *at = put_line(put_bytes(text, pair, sizeof(pair)), '$', id_size);

    at = put_bytes(at, id, id_size);
    *at++ = '\r';
    *at++ = '\n';
    return (size_t)(put_line(at, '*', entry->field_count) - text);
}

void stream_entry_reply(struct reply *reply, const struct stream_entry *entry)
{
    char header[STREAM_ENTRY_HEADER_BYTES];

    reply_raw(reply, slice_of(header, stream_entry_header(header, entry)));
    reply_raw(reply, entry->fields);
}

int stream_newest_id(struct stream *stream, struct stream_id *out_id)
{
    struct stream_cursor cursor;
    struct stream_entry entry;
    int rc;

    stream_cursor_begin(&cursor, stream, STREAM_ID_MAX, STREAM_BACKWARD);
    rc = stream_cursor_next(&cursor, &entry);
    if (rc == 1) *out_id = entry.id;
    return rc;
}

int stream_range_write(struct reply *reply, const struct stream_range *range)
{
    struct stream_cursor cursor;

    reply_array(reply, range->count);
    stream_cursor_begin(&cursor, range->stream, range->from, range->direction);
    for (uint64_t i = 0; i < range->count; i++) {
        struct stream_entry entry;
        int rc = stream_cursor_next(&cursor, &entry);

        if (rc <= 0) return rc < 0 ? rc : -EBADMSG; /* fewer than were counted */
        stream_entry_reply(reply, &entry);
    }
    return 0;
}
