/* Tending what has ended, by a job that takes a step (tender.h) and is submitted again as long as
 * there is more to do, so that other jobs get their turn between. Trimming and tending keep off
 * each other: one waits until the other's job is done, trimming goes first. */
#include "modules/journal/journal_internal.h"

#include <errno.h>

enum { REINDEXED_SEGMENTS = 64 };

static void run_tend(struct io_job *job, struct os *os)
{
    struct tend_job *tend = (struct tend_job *)job;

    (void)os; /* the tender has the same */
    job->rc = journal_tender_step(&tend->tender, tend->end, tend->now_ms);
}

static void tend_done(struct io_job *job)
{
    struct tend_job *tend = (struct tend_job *)job;
    struct journal *journal = tend->journal;

    tend->is_running = false;
    tend->has_more = job->rc > 0;
    if (job->rc <= 0) tend->error = job->rc;
    tend->packed_count = tend->tender.packed_count;
    tend->moved_count = tend->tender.moved_count;
    tend->damaged_count = tend->tender.damaged_count;
    tend->reindexed_count = tend->tender.reindexed_count;
    journal_trim_step(journal);
    journal_tend_step(journal);
    if (!tend->has_more) journal_tell_progress(journal);
}

static void submit(struct journal *journal)
{
    struct tend_job *tend = &journal->jobs->tend;

    tend->journal = journal;
    tend->is_running = true;
    tend->job.run = run_tend;
    tend->job.done = tend_done;
    io_submit(journal->io, &tend->job);
}

/* Whether there is anything for a round: segments that are new, or that time has made old. */
static bool is_due(struct tend_job *tend, uint64_t end)
{
    bool is_new = end > tend->end;
    bool is_old =
        tend->asked_ms > tend->now_ms && (tend->error < 0 || tend->asked_ms >= tend->tender.due_ms);

    tend->end = end;
    return is_new || is_old;
}

void journal_tend_step(struct journal *journal)
{
    struct tend_job *tend;

    if (journal->is_in_memory) return;
    tend = &journal->jobs->tend;
    if (tend->is_running || tend->is_stopped) return;
    if (journal->jobs->trim.is_running) return;
    if (!tend->has_more) {
        uint64_t end =
            journal->synced < journal->plain_from ? journal->synced : journal->plain_from;
        if (!is_due(tend, journal_segment_of(end))) return;
        tend->has_more = true;
        tend->now_ms = tend->asked_ms;
        journal_tender_begin(&tend->tender);
    }
    submit(journal);
}

void journal_tend(struct journal *journal, uint64_t now_ms)
{
    if (journal->is_in_memory) return;
    if (now_ms > journal->jobs->tend.asked_ms) journal->jobs->tend.asked_ms = now_ms;
    journal_tend_step(journal);
}

void journal_keep_plain(struct journal *journal, uint64_t position)
{
    journal->plain_from = position;
    journal_tend_step(journal);
}

int journal_tend_open(struct journal *journal, bool verifies_all)
{
    struct journal_survey survey = { 0 };
    int rc;

    rc = journal_places_clean(journal->os, &journal->meta.places);
    if (rc == 0) rc = journal_places_survey(journal->os, &journal->meta.places, &survey);
    if (rc < 0) return rc;
    journal_tender_init(&journal->jobs->tend.tender, journal->os, &journal->meta, &survey);
    /* What is older has been looked at before, and looking takes a read a segment. */
    if (!verifies_all && survey.last > survey.first + REINDEXED_SEGMENTS) {
        journal->jobs->tend.tender.indexed_end = survey.last - REINDEXED_SEGMENTS;
    }
    return 0;
}
