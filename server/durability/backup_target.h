/* backup_target.h - the directory that a backup is made in.
 *
 *   DIR/backup.incomplete       there from first to last: no server starts on such a directory
 *   DIR/sluice.lock             locked meanwhile
 *   DIR/spill/spill-….dat       the lists' extents, where they lie in the original
 *   DIR/checkpoint-N            has this name when all of both files is on the device
 *
 * It is made in its place and not under another name, as DIR may be the root of a file system.
 * Calls wait for the disk: for I/O threads. 0 or -errno. */
#ifndef SERVER_DURABILITY_BACKUP_TARGET_H
#define SERVER_DURABILITY_BACKUP_TARGET_H
#include <stdbool.h>
#include <stdint.h>

struct os;

#define BACKUP_MARK "backup.incomplete"

struct backup_target {
    char *path, *parent;                 /* of the directory, and of the one that it is in */
    char *mark, *lock, *spill, *file;    /* below it: as drawn */
    char *temporary, *checkpoint;        /* below it: names of the checkpoint file */
    int lock_fd, file_fd, checkpoint_fd; /* -1: not open */
    bool was_made;                       /* the directory is ours */
    bool is_marked;                      /* what is in it is ours */
    const char *why;                     /* more than an error number says; or NULL */
};

/* Names only: nothing is made yet. file_name: of the spill file. -ENOMEM. */
int backup_target_init(struct backup_target *target, const char *path, const char *file_name);
/* Names the checkpoint file. Once. -ENOMEM. */
int backup_target_number(struct backup_target *target, uint64_t number);
void backup_target_finish(struct backup_target *target); /* frees; no file may be open */

/* Makes the directory, which is not there or is empty, and the mark, and locks it.
 *   -ENOTEMPTY     something is there
 *   -EWOULDBLOCK   a server works there */
int backup_target_prepare(struct backup_target *target, struct os *os);
/* Makes the files, which are empty. It is prepared and has its number. */
int backup_target_open(struct backup_target *target, struct os *os);
/* All is written: brings it to the device, names it, and takes the mark away. */
int backup_target_complete(struct backup_target *target, struct os *os);
/* Of what was made nothing stays. Where that cannot be, the mark does: an error. */
int backup_target_discard(struct backup_target *target, struct os *os);
#endif
