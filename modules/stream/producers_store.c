/* What producers have known is freed some at a time: what was buried with them, and what was kept
 * for pictures that are not there any more. */
#include "modules/stream/producers_internal.h"

#include "modules/base/alloc_size.h"
#include "modules/base/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int stream_producer_store_create(struct stream_producer_store **out_store)
{
    struct stream_producer_store *store = calloc(1, sizeof(*store));

    if (!store) return -ENOMEM;
    list_init(&store->due);
    *out_store = store;
    return 0;
}

void stream_producer_store_destroy(struct stream_producer_store *store)
{
    if (!store) return;
    while (stream_producer_store_tick(store, UINT32_MAX)) {}
    assert(store->held_bytes == 0 && store->picture_bytes == 0);
    free(store);
}

uint64_t stream_producer_store_memory_bytes(const struct stream_producer_store *store)
{
    return store->held_bytes + store->picture_bytes;
}

/* ---- sets ---- */

int producers_set_create(struct stream_producer_store *store, struct producer_set **out_set)
{
    struct producer_set *set = malloc(sizeof(*set));
    int rc = -ENOMEM;

    if (!set) return rc;
    *set = (struct producer_set){ .store = store };
    list_init(&set->all);
    list_init(&set->forgotten);
    list_init(&set->due);
    set->oldest = &set->all;
    rc = random_entropy(&set->seed, sizeof(set->seed));
    if (rc < 0)
        free(set);
    else
        *out_set = set;
    return rc < 0 ? rc : 0;
}

uint64_t producers_set_bytes(const struct producer_set *set)
{
    return alloc_size(sizeof(*set)) + set->item_bytes + hash_table_memory_bytes(&set->producers) +
           hash_table_memory_bytes(&set->known);
}

void producers_set_is_due(struct producer_set *set)
{
    bool has_some = set->is_buried || !list_is_empty(&set->forgotten);

    if (has_some && set->picture_count == 0 && list_is_empty(&set->due))
        list_push_back(&set->store->due, &set->due);
}

void producers_set_bury(struct producer_set *set)
{
    set->is_buried = true;
    set->store->held_bytes += producers_set_bytes(set);
    producers_set_is_due(set);
}

/* ---- freeing ---- */

/* All that it takes counts among what the store holds. */
static void free_known(struct producer_set *set, struct known *known)
{
    struct producer *producer = known->producer;

    list_remove(&known->in_all);
    list_remove(&known->in_producer);
    set->store->held_bytes -= producers_known_bytes(known);
    free(known);
    if (--producer->ref_count > 0) return;
    set->store->held_bytes -= producers_producer_bytes(producer);
    free(producer);
}

/* Of a buried set nothing is left but its tables. */
static void free_set(struct producer_set *set)
{
    set->item_bytes = 0;
    set->store->held_bytes -= producers_set_bytes(set);
    hash_table_finish(&set->producers);
    hash_table_finish(&set->known);
    list_remove(&set->due);
    free(set);
}

/* One step; nothing is to be freed of it any more, then it is not due. */
static void free_next(struct producer_set *set)
{
    struct list_link *link;

    if ((link = list_front(&set->forgotten)) != NULL)
        free_known(set, list_container(link, struct known, in_producer));
    else if (set->is_buried && (link = list_front(&set->all)) != NULL)
        free_known(set, list_container(link, struct known, in_all));
    else if (set->is_buried)
        free_set(set);
    else
        list_remove(&set->due);
}

bool stream_producer_store_tick(struct stream_producer_store *store, unsigned iid_max)
{
    struct list_link *link;

    while (iid_max-- > 0 && (link = list_front(&store->due)) != NULL)
        free_next(list_container(link, struct producer_set, due));
    return !list_is_empty(&store->due);
}
