#include "server/commands/stream_reply.h"

#include <errno.h>

#include "modules/base/number.h"
#include "server/commands/stream_words.h"

/* Of an entry's fields: up to here they are copied in one piece with its id. */
enum { IN_PLACE_BYTES_MAX = 1024 };

int stream_range_find(struct stream *stream, struct stream_id first, struct stream_id last,
                      enum stream_direction direction, uint64_t count_max,
                      struct stream_range *out_range)
{
    bool is_forward = direction == STREAM_FORWARD;
    uint64_t begin = 0, end = UINT64_MAX;
    int rc = 0;

    out_range->count = 0;
    stream_cursor_begin(&out_range->cursor, stream, is_forward ? first : last, direction);
    if (stream_id_compare(first, last) > 0 ||
        stream_id_compare(first, stream_last_id(stream)) > 0) {
        return 0;
    }
    if (stream_id_compare(last, stream_last_id(stream)) < 0) {
        (void)stream_id_increment(&last); /* something is greater */
        rc = stream_ordinal_of(stream, last, &end);
    }
    if (rc == 0)
        rc = is_forward ? stream_cursor_ordinal(&out_range->cursor, &begin)
                        : stream_ordinal_of(stream, first, &begin);
    if (rc < 0) return rc;
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
    if (number <= 9)
        *at++ = (char)('0' + number); /* mostly */
    else
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

size_t stream_entry_reply(struct reply *reply, const struct stream_entry *entry)
{
    bool is_short = entry->fields.size <= IN_PLACE_BYTES_MAX;
    size_t bytes_max = STREAM_ENTRY_HEADER_BYTES + (is_short ? entry->fields.size : 0), size;
    char *to = reply_reserve(reply, bytes_max);

    if (!to) return STREAM_ENTRY_HEADER_BYTES + entry->fields.size;
    size = stream_entry_header(to, entry);
    if (is_short) memcpy(to + size, entry->fields.bytes, entry->fields.size);
    reply_commit(reply, size + (is_short ? entry->fields.size : 0));
    if (!is_short) reply_raw(reply, entry->fields);
    return size + entry->fields.size;
}

size_t stream_gone_reply(struct reply *reply, struct stream_id id)
{
    reply_array(reply, 2);
    stream_id_reply(reply, id);
    reply_null_array(reply);
    return STREAM_ENTRY_HEADER_BYTES;
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
