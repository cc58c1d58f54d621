/* oplog_begin.c - a log that begins, or ends, while the server works.
 *
 *   prepare ─I/O thread─▶ begin: in memory ─I/O thread─▶ on the device ─▶ (a checkpoint at P, in
 * it) end_step, until all is on the device and nothing is under way ─▶ close_idle, by an I/O thread
 *
 * As after a failure (oplog_replace.c), its positions are greater than those of any log before it,
 * and which one a start goes on with follows from the checkpoint. No step waits on the loop. */
#include "server/durability/oplog_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "modules/base/os.h"
#include "modules/journal/format.h"
#include "server/durability/log_directory.h"

/* ---- by an I/O thread -------------------------------------------------------------------------
 */

int oplog_prepare(struct os *os, struct oplog_ground *ground)
{
    const char *directory = ground->directory;
    int rc = log_directory_remove(os, directory, ground->remove_from, UINT64_MAX);

    if (rc == 0) rc = log_directory_mark(os, directory);
    if (rc < 0) return rc;
    ground->roll_bytes = log_directory_roll_bytes(os, directory);
    return log_reserve_prepare(os, ground);
}

void oplog_leave_ground(struct os *os, struct oplog_ground *ground)
{
    if (ground->reserve_fd >= 0) (void)os->close(os, ground->reserve_fd); /* nothing was written */
    free(ground->reserve_path);
    ground->reserve_fd = -1;
    ground->reserve_path = NULL;
}

/* ---- beginning --------------------------------------------------------------------------------
 */

static int open_in_memory(struct oplog *oplog, uint64_t above)
{
    struct journal_options options = { .path = oplog->path,
                                       .starts_above = above,
                                       .starts_in_memory = true };
    struct journal_report report;

    return oplog_open_journal(oplog, &options, &report, &oplog->journal);
}

int oplog_begin(struct os *os, struct io *io, const struct oplog_options *options,
                const struct oplog_past *past, struct oplog_ground *ground,
                struct oplog **out_oplog)
{
    struct oplog_options own = *options;
    struct oplog *oplog;
    int rc;

    own.first_segment = journal_segment_of(past->above) + 1;
    own.roll_bytes = ground->roll_bytes;
    rc = oplog_create(os, io, &own, &oplog);
    if (rc < 0) return rc;
    rc = open_in_memory(oplog, past->above);
    if (rc < 0) {
        oplog_destroy(oplog);
        return rc;
    }
    log_reserve_take(oplog, ground);
    oplog->ticket = oplog->released = past->ticket;
    oplog->frame_number = oplog->synced_frame_number = past->frame_number;
    journal_move_to_file(oplog->journal);
    *out_oplog = oplog;
    return 0;
}

int oplog_begin_step(struct oplog *oplog)
{
    struct journal_info info;

    journal_get_info(oplog->journal, &info);
    if (info.error) return info.error;
    if (!journal_is_in_memory(oplog->journal)) {
        oplog_take_way(oplog);
        return 0;
    }
    if (journal_is_busy(oplog->journal)) return 1;
    return info.room_error ? info.room_error : -EIO;
}

/* ---- ending -----------------------------------------------------------------------------------
 */

void oplog_get_past(struct oplog *oplog, struct oplog_past *out_past)
{
    *out_past = (struct oplog_past){ .above = oplog_position(oplog),
                                     .ticket = oplog->ticket + oplog->has_waiting,
                                     .frame_number = oplog_frame_number(oplog) };
}

void oplog_give_up(struct oplog *oplog)
{
    journal_give_up(oplog->journal);
}

bool oplog_is_idle(const struct oplog *oplog)
{
    return !journal_is_busy(oplog->journal) && oplog->reserve.work == RESERVE_IDLE;
}

int oplog_end_step(struct oplog *oplog)
{
    bool is_settled = oplog_is_settled(oplog);

    if (oplog_error(oplog)) return oplog_error(oplog);
    if (!is_settled) return 1;
    oplog_start_sync(oplog);
    if (oplog_synced_position(oplog) != journal_appended(oplog->journal)) return 1;
    return oplog_is_idle(oplog) ? 0 : 1;
}

int oplog_close_idle(struct oplog *oplog)
{
    int rc;

    assert(oplog_is_idle(oplog));
    oplog_drop_kept(oplog);
    rc = journal_close(oplog->journal);
    oplog_destroy(oplog);
    return rc;
}
