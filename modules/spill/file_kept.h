/* file_kept.h - extents that checkpoints refer to: space_kept.h in terms of references.
 *
 * Owner thread of io only. */
#ifndef MODULES_SPILL_FILE_KEPT_H
#define MODULES_SPILL_FILE_KEPT_H
#include "modules/spill/file.h"

/* Checkpoints will come. -ENOMEM. */
int spill_file_persist(struct spill_file *file);
/* A checkpoint begins: it refers to every extent whose write has ended. -ENOMEM. */
int spill_file_begin(struct spill_file *file);
/* It refers to an extent that was written since; or no longer to one. keep: -ENOMEM. */
int spill_file_keep(struct spill_file *file, const struct spill_ref *ref);
void spill_file_unkeep(struct spill_file *file, const struct spill_ref *ref);
void spill_file_complete(struct spill_file *file);
void spill_file_abort(struct spill_file *file, bool may_exist);
/* Goes on with either: of a large file what nothing refers to any more becomes free a part at a
 * time, and no checkpoint begins before all of it has. True: there is more. */
bool spill_file_settle(struct spill_file *file);
bool spill_file_is_settling(const struct spill_file *file);
/* Room for so many bytes is to be there whatever becomes of the disk: inside the file, or allocated
 * behind its end by an I/O thread. As of the next tick. */
void spill_file_reserve(struct spill_file *file, uint64_t bytes);
/* Whether the disk, or disk_bytes_max, has not enough for that. */
enum spill_reserve { SPILL_RESERVED, SPILL_RESERVE_ABOVE_LIMIT, SPILL_RESERVE_NOT_ON_DISK };
enum spill_reserve spill_file_reserve_state(const struct spill_file *file);
uint64_t spill_file_reserved_bytes(const struct spill_file *file);
/* Whether that much, or more than has been allocated by now, would find room. */
bool spill_file_has_reserved(const struct spill_file *file, uint64_t bytes);
/* Whether an extent may lie there: whole blocks or within one, all of them in use. */
bool spill_file_may_hold(const struct spill_file *file, const struct spill_ref *ref);
uint64_t spill_file_deferred_bytes(const struct spill_file *file);
/* As space_kept.h has it. */
int spill_file_pin(struct spill_file *file);
void spill_file_unpin(struct spill_file *file);
const char *spill_file_path(const struct spill_file *file);
const struct spill_space *spill_file_space(const struct spill_file *file);

/* Brings to the device all whose write has ended, and the file's name; done comes from io_poll. One
 * at a time. */
void spill_file_sync(struct spill_file *file, void (*done)(void *context, int rc), void *context);
/* In whole extents: written since the last good sync; of those, before one that failed. */
uint64_t spill_file_unsynced_bytes(const struct spill_file *file);
uint64_t spill_file_suspect_bytes(const struct spill_file *file);
/* done does not come any more. */
void spill_file_forget_sync(struct spill_file *file);
#endif
