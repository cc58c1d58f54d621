/* After a failed sync: what may not be on the device is written once more (renewal.h), by a job
 * that takes a step and is submitted again as long as there is more to do, so that other jobs get
 * their turn between.
 *
 *   journal_renew ─▶ a step that is under way ends ─▶ segment after segment, those that have ended
 *                                                    and were closed, too ─▶ meta ─▶ it goes on
 *
 * How far a sync that ended well has come meanwhile says nothing: the sync of what failed before it
 * may have passed over pages that the kernel takes for written. What still is in buffers was never
 * written: that goes to the file when the journal goes on. */
#include <assert.h>
#include <errno.h>

#include "modules/journal/journal_internal.h"
#include "modules/journal/renewal.h"

/* ---- on an I/O thread -------------------------------------------------------------------------
 */

static void run_renew(struct io_job *job, struct os *os)
{
    struct renew_job *renew = (struct renew_job *)job;
    const struct journal_meta *meta = &renew->journal->meta; /* what of it does not change */

    job->rc = renew->renewal
                  ? 0
                  : journal_renewal_create(os, &meta->places, &renew->segment, &renew->renewal);
    if (job->rc == 0) job->rc = journal_renewal_step(renew->renewal, &renew->damage);
    if (job->rc > 0) return;
    journal_renewal_destroy(renew->renewal);
    renew->renewal = NULL;
}

static void run_renew_meta(struct io_job *job, struct os *os)
{
    const struct renew_job *renew = (struct renew_job *)job;

    job->rc = journal_meta_renew(os, renew->path, &renew->journal->meta);
}

/* ---- on the owner's thread --------------------------------------------------------------------
 */

static void submit(struct journal *journal)
{
    journal->jobs->renew.is_running = true;
    io_submit(journal->io, &journal->jobs->renew.job);
}

static void fail(struct journal *journal, int rc)
{
    const struct renew_job *renew = &journal->jobs->renew;

    if (rc == -EBADMSG) journal->damage = journal_position(renew->segment.number, renew->damage);
    journal->error = rc;
    journal->is_renewing = false;
}

/* Segments below it are not needed any more. */
static uint64_t first_needed(const struct journal *journal)
{
    uint64_t wanted = journal_segment_of(journal->trim_target);

    return wanted > journal->first_segment ? wanted : journal->first_segment;
}

/* Behind what there is in files. */
static uint64_t end_in_files(const struct journal *journal)
{
    const struct journal_buffer *first = journal->buffer_head;

    return first ? journal_position(first->segment->number, first->offset) : journal_here(journal);
}

/* One that is open: ended and not synced, or the one that is being written. NULL: it was closed. */
static const struct journal_segment *find_open(const struct journal *journal, uint64_t number,
                                               uint64_t *out_end)
{
    *out_end = journal->offset;
    if (number == journal->active->number) return journal->active;
    for (const struct journal_retired *r = journal->retired_head; r; r = r->next) {
        *out_end = r->end;
        if (r->segment->number == number) return r->segment;
    }
    return NULL;
}

/* The segment in which what was renewed so far ends; end: of what is in files. */
static void choose_segment(struct journal *journal, uint64_t end)
{
    struct renew_job *renew = &journal->jobs->renew;
    uint64_t number = journal_segment_of(renew->done), to;
    const struct journal_segment *open = find_open(journal, number, &to);

    if (number == journal_segment_of(end)) to = journal_offset_of(end);
    renew->segment = (struct journal_renewed){ .number = number,
                                               .from = journal_offset_of(renew->done),
                                               .to = open ? to : 0,
                                               .fd = open ? open->fd : -1 };
    renew->reached = number == journal_segment_of(end) ? end : journal_segment_start(number + 1);
}

static void end_renewal(struct journal *journal)
{
    journal->is_renewing = false;
    journal->has_names = true;
    journal->error = 0;
    journal->sync_target = journal_here(journal); /* which has next to nothing to do */
    journal_step(journal);
}

static void renew_done(struct io_job *job)
{
    struct renew_job *renew = (struct renew_job *)job;
    struct journal *journal = renew->journal;
    bool was_meta = renew->is_meta;

    renew->is_running = false;
    if (journal->is_renewing && job->rc > 0) {
        submit(journal);
        return;
    }
    if (journal->is_renewing && job->rc < 0) {
        fail(journal, job->rc);
    } else if (journal->is_renewing && was_meta) {
        end_renewal(journal);
    } else if (journal->is_renewing) {
        renew->done = renew->reached;
        journal_renew_step(journal);
    }
    if (!journal->is_renewing) journal_tell_progress(journal);
}

void journal_renew_step(struct journal *journal)
{
    struct renew_job *renew = &journal->jobs->renew;
    uint64_t first, end;

    if (!journal->is_renewing || renew->is_running || journal->jobs->step.is_running) return;
    first = journal_segment_start(first_needed(journal));
    end = end_in_files(journal);
    if (renew->done < first) renew->done = first;
    renew->journal = journal;
    renew->path = journal->path;
    renew->is_meta = renew->done >= end;
    renew->job.run = renew->is_meta ? run_renew_meta : run_renew;
    renew->job.done = renew_done;
    if (!renew->is_meta) choose_segment(journal, end);
    submit(journal);
}

void journal_renew(struct journal *journal, uint64_t from)
{
    assert(!journal->is_in_memory && !journal->is_resting);
    if (journal->is_renewing) return;
    if (!journal->error) journal->error = -EIO; /* a sync has failed elsewhere */
    journal->is_renewing = true;
    journal->jobs->renew.done = from < journal->synced ? from : journal->synced;
    journal_renew_step(journal);
}

bool journal_is_renewing(const struct journal *journal)
{
    return journal->is_renewing;
}
