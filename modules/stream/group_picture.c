/* A picture has the records of groups, shares the trees of what is pending, and has pointers to
 * consumers, whom the groups keep for it (group_hold). Records of consumers, and leaves, become
 * bytes when they are read: who takes it touches no consumer. */
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
    uint8_t record[GROUP_PICTURE_GROUP_BYTES];
    struct stream_group *group; /* held, for its name and theirs */
    void **consumers;           /* in the order of names */
    uint32_t consumer_count;
    uint32_t place_count;
    uint32_t *places; /* in that order, by number; known when the consumers have been read */
    struct pending_tree pending;
};

/* What is read next of a group. */
enum pictured { RECORD, NAME, CONSUMER, CONSUMER_NAME, PENDING };

struct stream_groups_picture {
    struct stream_group_store *store;
    uint64_t size_bytes;
    uint32_t count, at; /* groups before at have been read */
    enum pictured next; /* of the group at */
    uint32_t consumer;  /* which, in it */
    bool has_from;      /* something may be pending in it, from there on */
    struct stream_id from;
    struct slice piece; /* what is to be read first */
    uint8_t staged[STAGED_MAX * GROUP_PICTURE_PENDING_BYTES];
    struct pictured_group groups[];
};

static uint64_t array_bytes(const void *array, size_t bytes)
{
    return array ? alloc_size(bytes) : 0;
}

static uint64_t own_bytes(const struct stream_groups_picture *picture)
{
    uint64_t bytes = alloc_size(sizeof(*picture) + picture->count * sizeof(picture->groups[0]));

    for (uint32_t i = 0; i < picture->count; i++) {
        const struct pictured_group *group = &picture->groups[i];

        bytes += array_bytes((const void *)group->consumers,
                             group->consumer_count * sizeof(*group->consumers));
        bytes += array_bytes(group->places, group->place_count * sizeof(*group->places));
    }
    return bytes;
}

/* ---- taking ---- */

static void write_group(uint8_t *at, const struct stream_group *group)
{
    store_u64le(at, group->last_id.ms);
    store_u64le(at + 8, group->last_id.seq);
    store_u64le(at + 16, (uint64_t)group->entries_read);
    store_u64le(at + 24, group->release_number);
    store_u32le(at + 32, (uint32_t)group->name.size);
    store_u32le(at + 36, group->order.count);
    store_u64le(at + 40, group->pending.count);
}

static int take_consumers(const struct stream_group *group, struct pictured_group *out)
{
    uint32_t count = group->order.count;

    if (count == 0) return 0;
    out->consumers = malloc(count * sizeof(*out->consumers));
    if (!out->consumers) return -ENOMEM;
    memcpy((void *)out->consumers, (const void *)group->order.items,
           count * sizeof(*out->consumers));
    out->consumer_count = count;
    out->places = malloc(group->slot_count * sizeof(*out->places));
    if (!out->places) return -ENOMEM;
    out->place_count = group->slot_count;
    return 0;
}

static int take_group(struct stream_group *group, struct pictured_group *out)
{
    int rc = take_consumers(group, out);

    if (rc < 0) return rc;
    write_group(out->record, group);
    pending_tree_share(&group->pending, &out->pending);
    group_hold(group);
    out->group = group;
    return 0;
}

static uint64_t size_of(const struct stream_group *group)
{
    return GROUP_PICTURE_GROUP_BYTES + group->name.size +
           (uint64_t)group->order.count * GROUP_PICTURE_CONSUMER_BYTES + group->name_bytes +
           group->pending.count * GROUP_PICTURE_PENDING_BYTES;
}

static void free_picture(struct stream_groups_picture *picture)
{
    for (uint32_t i = 0; i < picture->count; i++) {
        struct pictured_group *group = &picture->groups[i];

        pending_tree_drop(&group->pending, &picture->store->account);
        if (group->group) group_unhold(picture->store, group->group);
        free((void *)group->consumers);
        free(group->places);
    }
    free(picture);
}

static void begin_group(struct stream_groups_picture *picture)
{
    picture->next = RECORD;
    picture->consumer = 0;
    picture->from = STREAM_ID_MIN;
    picture->has_from = true;
}

static void begin_reading(struct stream_groups_picture *picture)
{
    store_u32le(picture->staged, GROUP_PICTURE_VERSION);
    store_u32le(picture->staged + 4, picture->count);
    picture->piece = slice_of(picture->staged, GROUP_PICTURE_HEAD_BYTES);
    begin_group(picture);
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
        struct stream_group *group = groups->order.items[i];

        if (take_group(group, &picture->groups[i]) < 0) {
            free_picture(picture);
            return -ENOMEM;
        }
        picture->size_bytes += size_of(group);
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

static void stage_consumer(struct stream_groups_picture *picture,
                           const struct stream_consumer *consumer)
{
    uint8_t *at = picture->staged;

    store_u64le(at, consumer->seen_ms);
    store_u64le(at + 8, consumer->active_ms);
    store_u32le(at + 16, (uint32_t)consumer->name.size);
    picture->piece = slice_of(at, GROUP_PICTURE_CONSUMER_BYTES);
}

/* False: all of the group at has been staged. */
static bool stage_pending(struct stream_groups_picture *picture, const struct pictured_group *group)
{
    struct pending_item items[STAGED_MAX];
    unsigned count = 0;

    if (picture->has_from)
        count = pending_tree_read(&group->pending, picture->from, UINT64_MAX, items, STAGED_MAX);
    if (count == 0) return false;
    for (unsigned i = 0; i < count; i++)
        stage_item(picture->staged + i * (size_t)GROUP_PICTURE_PENDING_BYTES, group, &items[i]);
    picture->piece = slice_of(picture->staged, count * (size_t)GROUP_PICTURE_PENDING_BYTES);
    picture->from = items[count - 1].id;
    picture->has_from = stream_id_increment(&picture->from);
    return true;
}

/* What comes behind a consumer, or the group's name. */
static enum pictured next_of(const struct pictured_group *group, uint32_t consumer)
{
    return consumer < group->consumer_count ? CONSUMER : PENDING;
}

/* The next piece, which may be empty, of the group at. False: it has no more. */
static bool stage_next(struct stream_groups_picture *picture, struct pictured_group *group)
{
    const struct stream_consumer *consumer;

    switch (picture->next) {
    case RECORD:
        picture->piece = slice_of(group->record, sizeof(group->record));
        picture->next = NAME;
        return true;
    case NAME:
        picture->piece = group->group->name;
        picture->next = next_of(group, 0);
        return true;
    case CONSUMER:
        consumer = group->consumers[picture->consumer];
        assert(consumer->number < group->place_count);
        group->places[consumer->number] = picture->consumer;
        stage_consumer(picture, consumer);
        picture->next = CONSUMER_NAME;
        return true;
    case CONSUMER_NAME:
        consumer = group->consumers[picture->consumer++];
        picture->piece = consumer->name;
        picture->next = next_of(group, picture->consumer);
        return true;
    case PENDING:
        return stage_pending(picture, group);
    }
    return false;
}

/* False: that was all. */
static bool next_piece(struct stream_groups_picture *picture)
{
    for (; picture->at < picture->count; picture->at++, begin_group(picture))
        if (stage_next(picture, &picture->groups[picture->at])) return true;
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
