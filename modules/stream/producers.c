/* What is known is in two queues, each in the order in which it was added: all of it, for what has
 * become too old, and each producer's, for what is too much. It is found by a hash of the producer
 * and the iid; producers are found by their names. */
#include "modules/stream/producers.h"

#include "modules/base/alloc_size.h"
#include "modules/base/endian.h"
#include "modules/base/list.h"
#include "modules/base/random.h"
#include "modules/stream/hash_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

enum { EXPIRED_PER_ADD = 8 }; /* so that they go faster than they come */

struct producer {
    struct hash_link link; /* by name */
    struct list_link iids; /* oldest first */
    uint32_t count, name_size;
    uint8_t name[];
};

struct known {
    struct hash_link link; /* by producer and iid */
    struct list_link in_all, in_producer;
    struct producer *producer;
    struct stream_id id;
    uint64_t added_ms;
    uint32_t iid_size;
    uint8_t iid[];
};

struct stream_producers {
    uint32_t duration_s, size_max;
    uint64_t seed;
    struct hash_table producers, known;
    struct list_link all; /* oldest first */
    uint64_t added_count, duplicate_count;
    uint64_t item_bytes; /* of producers and what is known */
};

int stream_producers_create(struct stream_producers **out_producers)
{
    struct stream_producers *producers = malloc(sizeof(*producers));
    int rc = -ENOMEM;

    if (!producers) return rc;
    *producers = (struct stream_producers){
        .duration_s = STREAM_IDMP_DURATION_S_DEFAULT,
        .size_max = STREAM_IDMP_SIZE_DEFAULT,
    };
    list_init(&producers->all);
    rc = random_entropy(&producers->seed, sizeof(producers->seed));
    if (rc < 0) {
        free(producers);
        return rc;
    }
    *out_producers = producers;
    return 0;
}

/* ---- producers and what is known ---- */

static uint64_t hash_of(const struct stream_producers *producers, struct slice name)
{
    return XXH3_64bits_withSeed(name.bytes, name.size, producers->seed);
}

static uint64_t hash_of_iid(const struct producer *producer, struct slice iid)
{
    return XXH3_64bits_withSeed(iid.bytes, iid.size, producer->link.hash);
}

static struct producer *find_producer(const struct stream_producers *producers, struct slice name)
{
    struct hash_link *link = hash_table_first(&producers->producers, hash_of(producers, name));

    for (; link; link = hash_table_next(link)) {
        struct producer *producer = (struct producer *)(void *)link;
        if (slice_equal(slice_of(producer->name, producer->name_size), name)) return producer;
    }
    return NULL;
}

static struct known *find_known(const struct stream_producers *producers,
                                const struct producer *producer, struct slice iid)
{
    struct hash_link *link = hash_table_first(&producers->known, hash_of_iid(producer, iid));

    for (; link; link = hash_table_next(link)) {
        struct known *known = (struct known *)(void *)link;
        if (known->producer == producer && slice_equal(slice_of(known->iid, known->iid_size), iid))
            return known;
    }
    return NULL;
}

static int create_producer(struct stream_producers *producers, struct slice name,
                           struct producer **out_producer)
{
    struct producer *producer = malloc(sizeof(*producer) + name.size);
    int rc;

    if (!producer) return -ENOMEM;
    *producer = (struct producer){ .link.hash = hash_of(producers, name),
                                   .name_size = (uint32_t)name.size };
    if (name.size > 0) memcpy(producer->name, name.bytes, name.size);
    list_init(&producer->iids);
    rc = hash_table_add(&producers->producers, &producer->link);
    if (rc < 0) {
        free(producer);
        return rc;
    }
    producers->item_bytes += alloc_size(sizeof(*producer) + name.size);
    *out_producer = producer;
    return 0;
}

static void free_producer(struct stream_producers *producers, struct producer *producer)
{
    assert(producer->count == 0);
    hash_table_remove(&producers->producers, &producer->link);
    producers->item_bytes -= alloc_size(sizeof(*producer) + producer->name_size);
    free(producer);
}

static int create_known(struct stream_producers *producers, struct producer *producer,
                        struct slice iid, struct stream_id id, uint64_t added_ms)
{
    struct known *known = malloc(sizeof(*known) + iid.size);
    int rc;

    if (!known) return -ENOMEM;
    *known = (struct known){ .link.hash = hash_of_iid(producer, iid),
                             .producer = producer,
                             .id = id,
                             .added_ms = added_ms,
                             .iid_size = (uint32_t)iid.size };
    if (iid.size > 0) memcpy(known->iid, iid.bytes, iid.size);
    rc = hash_table_add(&producers->known, &known->link);
    if (rc < 0) {
        free(known);
        return rc;
    }
    list_push_back(&producers->all, &known->in_all);
    list_push_back(&producer->iids, &known->in_producer);
    producer->count++;
    producers->item_bytes += alloc_size(sizeof(*known) + iid.size);
    return 0;
}

static void forget(struct stream_producers *producers, struct known *known)
{
    hash_table_remove(&producers->known, &known->link);
    list_remove(&known->in_all);
    list_remove(&known->in_producer);
    known->producer->count--;
    producers->item_bytes -= alloc_size(sizeof(*known) + known->iid_size);
    free(known);
}

static void forget_wholly(struct stream_producers *producers, struct known *known)
{
    struct producer *producer = known->producer;

    forget(producers, known);
    if (producer->count == 0) free_producer(producers, producer);
}

static void forget_all(struct stream_producers *producers)
{
    list_for_each(link, &producers->all)
        forget_wholly(producers, list_container(link, struct known, in_all));
    assert(producers->producers.count == 0);
    hash_table_finish(&producers->producers);
    hash_table_finish(&producers->known);
}

void stream_producers_destroy(struct stream_producers *producers)
{
    if (!producers) return;
    forget_all(producers);
    assert(producers->item_bytes == 0);
    free(producers);
}

void stream_producers_configure(struct stream_producers *producers, uint32_t duration_s,
                                uint32_t size_max)
{
    assert(duration_s >= 1 && duration_s <= STREAM_IDMP_DURATION_S_MAX);
    assert(size_max >= 1 && size_max <= STREAM_IDMP_SIZE_MAX);
    forget_all(producers);
    producers->duration_s = duration_s;
    producers->size_max = size_max;
}

/* ---- adding and looking ---- */

static bool is_too_old(const struct stream_producers *producers, const struct known *known,
                       uint64_t now_ms)
{
    return now_ms > known->added_ms &&
           now_ms - known->added_ms >= (uint64_t)producers->duration_s * 1000;
}

int stream_producers_find(struct stream_producers *producers, struct slice producer,
                          struct slice iid, uint64_t now_ms, struct stream_id *out_id)
{
    const struct producer *found = find_producer(producers, producer);
    const struct known *known = found ? find_known(producers, found, iid) : NULL;

    if (!known || is_too_old(producers, known, now_ms)) return 0;
    producers->duplicate_count++;
    *out_id = known->id;
    return 1;
}

bool stream_producers_expire(struct stream_producers *producers, uint64_t now_ms,
                             uint64_t entry_max)
{
    list_for_each(link, &producers->all)
    {
        struct known *known = list_container(link, struct known, in_all);

        if (!is_too_old(producers, known, now_ms)) return false;
        if (entry_max-- == 0) return true;
        forget_wholly(producers, known);
    }
    return false;
}

int stream_producers_add(struct stream_producers *producers, struct slice producer,
                         struct slice iid, struct stream_id id, uint64_t now_ms)
{
    struct producer *by = find_producer(producers, producer);
    struct known *old = by ? find_known(producers, by, iid) : NULL;
    int rc = by ? 0 : create_producer(producers, producer, &by);

    assert(!old || is_too_old(producers, old, now_ms));
    if (rc == 0) rc = create_known(producers, by, iid, id, now_ms);
    if (rc < 0) {
        if (by && by->count == 0) free_producer(producers, by);
        return rc;
    }
    producers->added_count++;
    if (old) forget(producers, old);
    if (by->count > producers->size_max)
        forget(producers, list_container(by->iids.next, struct known, in_producer));
    (void)stream_producers_expire(producers, now_ms, EXPIRED_PER_ADD);
    return 0;
}

void stream_producers_get_info(const struct stream_producers *producers,
                               struct stream_producers_info *out_info)
{
    *out_info = (struct stream_producers_info){
        .duration_s = producers->duration_s,
        .size_max = producers->size_max,
        .producer_count = producers->producers.count,
        .iid_count = producers->known.count,
        .iids_added = producers->added_count,
        .duplicate_count = producers->duplicate_count,
        .memory_bytes = alloc_size(sizeof(*producers)) + producers->item_bytes +
                        hash_table_memory_bytes(&producers->producers) +
                        hash_table_memory_bytes(&producers->known),
    };
}

/* ---- images ----
 *
 *   head    | u32 version | u32 duration s | u32 size max | u32 zero |
 *           | u64 added ever | u64 duplicates ever | u64 known |
 *   known   | u64 ms | u64 seq | u64 added ms | u32 producer bytes | u32 iid bytes | both |
 *           in the order in which they were added; little-endian */

enum { IMAGE_VERSION = 1, IMAGE_HEAD_BYTES = 40, IMAGE_KNOWN_BYTES = 32 };

uint64_t stream_producers_image_size(const struct stream_producers *producers)
{
    uint64_t size = IMAGE_HEAD_BYTES;

    list_for_each(link, (struct list_link *)(uintptr_t)&producers->all)
    {
        const struct known *known = list_container(link, struct known, in_all);
        size += IMAGE_KNOWN_BYTES + (uint64_t)known->producer->name_size + known->iid_size;
    }
    return size;
}

void stream_producers_image_write(const struct stream_producers *producers,
                                  void (*put)(void *context, struct slice piece), void *context)
{
    uint8_t bytes[IMAGE_HEAD_BYTES] = { 0 };

    store_u32le(bytes, IMAGE_VERSION);
    store_u32le(bytes + 4, producers->duration_s);
    store_u32le(bytes + 8, producers->size_max);
    store_u64le(bytes + 16, producers->added_count);
    store_u64le(bytes + 24, producers->duplicate_count);
    store_u64le(bytes + 32, producers->known.count);
    put(context, slice_of(bytes, IMAGE_HEAD_BYTES));
    list_for_each(link, (struct list_link *)(uintptr_t)&producers->all)
    {
        const struct known *known = list_container(link, struct known, in_all);

        store_u64le(bytes, known->id.ms);
        store_u64le(bytes + 8, known->id.seq);
        store_u64le(bytes + 16, known->added_ms);
        store_u32le(bytes + 24, known->producer->name_size);
        store_u32le(bytes + 28, known->iid_size);
        put(context, slice_of(bytes, IMAGE_KNOWN_BYTES));
        put(context, slice_of(known->producer->name, known->producer->name_size));
        put(context, slice_of(known->iid, known->iid_size));
    }
}

static bool take(struct slice *image, size_t size, struct slice *out_piece)
{
    if (image->size < size) return false;
    *out_piece = slice_of(image->bytes, size);
    *image = slice_of(image->bytes + size, image->size - size);
    return true;
}

static int load_known(struct stream_producers *producers, struct slice *image)
{
    struct slice head, name, iid;
    struct producer *producer;
    int rc = 0;

    if (!take(image, IMAGE_KNOWN_BYTES, &head) ||
        !take(image, load_u32le(head.bytes + 24), &name) ||
        !take(image, load_u32le(head.bytes + 28), &iid))
        return -EBADMSG;
    producer = find_producer(producers, name);
    if (producer &&
        (producer->count == producers->size_max || find_known(producers, producer, iid)))
        return -EBADMSG;
    if (!producer) rc = create_producer(producers, name, &producer);
    if (rc < 0) return rc;
    rc = create_known(producers, producer, iid,
                      (struct stream_id){ load_u64le(head.bytes), load_u64le(head.bytes + 8) },
                      load_u64le(head.bytes + 16));
    if (rc < 0 && producer->count == 0) free_producer(producers, producer);
    return rc;
}

static int load_head(struct stream_producers *producers, struct slice *image, uint64_t *out_count)
{
    struct slice head;

    if (!take(image, IMAGE_HEAD_BYTES, &head)) return -EBADMSG;
    producers->duration_s = load_u32le(head.bytes + 4);
    producers->size_max = load_u32le(head.bytes + 8);
    producers->added_count = load_u64le(head.bytes + 16);
    producers->duplicate_count = load_u64le(head.bytes + 24);
    *out_count = load_u64le(head.bytes + 32);
    if (load_u32le(head.bytes) != IMAGE_VERSION || load_u32le(head.bytes + 12) != 0)
        return -EBADMSG;
    if (producers->duration_s - 1 >= STREAM_IDMP_DURATION_S_MAX ||
        producers->size_max - 1 >= STREAM_IDMP_SIZE_MAX)
        return -EBADMSG;
    return 0;
}

int stream_producers_image_load(struct slice image, struct stream_producers **out_producers)
{
    struct stream_producers *producers;
    uint64_t count;
    int rc = stream_producers_create(&producers);

    if (rc < 0) return rc;
    rc = load_head(producers, &image, &count);
    while (rc == 0 && count-- > 0)
        rc = load_known(producers, &image);
    if (rc == 0 && image.size > 0) rc = -EBADMSG;
    if (rc < 0)
        stream_producers_destroy(producers);
    else
        *out_producers = producers;
    return rc;
}
