/* producers.h - what producers have added of late, by names that they gave it (XADD … IDMP): so
 * that what is sent twice is added once.
 *
 * A producer calls each of its entries by an **iid** of its own; for a while the id that such an
 * entry got is known. The oldest of a producer's are forgotten when it has more than size_max, and
 * each of them duration_s after it was added (by the clock: times in ids may be ahead of it).
 *
 * Functions that return int give 0, or what they say, or -ENOMEM, and nothing has changed then.
 * Nothing here logs or waits. One thread. */
#ifndef MODULES_STREAM_PRODUCERS_H
#define MODULES_STREAM_PRODUCERS_H
#include "modules/base/slice.h"
#include "modules/stream/stream_id.h"

struct stream_producer_store;
struct stream_producers;
struct stream_producers_loader;
struct stream_producers_picture;

/* ---- what the producers of all streams share ---- */

int stream_producer_store_create(struct stream_producer_store **out_store);
/* No producers and no pictures are left. Frees what is still buried. Accepts NULL. */
void stream_producer_store_destroy(struct stream_producer_store *store);
/* What was buried is freed here, a slice of at most so many iids a call. True: there is more. */
bool stream_producer_store_tick(struct stream_producer_store *store, unsigned iid_max);
/* What is held for pictures and what is buried: all that no producers' memory_bytes has. */
uint64_t stream_producer_store_memory_bytes(const struct stream_producer_store *store);

/* ---- the producers of a stream ---- */

#define STREAM_IDMP_DURATION_S_DEFAULT 100u
#define STREAM_IDMP_DURATION_S_MAX     86400u
#define STREAM_IDMP_SIZE_DEFAULT       100u
#define STREAM_IDMP_SIZE_MAX           10000u

/* With the default bounds. store must outlive it. */
int stream_producers_create(struct stream_producer_store *store,
                            struct stream_producers **out_producers);
/* O(1): what is known is buried. Accepts NULL. */
void stream_producers_destroy(struct stream_producers *producers);
/* duration_s is 1 … STREAM_IDMP_DURATION_S_MAX, size_max 1 … STREAM_IDMP_SIZE_MAX. All that was
 * known is forgotten, as by destroy. -ENOMEM. */
int stream_producers_configure(struct stream_producers *producers, uint32_t duration_s,
                               uint32_t size_max);

/* 1: that was added less than duration ago, and got *out_id; counts as a duplicate. 0: not known.
 */
int stream_producers_find(struct stream_producers *producers, struct slice producer,
                          struct slice iid, uint64_t now_ms, struct stream_id *out_id);
/* The entry id is added as producer's iid, which is not known. Both are copied. A few that are
 * too old, and the producer's oldest when it has too many, are forgotten. */
int stream_producers_add(struct stream_producers *producers, struct slice producer,
                         struct slice iid, struct stream_id id, uint64_t now_ms);
/* Forgets at most entry_max of what is too old. True: there is more. */
bool stream_producers_expire(struct stream_producers *producers, uint64_t now_ms,
                             uint64_t entry_max);

struct stream_producers_info {
    uint32_t duration_s, size_max;
    uint64_t producer_count, iid_count;
    uint64_t iids_added, duplicate_count; /* ever */
    uint64_t memory_bytes;                /* all that this takes of the heap */
};
void stream_producers_get_info(const struct stream_producers *producers,
                               struct stream_producers_info *out_info);

/* ---- pictures: all of it at one moment, in bytes ---- */

/* O(1): what is forgotten meanwhile is kept for it. The picture outlives the producers. */
int stream_producers_picture_take(struct stream_producers *producers,
                                  struct stream_producers_picture **out_picture);
/* In all; never 0. */
uint64_t stream_producers_picture_size(const struct stream_producers_picture *picture);
/* Writes what comes next, as much as finds room: how many bytes; 0: that was all. */
size_t stream_producers_picture_read(struct stream_producers_picture *picture, uint8_t *bytes,
                                     size_t capacity);
/* What was kept for it goes in slices. Accepts NULL. */
void stream_producers_picture_drop(struct stream_producers_picture *picture);

/* Makes producers from a picture's bytes, which come in pieces that may be cut anywhere. */
int stream_producers_loader_create(struct stream_producer_store *store,
                                   struct stream_producers_loader **out_loader);
/* -EBADMSG: these are no picture's bytes. After an error only destroy may follow. */
int stream_producers_loader_add(struct stream_producers_loader *loader, struct slice piece);
/* That was all of it. -EBADMSG: something is missing. */
int stream_producers_loader_finish(struct stream_producers_loader *loader,
                                   struct stream_producers **out_producers);
/* Accepts NULL. */
void stream_producers_loader_destroy(struct stream_producers_loader *loader);
#endif
