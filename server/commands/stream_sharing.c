#include "server/commands/stream_sharing.h"

#include <stdlib.h>

#include "modules/base/number.h"
#include "modules/pool/packet.h"

enum { SHARED_BYTES_MAX = 64 * 1024, ARRAY_BYTES = 24 };

void stream_sharing_end(struct stream_sharing *sharing)
{
    packet_unref(sharing->packet);
    *sharing = (struct stream_sharing){ .asked = 0 };
}

static bool is_same(const struct stream_range *a, const struct stream_range *b)
{
    return a->cursor.stream == b->cursor.stream && a->count == b->count &&
           stream_id_compare(a->cursor.next, b->cursor.next) == 0 &&
           a->cursor.direction == b->cursor.direction;
}

/* Of all entries as they are answered; 0: too many, or they cannot be read here. */
static size_t measure(const struct stream_range *range)
{
    size_t size = ARRAY_BYTES;
    struct stream_cursor cursor = range->cursor;

    for (uint64_t i = 0; i < range->count; i++) {
        struct stream_entry entry;

        if (stream_cursor_next(&cursor, &entry) != 1) return 0;
        size += STREAM_ENTRY_HEADER_BYTES + entry.fields.size;
        if (size > SHARED_BYTES_MAX) return 0;
    }
    return size;
}

/* bytes has room for what was measured. NULL: something could not be read. */
static uint8_t *put_range(uint8_t *at, const struct stream_range *range)
{
    struct stream_cursor cursor = range->cursor;

    *at++ = '*';
    at += number_format_uint64((char *)at, range->count);
    *at++ = '\r';
    *at++ = '\n';
    for (uint64_t i = 0; i < range->count; i++) {
        struct stream_entry entry;

        if (stream_cursor_next(&cursor, &entry) != 1) return NULL;
        at += stream_entry_header((char *)at, &entry);
        memcpy(at, entry.fields.bytes, entry.fields.size);
        at += entry.fields.size;
    }
    return at;
}

static void release(struct packet *packet)
{
    free(packet);
}

static struct packet *make_packet(const struct stream_range *range)
{
    size_t size = measure(range);
    struct packet *packet = size > 0 ? malloc(sizeof(*packet) + size) : NULL;
    uint8_t *bytes, *end;

    if (!packet) return NULL;
    bytes = (uint8_t *)(packet + 1);
    end = put_range(bytes, range);
    if (!end) {
        free(packet);
        return NULL;
    }
    packet_init(packet, slice_of(bytes, (size_t)(end - bytes)), release);
    return packet;
}

struct packet *stream_sharing_find(struct stream_sharing *sharing, uint64_t changes,
                                   const struct stream_range *range)
{
    if (sharing->asked == 0 || sharing->changes != changes || !is_same(&sharing->range, range)) {
        stream_sharing_end(sharing);
        sharing->range = *range;
        sharing->changes = changes;
    }
    if (++sharing->asked == 2) sharing->packet = make_packet(range);
    return sharing->packet;
}
