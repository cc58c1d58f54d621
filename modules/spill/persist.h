/* persist.h - lists that outlive the process: checkpoints of a store and what is opened from them.
 *
 * A checkpoint is a picture of all lists at one moment P. The spill file is its body: chunks and
 * nodes that have not changed since they were written are part of it where they lie, the rest is
 * written beside them. What the caller keeps, in a file of its own, is small: a root for each list
 * and the store's state. Extents that the last complete checkpoint or the running one refers to
 * are not written again when they are freed, they are deferred until a later one is complete.
 *
 *   spill_checkpoint_begin     now is P
 *   spill_checkpoint_save      each list that was there at P: in any order, but before its first
 *                              change since P. Gives the root, at once or later
 *   spill_checkpoint_sync      when all roots have come: the file to the device
 *   spill_checkpoint_state     what the file holds at P, in pieces
 *   (the caller makes its file of roots and state durable, under a name that recovery finds)
 *   spill_checkpoint_complete  room that only the older checkpoint referred to is free
 *
 * At any step before the last, spill_checkpoint_abort. Afterwards spill_store_open with that state
 * and spill_deque_load with the roots give the lists as they were at P. It reads nothing of them.
 *
 * A store that never begins a checkpoint is as store.h says, and pays nothing.
 *
 * One thread (the owner of io). Functions return 0 or a negative errno, and after an error nothing
 * has changed. Nothing here waits for a disk but opening and closing. Nothing here logs. */
#ifndef MODULES_SPILL_PERSIST_H
#define MODULES_SPILL_PERSIST_H
#include "modules/spill/deque.h"
#include "modules/spill/store.h"

enum {
    SPILL_ROOT_BYTES_MAX = 512,           /* of the root of any list */
    SPILL_STATE_PIECE_BYTES = 128 * 1024, /* at most, of a piece of the state */
    SPILL_WHY_BYTES = 200
};

/* Opens the spill file of an earlier life. state: all pieces, in their order. options as for
 * spill_store_create; a chunk size other than the file's is refused. On error out_why (may be NULL)
 * says in words what is wrong.
 *   -EBADMSG          state is damaged, or the file is shorter than it says
 *   -EPROTONOSUPPORT  state has another version
 *   -EINVAL           state was made with another chunk size
 *   -ENOENT           there is no spill file in the directory
 *   -EWOULDBLOCK      a living process has it
 * Until the first checkpoint of this life is complete, what the given state refers to is kept. */
int spill_store_open(struct os *os, struct io *io, const struct spill_options *options,
                     const struct spill_hooks *hooks, struct slice state,
                     struct spill_store **out_store, char out_why[SPILL_WHY_BYTES]);
/* As spill_store_destroy, but the file stays, and with it the last complete checkpoint. A running
 * checkpoint must have been aborted. Accepts NULL. */
void spill_store_close(struct spill_store *store);

/* The chunk size that options must have for that state. Errors and out_why as spill_store_open. */
int spill_state_chunk_bytes(struct slice state, uint32_t *out_bytes, char out_why[SPILL_WHY_BYTES]);
/* The list of a root, with nothing in memory but that. Once for each root, before the first
 * checkpoint is begun. -EBADMSG: root is damaged or does not fit to the store's file;
 * -EPROTONOSUPPORT: another version; -ENOMEM. */
int spill_deque_load(struct spill_store *store, struct slice root, struct spill_deque **out_deque);

/* From now on is a new picture. -EALREADY: one is under way; -EAGAIN: a large list that was dropped
 * is being taken apart, or of a large file not all is free yet that the one before gave up, so call
 * again in the next turn (each call does a part of it); -ENOMEM. */
int spill_checkpoint_begin(struct spill_store *store);
bool spill_checkpoint_is_running(const struct spill_store *store);

/* Saves a list as it is now, which is to say as it was at P. Takes a snapshot (never waits); what
 * is in memory only is written by spill_store_tick, a slice at a time and without dropping it from
 * memory. done comes once, perhaps before this returns (small and unchanged lists), else from
 * spill_store_tick or spill_checkpoint_abort: rc 0 and the root, a view good during the call, or
 * why it could not be written (-ECANCELED: aborted), and then the checkpoint is to be aborted. done
 * must not call into the store, but may save further lists. After an error here it does not come.
 *   -EINVAL  no checkpoint is running, or its state was given out
 *   -ENOMEM */
typedef void (*spill_saved)(void *context, int rc, struct slice root);
int spill_checkpoint_save(struct spill_deque *deque, spill_saved done, void *context);
/* Lists whose root has not come. Whoever goes through all lists pauses above some hundred. */
uint64_t spill_checkpoint_pending(const struct spill_store *store);

/* Brings what was written to the device, on an I/O thread; done comes from io_poll or, when it has
 * taken longer to go through the dropped trees, from spill_store_tick. Once, when nothing is
 * pending. Syncing may need several steps after an earlier failure. rc: why it failed;
 * then the checkpoint is to be aborted, and everything written since the last good sync is suspect:
 * later syncs first read it back and write it again. */
void spill_checkpoint_sync(struct spill_store *store, void (*done)(void *context, int rc),
                           void *context);

/* The state, piece after piece (consecutive parts of one string, each good until the next call):
 * 1: a piece, 0: that was all. After a successful sync. -EINVAL: not synced. */
int spill_checkpoint_state(struct spill_store *store, struct slice *out_piece);

/* The caller's file is durable, the older one no longer needed. All state must have been taken.
 * What only the older one referred to is free: of a file above 16 GiB not at once, but a part in
 * each spill_store_tick. */
void spill_checkpoint_complete(struct spill_store *store);
/* Gives the running checkpoint up; the older one stays. may_exist: the caller's file may have
 * become durable (its rename succeeded and what followed failed), so what it refers to is kept too,
 * until a later one is complete. Saves that are pending end with -ECANCELED. */
void spill_checkpoint_abort(struct spill_store *store, bool may_exist);

/* For copying the last complete checkpoint: its extents stay what they are until it is unpinned,
 * whatever becomes complete meanwhile; room that is freed comes back the later. One at a time.
 * -EALREADY: one is pinned. -EINVAL: none has become complete in this life, nor was the store
 * opened from one. -ENOMEM. */
int spill_checkpoint_pin(struct spill_store *store);
/* Does nothing when none is pinned. */
void spill_checkpoint_unpin(struct spill_store *store);
bool spill_checkpoint_is_pinned(const struct spill_store *store);
struct spill_range {
    uint64_t offset_bytes, size_bytes; /* whole blocks */
};
/* The first range of the spill file that the pinned checkpoint refers to from that offset on, at
 * most size_max bytes of it. False: there is none. */
bool spill_checkpoint_pinned(const struct spill_store *store, uint64_t from_bytes,
                             uint64_t size_max, struct spill_range *out_range);
/* Of all these ranges: how many bytes, which takes a while for a large file; and where the last one
 * ends. */
void spill_checkpoint_pinned_size(const struct spill_store *store, uint64_t *out_bytes,
                                  uint64_t *out_end);
/* Of the spill file; lives as long as the store. The name in its directory is always the same. */
const char *spill_store_path(const struct spill_store *store);

struct spill_persist_info {
    uint64_t checkpoints;    /* complete ones since the store was made or opened */
    uint64_t pending_saves;  /* as spill_checkpoint_pending */
    uint64_t saved_bytes;    /* written by checkpoints, since start */
    uint64_t deferred_bytes; /* freed, but kept for a checkpoint; part of disk_used_bytes */
    uint64_t unsynced_bytes; /* written since the last good sync */
    uint64_t suspect_bytes;  /* written before a sync that failed, and not repaired yet */
    uint64_t sync_errors;
    uint64_t reserved_bytes; /* room on disk kept for what is in memory only */
};
void spill_persist_info(const struct spill_store *store, struct spill_persist_info *out_info);
#endif
