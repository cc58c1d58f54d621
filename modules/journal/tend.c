/* Tending what has ended, by a job that takes a step (tender.h) and is submitted again as long as
 * there is more to do, so that other jobs get their turn between. Trimming and tending keep off
 * each other: one waits until the other's job is done, trimming goes first. */
#include "modules/journal/journal_internal.h"

#include <assert.h>
#include <errno.h>

enum { REINDEXED_SEGMENTS = 64 };

static void run_tend(struct io_job *job, struct os *os)
{
    struct tend_job *tend = (struct tend_job *)job;

    (void)os; /* the tender has the same */
    job->rc = journal_tender_step(&tend->tender, tend->end, tend->now_ms);
}

static void tell_packed(struct journal *journal, const struct journal_packed_segment *segment)
{
    if (segment->number > 0 && journal->on_packed) journal->on_packed(journal->context, segment);
}

/* True: the tender was dropping frames, and that is over. */
static bool end_dropping(struct tend_job *tend)
{
    if (!tend->is_dropping || tend->tender.dropping.number > 0) return false;
    tend->is_dropping = false;
    tend->dropping.number = 0;
    tend->drop_error = tend->tender.drop_error;
    return true;
}

static void tend_done(struct io_job *job)
{
    struct tend_job *tend = (struct tend_job *)job;
    struct journal *journal = tend->journal;
    bool has_dropped;

    tend->is_running = false;
    tend->has_more = job->rc > 0;
    if (job->rc <= 0) tend->error = job->rc;
    tend->packed_count = tend->tender.packed_count;
    tend->moved_count = tend->tender.moved_count;
    tend->damaged_count = tend->tender.damaged_count;
    tend->reindexed_count = tend->tender.reindexed_count;
    has_dropped = end_dropping(tend);
    tell_packed(journal, &tend->tender.packed);
    journal_trim_step(journal);
    journal_tend_step(journal);
    /* It is paused, or through; or who had frames dropped may want to go on with that. */
    if (!tend->is_running || has_dropped) journal_tell_progress(journal);
}

static void submit(struct journal *journal)
{
    struct tend_job *tend = &journal->jobs->tend;

    tend->journal = journal;
    tend->tender.codec = tend->codec;
    if (tend->dropping.number > 0 && !tend->is_dropping) {
        tend->tender.dropping = tend->dropping;
        tend->tender.drop_error = 0;
        tend->is_dropping = true;
    }
    tend->is_running = true;
    tend->job.run = run_tend;
    tend->job.done = tend_done;
    io_submit(journal->io, &tend->job);
}

/* Segments below may be tended. */
static uint64_t tended_end(const struct journal *journal)
{
    uint64_t synced = journal->synced;

    return journal_segment_of(synced < journal->plain_from ? synced : journal->plain_from);
}

/* Whether there is anything for a round: segments that are new, or that time has made old. */
static bool is_due(struct tend_job *tend, uint64_t end)
{
    bool is_new = end > tend->end || tend->is_changed;
    bool is_old =
        tend->asked_ms > tend->now_ms && (tend->error < 0 || tend->asked_ms >= tend->tender.due_ms);

    tend->end = end;
    tend->is_changed = false;
    return is_new || is_old;
}

void journal_tend_step(struct journal *journal)
{
    struct tend_job *tend;

    if (journal->is_in_memory) return;
    tend = &journal->jobs->tend;
    if (tend->is_running || tend->is_stopped || tend->is_paused) return;
    if (journal->jobs->trim.is_running) return;
    if (!tend->has_more) {
        if (!is_due(tend, tended_end(journal))) return;
        tend->has_more = true;
        tend->now_ms = tend->asked_ms;
        journal_tender_begin(&tend->tender);
    } else if (tended_end(journal) < tend->end) {
        tend->end = tended_end(journal); /* more is to be kept plain than when it began */
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

void journal_set_codec(struct journal *journal, enum journal_codec codec)
{
    struct tend_job *tend = &journal->jobs->tend;

    assert(!journal->is_in_memory && !journal->meta.settings.key_path);
    if (tend->codec == codec) return;
    tend->codec = codec;
    tend->is_changed = true;
    journal_tend_step(journal);
}

int journal_drop_frames(struct journal *journal, const struct journal_dropping *dropping)
{
    struct tend_job *tend = &journal->jobs->tend;

    assert(!journal->is_in_memory && dropping->codec != JOURNAL_CODEC_NONE);
    if (tend->dropping.number > 0) return -EBUSY;
    if (dropping->number < journal->first_segment || dropping->number >= tended_end(journal))
        return -EINVAL;
    tend->dropping = *dropping;
    tend->is_changed = true;
    journal_tend_step(journal);
    return 0;
}

int journal_drop_error(const struct journal *journal)
{
    return journal->jobs ? journal->jobs->tend.drop_error : 0;
}

bool journal_is_dropping(const struct journal *journal)
{
    return journal->jobs && journal->jobs->tend.dropping.number > 0;
}

void journal_pause_tending(struct journal *journal, bool is_paused)
{
    if (journal->is_in_memory) return;
    journal->jobs->tend.is_paused = is_paused;
    journal_tend_step(journal);
}

bool journal_is_tending(const struct journal *journal)
{
    const struct tend_job *tend = journal->jobs ? &journal->jobs->tend : NULL;

    return tend && !tend->is_paused && (tend->is_running || tend->has_more);
}

void journal_tell_packed(struct journal *journal)
{
    for (size_t i = 0; i < journal->packed.count; i++)
        tell_packed(journal, &journal->packed.segments[i]);
    journal_packed_list_finish(&journal->packed);
}

int journal_tend_open(struct journal *journal, bool verifies_all)
{
    struct journal_survey survey = { 0 };
    int rc;

    rc = journal_places_clean(journal->os, &journal->meta.places);
    if (rc == 0) rc = journal_places_survey(journal->os, &journal->meta.places, &survey);
    if (rc < 0) return rc;
    journal->jobs->tend.codec = journal->meta.settings.codec;
    journal_tender_init(&journal->jobs->tend.tender, journal->os, &journal->meta, &survey);
    journal->jobs->tend.tender.doubts_indexes = verifies_all;
    /* What is older has been looked at before, and looking takes a read a segment. */
    if (!verifies_all && survey.last > survey.first + REINDEXED_SEGMENTS) {
        journal->jobs->tend.tender.indexed_end = survey.last - REINDEXED_SEGMENTS;
    }
    return 0;
}
