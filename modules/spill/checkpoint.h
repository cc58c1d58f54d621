/* checkpoint.h - the running checkpoint, as the module's own files see it.
 *
 *   BEGUN ── all saved, sync ──▶ SYNCING ──▶ SYNCED ── state given out ──▶ STATED ──▶ complete
 *
 * From SYNCING on the picture is whole, and what is written since is not looked at. One thread. */
#ifndef MODULES_SPILL_CHECKPOINT_H
#define MODULES_SPILL_CHECKPOINT_H
#include "modules/base/list.h"
#include "modules/spill/file.h"
#include "modules/spill/persist.h"

struct block;

enum checkpoint_stage {
    CHECKPOINT_BEGUN,
    CHECKPOINT_SYNCING,
    CHECKPOINT_SYNCED,
    CHECKPOINT_STATED,
    CHECKPOINT_FAILED
};

struct checkpoint {
    enum checkpoint_stage stage;
    int rc;                          /* the first write for it that failed */
    struct list_link ready, waiting; /* saves: to be looked at, or at the next end of a batch */
    uint64_t pending;                /* saves in both */
    uint64_t seen_batches;           /* the store's batches_ended when waiting ones were woken */
    void (*synced)(void *context, int rc);
    void *context;
    struct state_writer *writer; /* of the state, while it is given out */
    bool has_synced;             /* the file, with sync_rc */
    int sync_rc;
    uint8_t *dead_bytes; /* what the state will say of trees that only snapshots had */
    uint32_t dead_count, dead_capacity;
};

/* A step of what is done while the file is synced. True: there is more. */
bool checkpoint_tick(struct spill_store *store);
/* A part of what is left of the one that has ended, if anything is. True: there is more. */
bool checkpoint_settle(struct spill_store *store);
/* An extent that has just been written belongs to the picture. */
void checkpoint_keep(struct spill_store *store, const struct spill_ref *ref);
/* It cannot become complete any more. */
void checkpoint_fail(struct spill_store *store, int rc);

/* state.c: a node on disk that nobody has in the picture is to be taken apart in the next life.
 * -ENOMEM. */
int state_add_dead(struct spill_store *store, const struct block *node);
/* The pieces. 1: a piece, 0: that was all. Destroy accepts NULL. */
int state_writer_create(struct spill_store *store, struct state_writer **out_writer);
/* A step through the dropped trees, which the first piece tells the number of. True: there are
 * more; no piece yet. */
bool state_writer_gather(struct spill_store *store, struct state_writer *writer);
void state_writer_destroy(struct spill_store *store, struct state_writer *writer);
int state_writer_next(struct spill_store *store, struct state_writer *writer,
                      struct slice *out_piece);
#endif
