/* group_internal.h - what the files of group.h share. */
#ifndef MODULES_STREAM_GROUP_INTERNAL_H
#define MODULES_STREAM_GROUP_INTERNAL_H
#include "modules/stream/group.h"
#include "modules/stream/pending_tree.h"

struct stream_group_store {
    struct pending_account account; /* nodes of all trees, shared and buried ones too */
    uint64_t tree_bytes;            /* of those that belong to groups: the rest is the store's */
    uint64_t picture_bytes;         /* of pictures, without nodes */
    /* What was removed, to be freed by the tick, and what that takes without nodes. */
    struct stream_group *graves;
    struct stream_groups *sets;
    struct stream_consumer *gone; /* consumers that were held when they were removed */
    struct stream_group_view *views;
    uint64_t buried_bytes;
};

/* Pointers in order of names. */
struct name_order {
    void **items;
    uint32_t count, capacity;
};

struct stream_groups {
    struct stream_group_store *store;
    struct name_order order;
    uint64_t tree_bytes, other_bytes; /* of all groups and consumers; the array above in other */
    struct stream_groups *next_buried;
};

/* What is pending says by number whose it is. A free number holds the next free one. */
union consumer_slot {
    struct stream_consumer *consumer;
    uintptr_t next_free; /* odd: number << 1 | 1 */
};
enum { CONSUMER_NONE = UINT32_MAX };

struct stream_group {
    struct slice name;            /* first, as in a consumer; the bytes follow the struct */
    struct stream_groups *groups; /* buried: NULL */
    struct stream_group *next_buried;
    uint64_t tree_bytes, other_bytes; /* as in groups, of this one */
    struct stream_id last_id;
    int64_t entries_read;
    bool is_marked;
    /* By pictures and views, which have pointers to it and to consumers: those that are removed
     * meanwhile, and the group itself, are freed only when nobody holds it any more. */
    uint32_t holder_count;
    struct stream_consumer *first_gone, *last_gone;
    struct pending_tree pending;
    uint64_t released_count;
    uint64_t release_number; /* of the last one that was given back */
    struct name_order order; /* of consumers */
    uint64_t name_bytes;     /* of all their names */
    union consumer_slot *slots;
    uint32_t slot_count, slot_capacity, first_free; /* CONSUMER_NONE: none */
};

struct stream_consumer {
    struct slice name;
    uint64_t seen_ms, active_ms;
    union {
        struct pending_tree pending;       /* of which only ids and since */
        struct stream_consumer *next_gone; /* it was removed */
    };
    uint32_t number;
};

/* What an item's since is. What was given back is older than all that is somebody's, and of it
 * what was given back first is the oldest; it shows as delivered at 0.
 *
 *   63        62                                 0
 *   +--------+----------------------------------+
 *   | owned  | delivered at ms | release number |
 *   +--------+----------------------------------+ */
#define SINCE_OWNED ((uint64_t)1 << 63)

static inline uint64_t since_of(uint64_t delivered_ms)
{
    return SINCE_OWNED | delivered_ms;
}

static inline struct stream_consumer *consumer_of(const struct stream_group *group, uint32_t number)
{
    return number == CONSUMER_NONE ? NULL : group->slots[number].consumer;
}

/* ---- names ---- */

/* Where name is, or belongs. */
uint32_t name_order_place(const struct name_order *order, struct slice name, bool *out_is_there);
/* Room for one more; what the array takes more is added to *bytes. -ENOMEM. */
int name_order_reserve(struct name_order *order, uint64_t *bytes);
void name_order_insert(struct name_order *order, uint32_t place, void *item);
void name_order_remove(struct name_order *order, uint32_t place);
/* A zeroed struct of so many bytes that begins with a slice: the name, which lies behind it. */
void *named_create(size_t struct_bytes, struct slice name, uint64_t *bytes);
void named_free(void *item, size_t struct_bytes, uint64_t *bytes);

/* Of a growing array. */
uint32_t grown_capacity(uint32_t capacity);

/* ---- groups ---- */

/* Trees of a group are changed between these two: what they take is counted. */
static inline uint64_t group_bytes_before(const struct stream_group *group,
                                          const struct stream_consumer *consumer)
{
    return group->pending.node_bytes + (consumer ? consumer->pending.node_bytes : 0);
}
void group_count_bytes(struct stream_group *group, const struct stream_consumer *consumer,
                       uint64_t before);
/* Its groups have it no more. O(1). */
void group_bury(struct stream_group *group);
/* Frees a consumer that the group has no more, or keeps it as long as the group is held. */
void group_bury_consumer(struct stream_group *group, struct stream_consumer *consumer);
/* It, the consumers that it has now and their names stay where they are until as many unhold. */
void group_hold(struct stream_group *group);
void group_unhold(struct stream_group_store *store, struct stream_group *group);
/* Of the views that were dropped: gives up some of what the first one shares. */
void group_view_free_next(struct stream_group_store *store);
/* item is, or (is_new) becomes, one of the group's and of owner's (or NULL: nobody's), and nobody
 * else's. */
int group_put_item(struct stream_group *group, struct stream_consumer *owner, bool is_new,
                   const struct pending_item *item);
/* What pictures share on the way to id is copied: acknowledging it needs no memory then. -ENOMEM.
 */
int group_prepare_acknowledging(struct stream_group *group, struct stream_id id);
#endif
