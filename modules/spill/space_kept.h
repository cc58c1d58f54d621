/* space_kept.h - blocks that checkpoints refer to.
 *
 * What is given back of them (spill_space_free, _unshare) is deferred: it is no extent's any more,
 * but not free before no checkpoint refers to it. Four kinds: what the last complete checkpoint
 * refers to, what the running one does, what one does that is being copied (pinned), and what is
 * suspect after a failed sync. Of shared blocks the running checkpoint's own extents are counted,
 * so that those of nobody are known when the file is opened from it.
 *
 * One thread. After an error nothing has changed. */
#ifndef MODULES_SPILL_SPACE_KEPT_H
#define MODULES_SPILL_SPACE_KEPT_H
#include "modules/base/slice.h"
#include "modules/spill/space.h"

/* Checkpoints will come: regions get their tables from now on. -ENOMEM. */
int spill_space_keep_books(struct spill_space *space);
/* A checkpoint begins: it refers to all that is an extent's now. The one before must have been
 * settled. -ENOMEM. */
int spill_space_begin(struct spill_space *space);
/* The running checkpoint refers to these blocks too, which are in use and not shared; or to one
 * more of the extents in a shared block. -ENOMEM. */
void spill_space_keep(struct spill_space *space, struct spill_run run);
int spill_space_keep_shared(struct spill_space *space, uint64_t block);
/* It refers to them no longer. */
void spill_space_unkeep(struct spill_space *space, struct spill_run run);
void spill_space_unkeep_shared(struct spill_space *space, uint64_t block);
/* The running checkpoint takes the older one's place; or it goes. Or, when nobody knows whether it
 * will be found, both count as complete. What nothing refers to any more is free: in the first
 * SPILL_SETTLE_REGIONS regions at once, and in as many more with each spill_space_settle. Until
 * then both are kept there. */
enum { SPILL_SETTLE_REGIONS = 128 }; /* 16 GiB of the file: below a millisecond */
void spill_space_complete(struct spill_space *space);
void spill_space_abort(struct spill_space *space, bool may_exist);
/* True: there are more regions. Does nothing when no checkpoint has ended. */
bool spill_space_settle(struct spill_space *space);
bool spill_space_is_settling(const struct spill_space *space);

/* Blocks written before a sync that failed. They are kept until they were repaired. */
void spill_space_suspect(struct spill_space *space, struct spill_run run);
void spill_space_repaired(struct spill_space *space, struct spill_run run);
/* Whether any of them is. */
bool spill_space_is_suspect(const struct spill_space *space, struct spill_run run);
bool spill_space_is_deferred(const struct spill_space *space, uint64_t block);

/* What the last complete checkpoint refers to now is kept until it is unpinned, whatever completes
 * meanwhile. Nothing is pinned yet; what is still to be settled is, at once. -ENOMEM. */
int spill_space_pin(struct spill_space *space);
void spill_space_unpin(struct spill_space *space);
/* The first run of pinned blocks from that block on, at most count_max of it. False: none. */
bool spill_space_pinned_run(const struct spill_space *space, uint64_t from, uint64_t count_max,
                            struct spill_run *out_run);
uint64_t spill_space_pinned(const struct spill_space *space);     /* blocks */
uint64_t spill_space_pinned_end(const struct spill_space *space); /* behind the last one */

uint64_t spill_space_deferred(const struct spill_space *space); /* blocks */

/* Behind the last block that the running checkpoint refers to. */
uint64_t spill_space_kept_end(const struct spill_space *space);
/* What the running checkpoint refers to in region `index`, as bytes; nothing, in a region that
 * is not there any more. Their number, at most SPILL_REGION_STATE_MAX. */
enum { SPILL_REGION_STATE_MAX = 1 + 4096 + 4 + 3 * SPILL_REGION_BLOCKS };
size_t spill_space_region_state(const struct spill_space *space, size_t index, uint8_t *bytes);
/* Makes an empty space what such bytes say, in the order of the regions; they are taken off *state.
 * All that is used counts as what the last complete checkpoint refers to. -EBADMSG, -ENOMEM: the
 * space is to be destroyed. */
int spill_space_load(struct spill_space *space, uint64_t end, struct slice *state);
#endif
