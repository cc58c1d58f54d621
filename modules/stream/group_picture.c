/* A picture holds the records of groups and consumers in bytes, which are few, and shares the trees
 * of what is pending, whose leaves become bytes when they are read. */
#include "modules/base/alloc_size.h"
#include "modules/base/endian.h"
#include "modules/stream/group_format.h"
#include "modules/stream/group_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STAGED_MAX = 56 }; /* a leaf's */

struct pictured_group {
    uint8_t *records; /* of the group and its consumers */
    size_t record_bytes;
    uint32_t *places; /* of consumers in the order of names, by number */
    uint32_t place_count;
    struct pending_tree pending;
};

struct stream_groups_picture {
    struct stream_group_store *store;
    uint64_t size_bytes;
    uint32_t count, at; /* groups before at have been read */
    bool has_records;   /* of the group at, which were read */
    bool has_next;      /* of what is pending in it, from next on */
    struct stream_id next;
    struct slice piece; /* what is to be read first */
    uint8_t staged[STAGED_MAX * GROUP_PICTURE_PENDING_BYTES];
    struct pictured_group groups[];
};

static uint64_t bytes_of(const struct pictured_group *group)
{
    return (group->records ? alloc_size(group->record_bytes) : 0) +
           (group->places ? alloc_size(group->place_count * sizeof(*group->places)) : 0);
}

static uint64_t own_bytes(const struct stream_groups_picture *picture)
{
    uint64_t bytes = alloc_size(sizeof(*picture) + picture->count * sizeof(picture->groups[0]));

    for (uint32_t i = 0; i < picture->count; i++)
        bytes += bytes_of(&picture->groups[i]);
    return bytes;
}

/* ---- taking ---- */

static size_t measure_records(const struct stream_group *group)
{
    size_t bytes = GROUP_PICTURE_GROUP_BYTES + group->name.size;

    for (uint32_t i = 0; i < group->order.count; i++) {
        const struct stream_consumer *consumer = group->order.items[i];
        bytes += GROUP_PICTURE_CONSUMER_BYTES + consumer->name.size;
    }
    return bytes;
}

static uint8_t *put_name(uint8_t *at, struct slice name)
{
    if (name.size > 0) memcpy(at, name.bytes, name.size);
    return at + name.size;
}

static uint8_t *write_group(uint8_t *at, const struct stream_group *group)
{
    store_u64le(at, group->last_id.ms);
    store_u64le(at + 8, group->last_id.seq);
    store_u64le(at + 16, (uint64_t)group->entries_read);
    store_u64le(at + 24, group->release_number);
    store_u32le(at + 32, (uint32_t)group->name.size);
    store_u32le(at + 36, group->order.count);
    store_u64le(at + 40, group->pending.count);
    return put_name(at + GROUP_PICTURE_GROUP_BYTES, group->name);
}

static uint8_t *write_consumer(uint8_t *at, const struct stream_consumer *consumer)
{
    store_u64le(at, consumer->seen_ms);
    store_u64le(at + 8, consumer->active_ms);
    store_u32le(at + 16, (uint32_t)consumer->name.size);
    return put_name(at + GROUP_PICTURE_CONSUMER_BYTES, consumer->name);
}

static int take_group(const struct stream_group *group, struct pictured_group *out)
{
    uint8_t *at;

    out->record_bytes = measure_records(group);
    out->records = at = malloc(out->record_bytes);
    if (!out->records) return -ENOMEM;
    out->place_count = group->slot_count;
    if (group->slot_count > 0) {
        out->places = calloc(group->slot_count, sizeof(*out->places));
        if (!out->places) return -ENOMEM;
    }
    at = write_group(at, group);
    for (uint32_t i = 0; i < group->order.count; i++) {
        const struct stream_consumer *consumer = group->order.items[i];
        assert(out->places && consumer->number < out->place_count);
        at = write_consumer(at, consumer);
        out->places[consumer->number] = i;
    }
    assert(at == out->records + out->record_bytes);
    pending_tree_share(&group->pending, &out->pending);
    return 0;
}

static void free_picture(struct stream_groups_picture *picture)
{
    for (uint32_t i = 0; i < picture->count; i++) {
        struct pictured_group *group = &picture->groups[i];
        pending_tree_drop(&group->pending, &picture->store->account);
        free(group->records);
        free(group->places);
    }
    free(picture);
}

static void begin_reading(struct stream_groups_picture *picture)
{
    store_u32le(picture->staged, GROUP_PICTURE_VERSION);
    store_u32le(picture->staged + 4, picture->count);
    picture->piece = slice_of(picture->staged, GROUP_PICTURE_HEAD_BYTES);
}

int stream_groups_picture_take(const struct stream_groups *groups,
                               struct stream_groups_picture **out_picture)
{
    uint32_t count = groups->order.count;
    struct stream_groups_picture *picture =
        calloc(1, sizeof(*picture) + count * sizeof(picture->groups[0]));

    if (!picture) return -ENOMEM;
    picture->store = groups->store;
    picture->count = count;
    picture->size_bytes = GROUP_PICTURE_HEAD_BYTES;
    for (uint32_t i = 0; i < count; i++) {
        struct pictured_group *group = &picture->groups[i];

        if (take_group(groups->order.items[i], group) < 0) {
            free_picture(picture);
            return -ENOMEM;
        }
        picture->size_bytes +=
            group->record_bytes + group->pending.count * GROUP_PICTURE_PENDING_BYTES;
    }
    begin_reading(picture);
    groups->store->picture_bytes += own_bytes(picture);
    *out_picture = picture;
    return 0;
}

uint64_t stream_groups_picture_size(const struct stream_groups_picture *picture)
{
    return picture->size_bytes;
}

void stream_groups_picture_drop(struct stream_groups_picture *picture)
{
    if (!picture) return;
    picture->store->picture_bytes -= own_bytes(picture);
    free_picture(picture);
}

/* ---- reading ---- */

static void stage_item(uint8_t *at, const struct pictured_group *group,
                       const struct pending_item *item)
{
    bool is_owned = item->consumer != CONSUMER_NONE;

    store_u64le(at, item->id.ms);
    store_u64le(at + 8, item->id.seq);
    store_u64le(at + 16, item->since);
    store_u64le(at + 24, item->delivery_count);
    store_u32le(at + 32, is_owned ? group->places[item->consumer] : CONSUMER_NONE);
}

/* False: all of the group at has been staged. */
static bool stage_pending(struct stream_groups_picture *picture, const struct pictured_group *group)
{
    struct pending_item items[STAGED_MAX];
    unsigned count = 0;

    if (picture->has_next)
        count = pending_tree_read(&group->pending, picture->next, UINT64_MAX, items, STAGED_MAX);
    if (count == 0) return false;
    for (unsigned i = 0; i < count; i++)
        stage_item(picture->staged + i * (size_t)GROUP_PICTURE_PENDING_BYTES, group, &items[i]);
    picture->piece = slice_of(picture->staged, count * (size_t)GROUP_PICTURE_PENDING_BYTES);
    picture->next = items[count - 1].id;
    picture->has_next = stream_id_increment(&picture->next);
    return true;
}

/* False: that was all. */
static bool next_piece(struct stream_groups_picture *picture)
{
    for (; picture->at < picture->count; picture->at++, picture->has_records = false) {
        const struct pictured_group *group = &picture->groups[picture->at];

        if (!picture->has_records) {
            picture->has_records = true;
            picture->piece = slice_of(group->records, group->record_bytes);
            picture->next = STREAM_ID_MIN;
            picture->has_next = true;
            return true;
        }
        if (stage_pending(picture, group)) return true;
    }
    return false;
}

size_t stream_groups_picture_read(struct stream_groups_picture *picture, uint8_t *bytes,
                                  size_t capacity)
{
    size_t size = 0;

    while (size < capacity) {
        struct slice *piece = &picture->piece;
        size_t step = piece->size < capacity - size ? piece->size : capacity - size;

        if (step == 0) {
            if (!next_piece(picture)) break;
            continue;
        }
        memcpy(bytes + size, piece->bytes, step);
        *piece = slice_of(piece->bytes + step, piece->size - step);
        size += step;
    }
    return size;
}
