/* producers_internal.h - what the files of producers.h share.
 *
 *   producers.c          what is known: adding, finding, forgetting
 *   producers_store.c    what is buried, and freed in slices
 *   producers_picture.c  as bytes
 *   producers_loader.c   and back
 *
 * What is known lies in a **set**, one behind the other in the order in which it was added. A
 * picture is a part of that order, which must stay as long as somebody reads it:
 *
 *   all   |  1  |  2  |  3  |  4  |  5  |  6  |       those before its end that are forgotten
 *                        ^oldest            ^end      meanwhile stay in the order, and are freed
 *           f     f           f                       when no picture is left */
#ifndef MODULES_STREAM_PRODUCERS_INTERNAL_H
#define MODULES_STREAM_PRODUCERS_INTERNAL_H
#include "modules/base/list.h"
#include "modules/stream/hash_table.h"
#include "modules/stream/producers.h"

struct producer_set;

struct stream_producer_store {
    struct list_link due; /* sets of which something is to be freed */
    uint64_t held_bytes;  /* of what is buried, or kept for pictures */
    uint64_t picture_bytes;
};

struct producer {
    struct hash_link link; /* by name, while it has any that is known */
    struct list_link iids; /* that are known, oldest first */
    uint32_t count;        /* of these */
    uint32_t ref_count;    /* of these and those that are kept */
    uint32_t name_size;
    uint8_t name[];
};

struct known {
    struct hash_link link; /* by producer and iid */
    struct list_link in_all;
    struct list_link in_producer; /* once it is forgotten: in the set's forgotten */
    struct producer *producer;
    struct stream_id id;
    uint64_t added_ms;
    uint64_t number;       /* in the order of all */
    uint64_t forgotten_by; /* how many pictures had been taken; 0: it is known */
    uint32_t iid_size;
    uint8_t iid[];
};

struct producer_set {
    struct stream_producer_store *store;
    uint64_t seed;
    struct hash_table producers, known;
    struct list_link all;       /* oldest first, with those that are kept for pictures */
    struct list_link *oldest;   /* of all, the first that is known; all itself: none is */
    struct list_link forgotten; /* that are kept */
    uint64_t last_number;
    uint64_t item_bytes;  /* on the heap, of producers and what is known */
    uint64_t image_bytes; /* of what is known, in a picture */
    unsigned picture_count;
    uint64_t taken_count;   /* pictures, ever */
    uint64_t pictured_last; /* what was added behind that is in no picture */
    bool is_buried;         /* nobody knows it but pictures */
    struct list_link due;   /* in the store's */
};

struct stream_producers {
    uint32_t duration_s, size_max;
    uint64_t added_count, duplicate_count;
    struct producer_set *set;
};

/* The head of a picture, and what stands before each name and iid; little-endian:
 *
 *   head    | u32 version | u32 duration s | u32 size max | u32 zero |
 *           | u64 added ever | u64 duplicates ever | u64 known |
 *   known   | u64 ms | u64 seq | u64 added ms | u32 producer bytes | u32 iid bytes | both |
 *           in the order in which they were added */
enum {
    PRODUCERS_PICTURE_VERSION = 1,
    PRODUCERS_PICTURE_HEAD_BYTES = 40,
    PRODUCERS_PICTURE_KNOWN_BYTES = 32
};

static inline uint64_t producers_picture_bytes(const struct known *known)
{
    return PRODUCERS_PICTURE_KNOWN_BYTES + (uint64_t)known->producer->name_size + known->iid_size;
}

/* ---- producers.c ---- */

/* NULL: it has nothing that is known. */
struct producer *producers_find(const struct producer_set *set, struct slice name);
struct known *producers_find_known(const struct producer_set *set, const struct producer *producer,
                                   struct slice iid);
/* Adds it behind all; the producer is made if there is none. -ENOMEM. */
int producers_put(struct producer_set *set, struct slice name, struct slice iid,
                  struct stream_id id, uint64_t added_ms);
/* On the heap. */
uint64_t producers_known_bytes(const struct known *known);
uint64_t producers_producer_bytes(const struct producer *producer);

/* ---- producers_store.c ---- */

int producers_set_create(struct stream_producer_store *store, struct producer_set **out_set);
/* Nobody has it any more, but pictures. */
void producers_set_bury(struct producer_set *set);
/* All on the heap that is the set's own, without what is kept. */
uint64_t producers_set_bytes(const struct producer_set *set);
/* Something of it may be freed now. */
void producers_set_is_due(struct producer_set *set);
#endif
