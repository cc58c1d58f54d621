/* check.h - the lists of a checkpoint looked through, extent by extent, with what is wrong and
 * where: for programs that look at a store's file while nobody works with it.
 *
 * The store was opened from the checkpoint's state (persist.h), best through a table of system
 * calls that changes nothing, and nothing else is done with it. Each extent that a root leads to is
 * read and compared with what leads to it (checksum, list, generation, counts); a node's children
 * must add up to what is said of the node, and a chunk's elements be as many and as long as is said
 * of the chunk; it must lie where the state has something in use, and no two in one place. Behind
 * damage it goes on: the counts say which elements are out of reach by it.
 *
 * One thread, the store's owner. Waits for the disk. Memory: the longest extent, and a bit for each
 * 4 KiB of the file (extent_map.h). */
#ifndef MODULES_SPILL_CHECK_H
#define MODULES_SPILL_CHECK_H
#include "modules/base/slice.h"

struct os;
struct spill_check;
struct spill_store;

struct spill_check_damage {
    uint64_t offset_bytes;                 /* of the extent, in the spill file */
    uint64_t first_element, element_count; /* of the list: those that cannot be had */
    const char *why;
};
typedef void (*spill_check_tell)(void *context, const struct spill_check_damage *damage);

/* What was found of a list. */
struct spill_check_counts {
    uint64_t extent_count;
    uint64_t element_count, element_bytes; /* as its root says */
    uint64_t lost_count;                   /* elements that cannot be had */
    uint64_t damage_count;                 /* how often tell was called */
};

/* The store outlives it. -ENOMEM, or what opening the spill file for reading gives. */
int spill_check_create(struct os *os, struct spill_store *store, spill_check_tell tell,
                       void *context, struct spill_check **out_check);
void spill_check_destroy(struct spill_check *check); /* accepts NULL */

/* A list, by its root. 0: *out_counts says what was found, and tell was called for what is damaged.
 * Errors of spill_deque_load: the root itself is damaged. -ENOMEM: it was not looked through. */
int spill_check_list(struct spill_check *check, struct slice root,
                     struct spill_check_counts *out_counts);
/* The trees of dropped lists that the checkpoint still holds. 0 or -ENOMEM. */
int spill_check_dropped(struct spill_check *check, struct spill_check_counts *out_counts);
/* After all lists and what was dropped: bytes, in whole blocks, that the checkpoint keeps although
 * nothing led there. Room that is lost, but no data. 0 or -ENOMEM. */
int spill_check_unreached(struct spill_check *check, uint64_t *out_bytes);
#endif
