/* snapshot_internal.h - what a snapshot holds: a reference to each part of the deque.
 *
 * One thread. */
#ifndef MODULES_SPILL_SNAPSHOT_INTERNAL_H
#define MODULES_SPILL_SNAPSHOT_INTERNAL_H
#include "modules/spill/deque_internal.h"

struct spill_snapshot {
    struct spill_store *store;
    struct list_link link; /* in the store's */
    uint64_t list, element_count, element_bytes;
    uint32_t ref_count;             /* the caller's and its cursors' */
    bool is_single;                 /* its one part is the chunk that serves both ends */
    struct block *parts[PARTS_MAX]; /* head end, head side, root, tail side, tail end; NULL: none */
};
void snapshot_unref(struct spill_snapshot *snapshot);
/* A checkpoint has just begun: what only snapshots hold is none of its picture's. */
void snapshots_leave_picture(struct spill_store *store);
#endif
