/* From a picture's bytes back to groups. The bytes may be anybody's: nothing is allocated for what
 * they only announce, and all that they say is compared with what must hold. */
#include "modules/base/endian.h"
#include "modules/stream/group_format.h"
#include "modules/stream/group_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is read next. */
enum expected { HEAD, GROUP, GROUP_NAME, CONSUMER, CONSUMER_NAME, PENDING, NOTHING };

struct stream_groups_loader {
    struct stream_groups *groups;
    enum expected expected;
    uint32_t groups_left, consumers_left;
    uint64_t pending_left;
    struct stream_group read; /* the group's record, before its name is known */
    uint64_t seen_ms, active_ms;
    struct stream_group *group;
    struct stream_id last; /* pending */
    bool has_last;
    uint8_t *bytes; /* of what is expected: so many are there, and needed */
    size_t size, needed, capacity;
};

int stream_groups_loader_create(struct stream_group_store *store,
                                struct stream_groups_loader **out_loader)
{
    struct stream_groups_loader *loader = calloc(1, sizeof(*loader));
    int rc = -ENOMEM;

    if (loader) rc = stream_groups_create(store, &loader->groups);
    if (rc < 0) {
        free(loader);
        return rc;
    }
    loader->needed = GROUP_PICTURE_HEAD_BYTES;
    *out_loader = loader;
    return 0;
}

void stream_groups_loader_destroy(struct stream_groups_loader *loader)
{
    if (!loader) return;
    stream_groups_destroy(loader->groups);
    free(loader->bytes);
    free(loader);
}

/* ---- records ---- */

static void expect(struct stream_groups_loader *loader, enum expected expected, size_t needed)
{
    loader->expected = expected;
    loader->needed = needed;
}

/* What comes behind a consumer, a group without consumers, or something pending. */
static void expect_next(struct stream_groups_loader *loader)
{
    if (loader->consumers_left > 0)
        expect(loader, CONSUMER, GROUP_PICTURE_CONSUMER_BYTES);
    else if (loader->pending_left > 0)
        expect(loader, PENDING, GROUP_PICTURE_PENDING_BYTES);
    else if (loader->groups_left > 0)
        expect(loader, GROUP, GROUP_PICTURE_GROUP_BYTES);
    else
        expect(loader, NOTHING, 0);
}

static int expect_name(struct stream_groups_loader *loader, enum expected expected, uint32_t bytes)
{
    if (bytes > GROUP_PICTURE_NAME_MAX) return -EBADMSG;
    expect(loader, expected, bytes);
    return 0;
}

static int read_head(struct stream_groups_loader *loader, const uint8_t *bytes)
{
    if (load_u32le(bytes) != GROUP_PICTURE_VERSION) return -EBADMSG;
    loader->groups_left = load_u32le(bytes + 4);
    expect_next(loader);
    return 0;
}

static int read_group(struct stream_groups_loader *loader, const uint8_t *bytes)
{
    loader->groups_left--;
    loader->read.last_id = (struct stream_id){ load_u64le(bytes), load_u64le(bytes + 8) };
    loader->read.entries_read = (int64_t)load_u64le(bytes + 16);
    loader->read.release_number = load_u64le(bytes + 24);
    loader->consumers_left = load_u32le(bytes + 36);
    loader->pending_left = load_u64le(bytes + 40);
    if (loader->read.release_number >= SINCE_OWNED || loader->consumers_left == CONSUMER_NONE)
        return -EBADMSG;
    return expect_name(loader, GROUP_NAME, load_u32le(bytes + 32));
}

/* name belongs behind all that are there. */
static bool is_last(const struct name_order *order, struct slice name)
{
    bool is_there;

    return name_order_place(order, name, &is_there) == order->count && !is_there;
}

static int read_group_name(struct stream_groups_loader *loader, struct slice name)
{
    int rc;

    if (!is_last(&loader->groups->order, name)) return -EBADMSG;
    rc = stream_groups_add(loader->groups, name, loader->read.last_id, &loader->group);
    if (rc < 0) return rc;
    loader->group->entries_read = loader->read.entries_read;
    loader->group->release_number = loader->read.release_number;
    loader->has_last = false;
    expect_next(loader);
    return 0;
}

static int read_consumer(struct stream_groups_loader *loader, const uint8_t *bytes)
{
    loader->consumers_left--;
    loader->seen_ms = load_u64le(bytes);
    loader->active_ms = load_u64le(bytes + 8);
    return expect_name(loader, CONSUMER_NAME, load_u32le(bytes + 16));
}

static int read_consumer_name(struct stream_groups_loader *loader, struct slice name)
{
    struct stream_consumer *consumer;
    int rc;

    if (!is_last(&loader->group->order, name)) return -EBADMSG;
    rc = stream_group_add_consumer(loader->group, name, loader->seen_ms, &consumer);
    if (rc < 0) return rc;
    assert(consumer->number == loader->group->order.count - 1);
    stream_consumer_set_active(consumer, loader->active_ms);
    expect_next(loader);
    return 0;
}

/* Somebody's was delivered at a time; nobody's has a number that was given out. */
static bool is_since_valid(const struct stream_group *group, const struct pending_item *item)
{
    if (item->consumer != CONSUMER_NONE)
        return item->consumer < group->order.count && (item->since & SINCE_OWNED);
    return item->since > 0 && item->since <= group->release_number;
}

static int read_pending(struct stream_groups_loader *loader, const uint8_t *bytes)
{
    struct stream_group *group = loader->group;
    struct pending_item item = {
        .id = { load_u64le(bytes), load_u64le(bytes + 8) },
        .since = load_u64le(bytes + 16),
        .delivery_count = load_u64le(bytes + 24),
        .consumer = load_u32le(bytes + 32),
    };
    int rc;

    if (loader->has_last && stream_id_compare(loader->last, item.id) >= 0) return -EBADMSG;
    if (!is_since_valid(group, &item)) return -EBADMSG;
    rc = group_put_item(group, consumer_of(group, item.consumer), true, &item);
    if (rc < 0) return rc;
    group->released_count += item.consumer == CONSUMER_NONE;
    loader->last = item.id;
    loader->has_last = true;
    loader->pending_left--;
    expect_next(loader);
    return 0;
}

static int read_record(struct stream_groups_loader *loader, const uint8_t *bytes, size_t size)
{
    switch (loader->expected) {
    case HEAD:
        return read_head(loader, bytes);
    case GROUP:
        return read_group(loader, bytes);
    case GROUP_NAME:
        return read_group_name(loader, slice_of(bytes, size));
    case CONSUMER:
        return read_consumer(loader, bytes);
    case CONSUMER_NAME:
        return read_consumer_name(loader, slice_of(bytes, size));
    case PENDING:
        return read_pending(loader, bytes);
    case NOTHING:
        break;
    }
    return -EBADMSG; /* more bytes than there should be */
}

/* ---- bytes ---- */

/* Room for more bytes of a record that is cut; it grows with what has come. */
static int reserve(struct stream_groups_loader *loader, size_t size)
{
    size_t capacity = loader->capacity ? loader->capacity : 64;
    uint8_t *bytes;

    if (size <= loader->capacity) return 0;
    while (capacity < size)
        capacity *= 2;
    bytes = realloc(loader->bytes, capacity);
    if (!bytes) return -ENOMEM;
    loader->bytes = bytes;
    loader->capacity = capacity;
    return 0;
}

static int keep(struct stream_groups_loader *loader, struct slice piece)
{
    int rc = reserve(loader, loader->size + piece.size);

    if (rc < 0) return rc;
    memcpy(loader->bytes + loader->size, piece.bytes, piece.size);
    loader->size += piece.size;
    return 0;
}

int stream_groups_loader_add(struct stream_groups_loader *loader, struct slice piece)
{
    while (piece.size > 0) {
        size_t missing = loader->needed - loader->size;
        size_t step = missing < piece.size ? missing : piece.size;
        const uint8_t *record = piece.bytes;
        int rc = 0;

        if (step < missing || loader->size > 0) rc = keep(loader, slice_of(piece.bytes, step));
        if (rc < 0) return rc;
        piece = slice_of(piece.bytes + step, piece.size - step);
        if (step < missing) break;
        if (loader->size > 0) record = loader->bytes;
        loader->size = 0;
        rc = read_record(loader, record, loader->needed);
        if (rc < 0) return rc;
    }
    return 0;
}

/* A name of no bytes at the very end is there without a further one. */
int stream_groups_loader_finish(struct stream_groups_loader *loader,
                                struct stream_groups **out_groups)
{
    int rc = 0;

    while (rc == 0 && loader->needed == 0 && loader->expected != NOTHING)
        rc = read_record(loader, (const uint8_t *)"", 0);
    if (rc < 0) return rc;
    if (loader->expected != NOTHING) return -EBADMSG;
    *out_groups = loader->groups;
    loader->groups = NULL;
    return 0;
}
