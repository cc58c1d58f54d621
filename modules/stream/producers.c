/* What is known is in two queues, each in the order in which it was added: all of it, for what has
 * become too old, and each producer's, for what is too much. It is found by a hash of the producer
 * and the iid; producers are found by their names. */
#include "modules/stream/producers_internal.h"

#include "modules/base/alloc_size.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

enum { EXPIRED_PER_ADD = 8 }; /* so that they go faster than they come */

int stream_producers_create(struct stream_producer_store *store,
                            struct stream_producers **out_producers)
{
    struct stream_producers *producers = malloc(sizeof(*producers));
    int rc;

    if (!producers) return -ENOMEM;
    *producers = (struct stream_producers){ .duration_s = STREAM_IDMP_DURATION_S_DEFAULT,
                                            .size_max = STREAM_IDMP_SIZE_DEFAULT };
    rc = producers_set_create(store, &producers->set);
    if (rc < 0)
        free(producers);
    else
        *out_producers = producers;
    return rc;
}

void stream_producers_destroy(struct stream_producers *producers)
{
    if (!producers) return;
    producers_set_bury(producers->set);
    free(producers);
}

int stream_producers_configure(struct stream_producers *producers, uint32_t duration_s,
                               uint32_t size_max)
{
    struct producer_set *set;
    int rc = producers_set_create(producers->set->store, &set);

    assert(duration_s >= 1 && duration_s <= STREAM_IDMP_DURATION_S_MAX);
    assert(size_max >= 1 && size_max <= STREAM_IDMP_SIZE_MAX);
    if (rc < 0) return rc;
    producers_set_bury(producers->set);
    producers->set = set;
    producers->duration_s = duration_s;
    producers->size_max = size_max;
    return 0;
}

/* ---- producers and what is known ---- */

static uint64_t hash_of(const struct producer_set *set, struct slice name)
{
    return XXH3_64bits_withSeed(name.bytes, name.size, set->seed);
}

static uint64_t hash_of_iid(const struct producer *producer, struct slice iid)
{
    return XXH3_64bits_withSeed(iid.bytes, iid.size, producer->link.hash);
}

uint64_t producers_known_bytes(const struct known *known)
{
    return alloc_size(sizeof(*known) + known->iid_size);
}

uint64_t producers_producer_bytes(const struct producer *producer)
{
    return alloc_size(sizeof(*producer) + producer->name_size);
}

struct producer *producers_find(const struct producer_set *set, struct slice name)
{
    struct hash_link *link = hash_table_first(&set->producers, hash_of(set, name));

    for (; link; link = hash_table_next(link)) {
        struct producer *producer = (struct producer *)(void *)link;
        if (slice_equal(slice_of(producer->name, producer->name_size), name)) return producer;
    }
    return NULL;
}

struct known *producers_find_known(const struct producer_set *set, const struct producer *producer,
                                   struct slice iid)
{
    struct hash_link *link = hash_table_first(&set->known, hash_of_iid(producer, iid));

    for (; link; link = hash_table_next(link)) {
        struct known *known = (struct known *)(void *)link;
        if (known->producer == producer && slice_equal(slice_of(known->iid, known->iid_size), iid))
            return known;
    }
    return NULL;
}

static int create_producer(struct producer_set *set, struct slice name,
                           struct producer **out_producer)
{
    struct producer *producer = malloc(sizeof(*producer) + name.size);
    int rc;

    if (!producer) return -ENOMEM;
    *producer =
        (struct producer){ .link.hash = hash_of(set, name), .name_size = (uint32_t)name.size };
    if (name.size > 0) memcpy(producer->name, name.bytes, name.size);
    list_init(&producer->iids);
    rc = hash_table_add(&set->producers, &producer->link);
    if (rc < 0) {
        free(producer);
        return rc;
    }
    set->item_bytes += producers_producer_bytes(producer);
    *out_producer = producer;
    return 0;
}

/* It has nothing that is known any more; what is kept may refer to it. */
static void let_go(struct producer_set *set, struct producer *producer)
{
    uint64_t bytes = producers_producer_bytes(producer);

    assert(producer->count == 0);
    hash_table_remove(&set->producers, &producer->link);
    set->item_bytes -= bytes;
    if (producer->ref_count == 0)
        free(producer);
    else
        set->store->held_bytes += bytes;
}

static int create_known(struct producer_set *set, struct producer *producer, struct slice iid,
                        struct stream_id id, uint64_t added_ms)
{
    struct known *known = malloc(sizeof(*known) + iid.size);
    int rc;

    if (!known) return -ENOMEM;
    *known = (struct known){ .link.hash = hash_of_iid(producer, iid),
                             .producer = producer,
                             .id = id,
                             .added_ms = added_ms,
                             .number = set->last_number + 1,
                             .iid_size = (uint32_t)iid.size };
    if (iid.size > 0) memcpy(known->iid, iid.bytes, iid.size);
    rc = hash_table_add(&set->known, &known->link);
    if (rc < 0) {
        free(known);
        return rc;
    }
    set->last_number++;
    list_push_back(&set->all, &known->in_all);
    if (set->oldest == &set->all) set->oldest = &known->in_all;
    list_push_back(&producer->iids, &known->in_producer);
    producer->count++;
    producer->ref_count++;
    set->item_bytes += producers_known_bytes(known);
    set->image_bytes += producers_picture_bytes(known);
    return 0;
}

int producers_put(struct producer_set *set, struct slice name, struct slice iid,
                  struct stream_id id, uint64_t added_ms)
{
    struct producer *producer = producers_find(set, name);
    int rc = producer ? 0 : create_producer(set, name, &producer);

    if (rc < 0) return rc;
    rc = create_known(set, producer, iid, id, added_ms);
    if (rc < 0 && producer->count == 0) let_go(set, producer);
    return rc;
}

/* The next one that is known. */
static void move_oldest(struct producer_set *set)
{
    do {
        set->oldest = set->oldest->next;
    } while (set->oldest != &set->all &&
             list_container(set->oldest, struct known, in_all)->forgotten_by > 0);
}

static void keep_for_pictures(struct producer_set *set, struct known *known)
{
    known->forgotten_by = set->taken_count;
    list_push_back(&set->forgotten, &known->in_producer);
    set->store->held_bytes += producers_known_bytes(known);
}

/* Of the producer only what is known of it. */
static void forget(struct producer_set *set, struct known *known)
{
    hash_table_remove(&set->known, &known->link);
    list_remove(&known->in_producer);
    if (set->oldest == &known->in_all) move_oldest(set);
    known->producer->count--;
    set->item_bytes -= producers_known_bytes(known);
    set->image_bytes -= producers_picture_bytes(known);
    if (set->picture_count > 0 && known->number <= set->pictured_last) {
        keep_for_pictures(set, known);
        return;
    }
    known->producer->ref_count--;
    list_remove(&known->in_all);
    free(known);
}

static void forget_wholly(struct producer_set *set, struct known *known)
{
    struct producer *producer = known->producer;

    forget(set, known);
    if (producer->count == 0) let_go(set, producer);
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
    const struct producer *found = producers_find(producers->set, producer);
    const struct known *known = found ? producers_find_known(producers->set, found, iid) : NULL;

    if (!known || is_too_old(producers, known, now_ms)) return 0;
    producers->duplicate_count++;
    *out_id = known->id;
    return 1;
}

bool stream_producers_expire(struct stream_producers *producers, uint64_t now_ms,
                             uint64_t entry_max)
{
    struct producer_set *set = producers->set;

    while (set->oldest != &set->all) {
        struct known *known = list_container(set->oldest, struct known, in_all);

        if (!is_too_old(producers, known, now_ms)) return false;
        if (entry_max-- == 0) return true;
        forget_wholly(set, known);
    }
    return false;
}

int stream_producers_add(struct stream_producers *producers, struct slice producer,
                         struct slice iid, struct stream_id id, uint64_t now_ms)
{
    struct producer_set *set = producers->set;
    struct producer *by = producers_find(set, producer);
    struct known *old = by ? producers_find_known(set, by, iid) : NULL;
    int rc = producers_put(set, producer, iid, id, now_ms);

    assert(!old || is_too_old(producers, old, now_ms));
    if (rc < 0) return rc;
    producers->added_count++;
    if (old) forget(set, old);
    if (by && by->count > producers->size_max)
        forget(set, list_container(by->iids.next, struct known, in_producer));
    (void)stream_producers_expire(producers, now_ms, EXPIRED_PER_ADD);
    return 0;
}

void stream_producers_get_info(const struct stream_producers *producers,
                               struct stream_producers_info *out_info)
{
    *out_info = (struct stream_producers_info){
        .duration_s = producers->duration_s,
        .size_max = producers->size_max,
        .producer_count = producers->set->producers.count,
        .iid_count = producers->set->known.count,
        .iids_added = producers->added_count,
        .duplicate_count = producers->duplicate_count,
        .memory_bytes = alloc_size(sizeof(*producers)) + producers_set_bytes(producers->set),
    };
}
