/* group.h - consumer groups of one stream: who was given which entries and has not acknowledged
 * them.
 *
 * A group hands each entry to one of its consumers and remembers it as **pending** until it is
 * acknowledged: its id, whose it is, when it was last delivered and how often. What is pending is
 * ordered by id, in the group and for each consumer, and each part of that order knows the oldest
 * delivery in it: so the next one by id that has been idle for so long, or the one that has been
 * idle longest, is found in O(log n) whatever lies between. About 62 bytes a pending entry in all.
 *
 * Groups know nothing of entries: ids are theirs to keep, whether there is such an entry or not.
 * Times are milliseconds since 1970 and are handed in.
 *
 * Functions that return int give 0, or what they say, or -ENOMEM, and nothing has changed then.
 * Names and pointers are good until what they belong to is removed. Nothing here logs or waits. One
 * thread. */
#ifndef MODULES_STREAM_GROUP_H
#define MODULES_STREAM_GROUP_H
#include "modules/base/slice.h"
#include "modules/stream/stream_id.h"

struct stream_consumer;
struct stream_group;
struct stream_group_store;
struct stream_group_view;
struct stream_groups;
struct stream_groups_loader;
struct stream_groups_picture;
struct stream_oldest;

/* ---- what the groups of all streams share ---- */

int stream_group_store_create(struct stream_group_store **out_store);
/* No groups and no pictures are left. Frees what is still buried. Accepts NULL. */
void stream_group_store_destroy(struct stream_group_store *store);
/* Groups that were removed, and views that were dropped, are freed here, a slice of at most
 * node_max pieces (consumers, or 2 KiB of what was pending) a call. True: there is more. */
bool stream_group_store_tick(struct stream_group_store *store, unsigned node_max);
/* What is held for pictures and views, and what is buried: all that no stream_groups_memory_bytes()
 * has. */
uint64_t stream_group_store_memory_bytes(const struct stream_group_store *store);

/* ---- the groups of a stream ---- */

/* Takes no more than a struct until there is a group. store must outlive it. */
int stream_groups_create(struct stream_group_store *store, struct stream_groups **out_groups);
/* O(1): all of it is buried. Accepts NULL. */
void stream_groups_destroy(struct stream_groups *groups);
/* All that these groups take of the heap. O(1). */
uint64_t stream_groups_memory_bytes(const struct stream_groups *groups);
/* In order of their names, as bytes; index < count. */
uint32_t stream_groups_count(const struct stream_groups *groups);
struct stream_group *stream_groups_at(const struct stream_groups *groups, uint32_t index);
/* NULL: there is none of that name. */
struct stream_group *stream_groups_find(const struct stream_groups *groups, struct slice name);
/* There is none of that name. name is copied. */
int stream_groups_add(struct stream_groups *groups, struct slice name, struct stream_id last_id,
                      struct stream_group **out_group);
/* It is buried. */
void stream_groups_remove(struct stream_groups *groups, struct stream_group *group);
/* Some group has yet to deliver that entry, or has it pending: its id is above the last delivered
 * one, or among what is pending. O(groups * log n). */
bool stream_groups_refer_to(const struct stream_groups *groups, struct stream_id id);
/* Is pending nowhere any more. The number of groups in which it was. */
int stream_groups_forget(struct stream_groups *groups, struct stream_id id);
/* stream_groups_forget of that id will not fail, if it is the next thing that happens to groups. */
int stream_groups_prepare_forgetting(struct stream_groups *groups, struct stream_id id);
/* Asserts what must hold of all groups; for tests. O(n log n). */
void stream_groups_check(const struct stream_groups *groups);

/* ---- a group ---- */

#define STREAM_ENTRIES_READ_UNKNOWN INT64_MIN

struct slice stream_group_name(const struct stream_group *group);
/* The last one that was delivered. */
struct stream_id stream_group_last_id(const struct stream_group *group);
void stream_group_set_last_id(struct stream_group *group, struct stream_id id);
/* How many entries there had been up to that one, or STREAM_ENTRIES_READ_UNKNOWN. A new group does
 * not know. */
int64_t stream_group_entries_read(const struct stream_group *group);
void stream_group_set_entries_read(struct stream_group *group, int64_t entries_read);

/* For who works on several groups and may meet one twice; not kept in pictures. */
bool stream_group_is_marked(const struct stream_group *group);
void stream_group_mark(struct stream_group *group, bool is_marked);

/* ---- consumers ---- */

/* In order of their names, as bytes; index < count. */
uint32_t stream_group_consumer_count(const struct stream_group *group);
struct stream_consumer *stream_group_consumer_at(const struct stream_group *group, uint32_t index);
/* NULL: there is none of that name. */
struct stream_consumer *stream_group_find_consumer(const struct stream_group *group,
                                                   struct slice name);
/* There is none of that name, which is copied. It was seen at seen_ms and never active. */
int stream_group_add_consumer(struct stream_group *group, struct slice name, uint64_t seen_ms,
                              struct stream_consumer **out_consumer);
/* It has nothing pending (any more). */
void stream_group_remove_consumer(struct stream_group *group, struct stream_consumer *consumer);
/* Drops what consumer has pending, by id, at most entry_max of it: how many. -ENOMEM: none. A large
 * consumer is removed in many such steps. */
int64_t stream_consumer_drop(struct stream_group *group, struct stream_consumer *consumer,
                             uint64_t entry_max);

#define STREAM_NEVER_ACTIVE UINT64_MAX

struct slice stream_consumer_name(const struct stream_consumer *consumer);
uint64_t stream_consumer_pending_count(const struct stream_consumer *consumer);
/* Whenever it asked for something. */
uint64_t stream_consumer_seen_ms(const struct stream_consumer *consumer);
void stream_consumer_set_seen(struct stream_consumer *consumer, uint64_t seen_ms);
/* When it last got something, or STREAM_NEVER_ACTIVE. */
uint64_t stream_consumer_active_ms(const struct stream_consumer *consumer);
void stream_consumer_set_active(struct stream_consumer *consumer, uint64_t active_ms);

/* ---- what is pending ---- */

struct stream_pending {
    struct stream_id id;
    struct stream_consumer *consumer; /* of this group; NULL: given back, and nobody's */
    uint64_t delivered_ms;
    uint64_t delivery_count;
};

uint64_t stream_group_pending_count(const struct stream_group *group);
/* Of what was given back and is nobody's. */
uint64_t stream_group_released_count(const struct stream_group *group);
/* 1: that one is pending. 0: it is not. out_pending may be NULL. */
int stream_group_find_pending(const struct stream_group *group, struct stream_id id,
                              struct stream_pending *out_pending);
/* Makes it pending, or changes it when it is: another consumer's, delivered at another time. */
int stream_group_set_pending(struct stream_group *group, const struct stream_pending *pending);
/* 1: it was pending, and is acknowledged. 0: it was not. */
int stream_group_acknowledge(struct stream_group *group, struct stream_id id);

#define STREAM_ANY_TIME_MS (UINT64_MAX >> 1) /* times are less */

/* The first by id, from on, that was delivered at delivered_max_ms or before; of consumer's, or of
 * anybody's and nobody's if that is NULL. 1, or 0: there is none. */
int stream_group_next_pending(const struct stream_group *group,
                              const struct stream_consumer *consumer, struct stream_id from,
                              uint64_t delivered_max_ms, struct stream_pending *out_pending);
/* Of all in the group, the one that was delivered longest ago; of several, the one with the least
 * id. 1, or 0: nothing is pending. */
int stream_group_oldest_pending(const struct stream_group *group,
                                struct stream_pending *out_pending);
/* The same of all that were delivered at delivered_max_ms or before, some at a time. The group is
 * not changed until the end. -ENOMEM. */
int stream_oldest_begin(const struct stream_group *group, uint64_t delivered_max_ms,
                        struct stream_oldest **out_oldest);
/* The next ones: how many; 0: that was all. -ENOMEM: only end may follow. */
int stream_oldest_next(struct stream_oldest *oldest, struct stream_pending *pending,
                       unsigned pending_max);
/* Accepts NULL. */
void stream_oldest_end(struct stream_oldest *oldest);
/* The one with the greatest id. 1, or 0. */
int stream_group_last_pending(const struct stream_group *group, struct stream_pending *out_pending);

/* ---- pictures: all groups of a stream at one moment, in bytes ---- */

/* Takes O(groups) and a pointer for each consumer, of which none is looked at. Shares what is
 * pending, which is copied in pieces of 2 KiB when it is changed meanwhile, and keeps the consumers
 * that are removed meanwhile. When consumers were seen and active is told as it is when that is
 * read: it may be later than the picture. The picture outlives the groups. */
int stream_groups_picture_take(const struct stream_groups *groups,
                               struct stream_groups_picture **out_picture);
/* In all; never 0. */
uint64_t stream_groups_picture_size(const struct stream_groups_picture *picture);
/* Writes what comes next, as much as finds room: how many bytes; 0: that was all. */
size_t stream_groups_picture_read(struct stream_groups_picture *picture, uint8_t *bytes,
                                  size_t capacity);
/* What it shared goes in slices. Accepts NULL. */
void stream_groups_picture_drop(struct stream_groups_picture *picture);

/* ---- views: one group at one moment, for who looks at it while it changes ---- */

/* With room for so many consumers. Takes a pointer for each that the group has, and shares what is
 * pending, as a picture does. -ENOMEM. */
int stream_group_view_create(struct stream_group *group, uint32_t consumer_capacity,
                             struct stream_group_view **out_view);
/* The group has not changed since the view was made, and there is room. What consumer has pending
 * can be looked at from here on, by the one that is returned: the view's next consumer in order. */
const struct stream_consumer *stream_group_view_add(struct stream_group_view *view,
                                                    const struct stream_consumer *consumer);
/* The group as it was, to be looked at; its consumers by index are those that were added, others
 * have but a name. Good until the view is dropped. */
const struct stream_group *stream_group_view_group(const struct stream_group_view *view);
/* O(1): it goes in slices, by the store's ticks and as others are made. Accepts NULL. */
void stream_group_view_drop(struct stream_group_view *view);

/* ---- pictures read back ---- */

/* Makes groups from a picture's bytes, which come in pieces that may be cut anywhere. */
int stream_groups_loader_create(struct stream_group_store *store,
                                struct stream_groups_loader **out_loader);
/* -EBADMSG: these are no picture's bytes. After an error only destroy may follow. */
int stream_groups_loader_add(struct stream_groups_loader *loader, struct slice piece);
/* That was all of it. -EBADMSG: something is missing. */
int stream_groups_loader_finish(struct stream_groups_loader *loader,
                                struct stream_groups **out_groups);
/* Accepts NULL. */
void stream_groups_loader_destroy(struct stream_groups_loader *loader);
#endif
