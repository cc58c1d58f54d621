/* log_directory.h - which directory of the data directory the operation log is in.
 *
 * It begins as DIR/log. When it has failed another one goes on beside it (oplog_replace.c), as
 * DIR/log-N, where N is the number of its first segment, greater than all that the failed one has.
 * Which of them counts follows from the checkpoint that there is: the last one that begins no later
 * than its position. So a replacement counts as soon as a checkpoint of its time is there, and no
 * sooner.
 *
 * Where there was no log (appendonly was no), a log that is begun counts from its checkpoint on,
 * too. A mark, DIR/log.begun, is there from before it is made until then: with it a log that no
 * checkpoint goes on with is nothing that anybody misses.
 *
 *   checkpoint at P        logs that there are      a start goes on with
 *   none, or in log        log                      log, from P on
 *   in log                 log, log-5 (on trial)    log, from P on; log-5 goes
 *   in log-5               log, log-5               log-5, from P on; log goes
 *   in log-5               log                      never: log-5 would be missing
 *   none                   log-5, and the mark      nothing: there was no log; without the mark the
 *                                                   checkpoint is missing
 *
 * So a log may go when there is a newer pair on the device, or when no checkpoint at a position of
 * it is there and none is under way. Calls wait for the disk. */
#ifndef SERVER_DURABILITY_LOG_DIRECTORY_H
#define SERVER_DURABILITY_LOG_DIRECTORY_H
#include <stdint.h>

struct os;

#define LOG_MARK "log.begun" /* the mark */

/* Allocated; NULL: no memory. first_segment 0: DIR/log. */
char *log_directory_path(const char *directory, uint64_t first_segment);
/* The one that goes on from a checkpoint's position (0: there is no checkpoint). 0 or -errno;
 * -ENOENT: there is none that counts. -ESTALE: all there are begin later, and there is no mark, so
 * it is the checkpoint they go on from that is missing. */
int log_directory_find(struct os *os, const char *directory, uint64_t position,
                       uint64_t *out_first_segment);
/* Removes the logs whose number is in [from, to), which nobody writes. The first error ends it. */
int log_directory_remove(struct os *os, const char *directory, uint64_t from, uint64_t to);
/* Makes the mark, durably. 0 or -errno. */
int log_directory_mark(struct os *os, const char *directory);
/* Removes it. 0 also when there is none. */
int log_directory_unmark(struct os *os, const char *directory);
/* How large its segments should be: one goes only as a whole, when a checkpoint has made it
 * superfluous, so a small disk has small ones. 0: as usual. */
uint64_t log_directory_roll_bytes(struct os *os, const char *directory);
#endif
