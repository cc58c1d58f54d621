/* Resting and waking. A journal that rests has a stub in the place of its active segment, which
 * only knows its number, and neither a next segment nor a mapping of meta; all is synced and
 * published, so nothing but an append needs them.
 *
 *   journal_rest ─▶ synced, idle ─▶ stub, job closes ─▶ resting ─▶ append ─▶ job opens ─▶ as before
 *        ╰── used meanwhile: not yet                                          ╰── failed: resting
 */
#include "modules/journal/journal_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/os.h"

struct journal_set {
    unsigned open_max, open_count;
    struct journal *hand; /* a ring of those that are open; NULL: none */
};

enum { HAND_STEPS_MAX = 64 };

/* ---- the set ----------------------------------------------------------------------------------
 */

int journal_set_create(unsigned open_max, struct journal_set **out_set)
{
    struct journal_set *set = calloc(1, sizeof(*set));

    assert(open_max > 0);
    if (!set) return -ENOMEM;
    set->open_max = open_max;
    *out_set = set;
    return 0;
}

void journal_set_destroy(struct journal_set *set)
{
    if (!set) return;
    assert(set->open_count == 0 && !set->hand);
    free(set);
}

unsigned journal_set_open_count(const struct journal_set *set)
{
    return set->open_count;
}

/* Those that nobody has used since the hand was there the last time go to rest. */
static void squeeze(struct journal_set *set)
{
    unsigned excess = set->open_count > set->open_max ? set->open_count - set->open_max : 0;

    for (unsigned i = 0; i < HAND_STEPS_MAX && excess > 0 && set->hand; i++) {
        struct journal *journal = set->hand;
        set->hand = journal->set_next;
        if (journal->wants_rest) {
            excess--; /* it is on its way */
        } else if (journal->is_used) {
            journal->is_used = false;
        } else {
            excess--;
            journal_rest(journal);
        }
    }
}

void journal_set_add(struct journal *journal)
{
    struct journal_set *set = journal->set;

    if (!set) return;
    assert(!journal->set_next);
    journal->is_used = true;
    if (set->hand) {
        journal->set_next = set->hand;
        journal->set_previous = set->hand->set_previous;
        journal->set_previous->set_next = journal;
        set->hand->set_previous = journal;
    } else {
        journal->set_next = journal->set_previous = journal;
        set->hand = journal;
    }
    set->open_count++;
    squeeze(set);
}

void journal_set_take_out(struct journal *journal)
{
    struct journal_set *set = journal->set;

    if (!set || !journal->set_next) return;
    if (set->hand == journal) set->hand = journal->set_next;
    if (set->hand == journal) set->hand = NULL; /* it was alone */
    journal->set_previous->set_next = journal->set_next;
    journal->set_next->set_previous = journal->set_previous;
    journal->set_next = journal->set_previous = NULL;
    set->open_count--;
}

/* ---- resting ----------------------------------------------------------------------------------
 */

static void run_rest(struct io_job *job, struct os *os)
{
    struct rest_job *rest = (struct rest_job *)job;

    if (rest->next) {
        uint64_t number = rest->next->number;
        journal_segment_close(os, rest->next);
        /* One that stays is without frames; it is made anew. */
        (void)journal_segment_remove(os, rest->path, number);
    }
    /* All that counts is on the device: a cut that fails only leaves zeros behind the end. */
    (void)journal_segment_cut(os, rest->segment, rest->offset);
    journal_segment_close(os, rest->segment);
    journal_meta_unmap(os, rest->live, rest->waiters);
    job->rc = 0;
}

static void rest_done(struct io_job *job)
{
    struct rest_job *rest = (struct rest_job *)job;

    rest->is_running = false;
    journal_tell_progress(rest->journal);
}

static void start_rest(struct journal *journal)
{
    struct journal_segment *stub = calloc(1, sizeof(*stub));

    if (!stub) return; /* another time */
    *stub = (struct journal_segment){ .journal = journal->active->journal,
                                      .number = journal->active->number,
                                      .seed = journal->active->seed,
                                      .capacity = journal->active->capacity,
                                      .created_ms = journal->active->created_ms,
                                      .fd = -1 };
    journal->jobs->rest = (struct rest_job){ .journal = journal,
                                             .is_running = true,
                                             .path = journal->path,
                                             .segment = journal->active,
                                             .next = journal->next,
                                             .offset = journal->offset,
                                             .live = journal->meta.live,
                                             .waiters = journal->meta.waiters };
    journal->active = stub;
    journal->next = NULL;
    journal->room_end = 0;
    journal->ask_at = 0;
    journal->meta.live = NULL;
    journal->meta.waiters = NULL;
    journal->is_resting = true;
    journal_set_take_out(journal);
    journal->jobs->rest.job.run = run_rest;
    journal->jobs->rest.job.done = rest_done;
    io_submit(journal->io, &journal->jobs->rest.job);
}

void journal_rest_step(struct journal *journal)
{
    if (!journal->wants_rest) return;
    /* A full disk is no time to rest: what is buffered has to stay. */
    if (journal->is_used || journal->error || journal->room_error || journal->is_closing) {
        journal->wants_rest = false;
        return;
    }
    if (journal->jobs->room.is_running || journal->jobs->step.is_running) return;
    if (journal_here(journal) > journal->synced) {
        journal_sync(journal); /* which comes back here */
        return;
    }
    journal->wants_rest = false;
    start_rest(journal);
}

void journal_rest(struct journal *journal)
{
    if (journal->is_in_memory || journal->is_resting || journal->error) return;
    journal->is_used = false;
    journal->wants_rest = true;
    journal_rest_step(journal);
}

/* ---- waking -----------------------------------------------------------------------------------
 */

static int open_segment(struct rest_job *rest, struct os *os)
{
    uint64_t end = rest->end;
    int rc = journal_segment_open(os, rest->path, rest->id, rest->number, true, &rest->segment);

    if (rc < 0) return rc == -ENOENT ? -EBADMSG : rc;
    journal_segment_begin_room(rest->segment, rest->offset);
    if (end > rest->segment->capacity) end = rest->segment->capacity;
    rc = journal_segment_make_room(os, rest->segment, end, rest->kind);
    if (rc < 0) {
        journal_segment_close(os, rest->segment);
        rest->segment = NULL;
    }
    return rc;
}

static void run_wake(struct io_job *job, struct os *os)
{
    struct rest_job *rest = (struct rest_job *)job;

    job->rc = open_segment(rest, os);
    if (job->rc < 0) return;
    job->rc = journal_meta_map(os, rest->path, rest->meta_fd, &rest->live, &rest->waiters);
    if (job->rc == 0) return;
    journal_segment_close(os, rest->segment);
    rest->segment = NULL;
}

static void wake_done(struct io_job *job)
{
    struct rest_job *rest = (struct rest_job *)job;
    struct journal *journal = rest->journal;

    rest->is_running = false;
    journal->room_error = job->rc;
    if (job->rc == 0) {
        free(journal->active);
        journal->active = rest->segment;
        journal_room_note(journal->active);
        journal->meta.live = rest->live;
        journal->meta.waiters = rest->waiters;
        journal->is_resting = false;
        journal_set_add(journal);
        journal_room_plan(journal);
    }
    journal_tell_progress(journal);
}

int journal_wake(struct journal *journal, uint64_t frame_bytes)
{
    uint64_t end = journal->offset + frame_bytes + ROOM_TAIL_BYTES + AHEAD_BYTES_MIN;

    if (!journal->jobs->rest.is_running && journal->room_error == 0) {
        end -= end % JOURNAL_PAGE_BYTES;
        journal->jobs->rest = (struct rest_job){ .journal = journal,
                                                 .is_running = true,
                                                 .path = journal->path,
                                                 .id = journal->meta.journal,
                                                 .number = journal->active->number,
                                                 .offset = journal->offset,
                                                 .end = end,
                                                 .kind = journal->room_kind,
                                                 .meta_fd = journal->meta.fd };
        journal->jobs->rest.job.run = run_wake;
        journal->jobs->rest.job.done = wake_done;
        io_submit(journal->io, &journal->jobs->rest.job);
    }
    return journal_room_answer(journal);
}
