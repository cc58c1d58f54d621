/* Trimming: segments that have ended and are on the device are removed, by a job. It keeps off
 * tending (tend.c). */
#include "modules/journal/journal_internal.h"

static void run_trim(struct io_job *job, struct os *os)
{
    struct trim_job *trim = (struct trim_job *)job;

    journal_tender_trim(&trim->journal->jobs->tend.tender, trim->end);
    job->rc = journal_places_remove(os, &trim->journal->meta.places, trim->first, trim->end);
}

static void trim_done(struct io_job *job)
{
    struct trim_job *done = (struct trim_job *)job;

    /* What could not be removed is tried again with the next trim. */
    done->is_running = false;
    if (job->rc == 0) {
        done->journal->first_segment = done->end;
        journal_trim_step(done->journal);
    }
    journal_tend_step(done->journal);
    journal_tell_progress(done->journal);
}

void journal_trim_step(struct journal *journal)
{
    uint64_t end = journal_segment_of(journal->trim_target);
    uint64_t unsynced = journal_segment_of(journal->synced);

    if (end > unsynced) end = unsynced;
    if (end <= journal->first_segment || journal->jobs->trim.is_running) return;
    if (journal->jobs->tend.is_running) return; /* which goes on here when it is done */
    journal->jobs->trim = (struct trim_job){
        .journal = journal, .is_running = true, .first = journal->first_segment, .end = end
    };
    journal->jobs->trim.job.run = run_trim;
    journal->jobs->trim.job.done = trim_done;
    io_submit(journal->io, &journal->jobs->trim.job);
}

void journal_trim(struct journal *journal, uint64_t position)
{
    if (position > journal->trim_target) journal->trim_target = position;
    journal_trim_step(journal);
}
