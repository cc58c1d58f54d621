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

struct stream_producers;

#define STREAM_IDMP_DURATION_S_DEFAULT 100u
#define STREAM_IDMP_DURATION_S_MAX     86400u
#define STREAM_IDMP_SIZE_DEFAULT       100u
#define STREAM_IDMP_SIZE_MAX           10000u

int stream_producers_create(struct stream_producers **out_producers);
/* Accepts NULL. */
void stream_producers_destroy(struct stream_producers *producers);
/* duration_s is 1 … STREAM_IDMP_DURATION_S_MAX, size_max 1 … STREAM_IDMP_SIZE_MAX. All that was
 * known is forgotten. */
void stream_producers_configure(struct stream_producers *producers, uint32_t duration_s,
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

/* All of it in bytes. Size first: it is exact until the next change. put is called for a few bytes
 * at a time. */
uint64_t stream_producers_image_size(const struct stream_producers *producers);
void stream_producers_image_write(const struct stream_producers *producers,
                                  void (*put)(void *context, struct slice piece), void *context);
/* -EBADMSG: these are no image's bytes. */
int stream_producers_image_load(struct slice image, struct stream_producers **out_producers);
#endif
