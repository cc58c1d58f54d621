#include "modules/spill/reclaim.h"

#include <assert.h>

#include "modules/spill/fetch.h"
#include "modules/spill/store_internal.h"

/* In the ring of the dead, those in memory come first. */
enum {
    RECLAIM_SOME_NODES = 8,
    RECLAIM_LOADED_BLOCKS = 256, /* about 0.6 ms, where they are full chunks */
    RECLAIM_TURNS = 16,          /* after so many turns twice that, and so on */
};

/* The descriptor of a node that cannot be read any more: what lies below stays taken in the file
 * for the rest of its life. */
static void give_up(struct spill_store *store, struct block *node)
{
    store->chunk_count -= node->chunk_count;
    node_discard_shell(store, node);
}

/* Starts reading a dropped node; when that has ended it is back in the ring of the dead, loaded. */
static bool start_reading(struct spill_store *store, struct block *node)
{
    bool has_started;

    block_unlink(store, node);
    node->is_garbage = 1; /* a node on disk has all that is below to itself */
    has_started = fetch_start(store, &node, 1, FETCH_UPKEEP, NULL) == 1;
    if (!has_started) { /* no memory now: later */
        node->is_discarded = 1;
        store->dead_count++;
        list_push_back(&store->dead, &node->link);
    } else {
        list_push_back(&store->reclaiming, &node->link);
    }
    return has_started;
}

/* False: nothing can be done for now. */
static bool reclaim_node(struct spill_store *store, struct block *node)
{
    assert(node->ref_count == 0 && node->height > 0);
    if (!block_is_loaded(node)) {
        if (store->is_closing || node->read_error != 0) {
            give_up(store, node);
            return true;
        }
        if (store->reads_in_flight >= RECLAIM_READS_MAX) return false;
        return start_reading(store, node);
    }
    bool before = store->acts_before;

    block_unlink(store, node);
    /* What was nobody's before the checkpoint began is none of its picture's. */
    store->acts_before = store->is_picturing && node->is_garbage && node->epoch < store->epoch;
    while (node->end > 0)
        block_unref(store, node->slots[--node->end].block);
    node_discard_shell(store, node);
    store->acts_before = before;
    return true;
}

bool reclaim_nodes(struct spill_store *store, unsigned node_count)
{
    /* They are looked through for the checkpoint's state: nothing is to go from between. */
    if (store->counts_dead) return false;
    for (; node_count > 0; node_count--) {
        struct list_link *link = list_front(&store->dead);
        if (!link) return false;
        if (!reclaim_node(store, list_container(link, struct block, link))) return false;
    }
    return !list_is_empty(&store->dead);
}

void reclaim_some(struct spill_store *store)
{
    (void)reclaim_nodes(store, RECLAIM_SOME_NODES);
}

bool reclaim_loaded(struct spill_store *store)
{
    /* Who drops lists all the time does not keep it from coming to an end. */
    unsigned bound = RECLAIM_LOADED_BLOCKS * (1 + store->reclaim_turns / RECLAIM_TURNS);
    unsigned blocks = 0;
    struct list_link *link;

    while ((link = list_front(&store->dead))) {
        struct block *node = list_container(link, struct block, link);
        if (!block_is_loaded(node)) break;
        if (blocks >= bound) {
            store->reclaim_turns++;
            return true;
        }
        blocks += 1 + node->end;
        (void)reclaim_node(store, node);
    }
    store->reclaim_turns = 0;
    return false;
}

void reclaim_all(struct spill_store *store)
{
    store->is_closing = true;
    while (reclaim_nodes(store, 1024)) {}
    assert(list_is_empty(&store->dead));
}
