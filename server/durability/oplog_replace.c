/* oplog_replace.c - another journal after a write or sync of the log has failed.
 *
 *   failed ─begin─▶ in memory ─I/O thread─▶ on the device ─▶ (a checkpoint at P, which lies in it)
 *                       │                        │                 ─end─▶ the log
 *                       ╰── fails ──▶ failed ◀───╯ fails
 *
 * Until the end nothing is answered that rests on the new one, so a start may go on from either:
 * from the old checkpoint with the old log, as far as that reached the device, or, once the new
 * checkpoint has its name, from that with the new log (log_directory.h). Of what the old log lost,
 * no answer told. Its positions are lower than all of the new one's, so neither is ever read in the
 * other's place.
 *
 * Making it must not wait for the disk: it begins in memory, and an I/O thread makes its files. */
#include "server/durability/oplog_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/journal/format.h"
#include "server/durability/log_directory.h"

/* What waited for the old journal waits for nothing any more: it was told, or is in memory only,
 * where the checkpoint finds it. */
static void forget_old(struct oplog *oplog)
{
    oplog_drop_kept(oplog);
    if (oplog->has_waiting) oplog->ticket++; /* that number was given out */
    oplog->is_under_way = oplog->has_waiting = oplog->has_settled = false;
    oplog->is_late = oplog->was_delayed = oplog->is_hurried = false;
    oplog->goal = oplog->sync_goal = 0;
    oplog->is_told_full = false;
    oplog->replaced_frame_number = oplog->frame_number;
}

static void take(struct oplog *oplog, struct journal *journal, char *path, uint64_t first_segment)
{
    (void)journal_close(oplog->journal); /* that it has failed is known */
    oplog->journal = journal;
    free(oplog->path);
    oplog->path = path;
    oplog->first_segment = first_segment;
    oplog->is_being_replaced = true;
    forget_old(oplog);
}

static int open_another(struct oplog *oplog)
{
    uint64_t above = journal_appended(oplog->journal);
    uint64_t first_segment = journal_segment_of(above) + 1;
    char *path = log_directory_path(oplog->directory, first_segment);
    struct journal_options options = { .path = path,
                                       .starts_above = above,
                                       .starts_in_memory = true };
    struct journal_report report;
    struct journal *journal;
    int rc = path ? oplog_open_journal(oplog, &options, &report, &journal) : -ENOMEM;

    if (rc < 0) {
        free(path);
        return rc;
    }
    take(oplog, journal, path, first_segment);
    journal_move_to_file(journal);
    return 0;
}

/* An earlier attempt got so far, and what failed then was something else. */
static bool has_good_one(const struct oplog *oplog)
{
    return oplog->is_being_replaced && !journal_error(oplog->journal) &&
           !journal_is_in_memory(oplog->journal);
}

int oplog_replace_begin(struct oplog *oplog)
{
    assert(oplog_error(oplog));
    if (!oplog->error) oplog->error = journal_error(oplog->journal);
    if (has_good_one(oplog)) return 0;
    if (journal_is_busy(oplog->journal)) return -EAGAIN; /* closing it would wait */
    (void)oplog_end_batch(oplog);                        /* lost, as the next commit tells */
    return open_another(oplog);
}

int oplog_replace_step(struct oplog *oplog)
{
    assert(oplog->is_being_replaced);
    return oplog_begin_step(oplog);
}

bool oplog_replace_end(struct oplog *oplog, uint64_t position)
{
    if (!oplog->is_being_replaced || journal_error(oplog->journal)) return false;
    if (journal_segment_of(position) < oplog->first_segment) return false;
    oplog->is_being_replaced = false;
    oplog->replaced_count++;
    oplog->error = 0;
    oplog->released = oplog->ticket; /* who waited has gone */
    if (oplog->synced_frame_number < oplog->replaced_frame_number)
        oplog->synced_frame_number = oplog->replaced_frame_number; /* the checkpoint has them */
    return true;
}
