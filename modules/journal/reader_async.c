/* Reading on the thread that owns the journal. Bytes come from, whichever has them first:
 *
 *   memory          the journal has no file yet
 *   the mapping     the writer's last MiB, in pages that it has touched and that are there still
 *   the window      what was fetched last
 *   the page cache  pread_now() into the window
 *   a job           reads, or unpacks, into the window; the call returns -EAGAIN, on_ready follows
 *
 * While a job runs, what it works with is its own.
 *
 * **Who reads on** from window to window has the kernel read ahead for it, so that the next windows
 * are in the page cache when it gets there: the more the longer it has read on, by jobs of their
 * own beside which views go on. The kernel's own reading ahead is turned off: it would be done by
 * whoever comes to its edge, which is the thread that must not wait.
 *
 *      window             ahead_end                         asked for when less than half of it is
 *   …  |######|───────────|                                 left:  window end .. + ahead_bytes */
#include "modules/journal/reader_async.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/os.h"
#include "modules/journal/journal_internal.h"
#include "modules/journal/reader_fetch.h"
#include "modules/journal/reader_internal.h"

/* How far is read ahead for a reader, the longer it reads on. */
enum { READ_AHEAD_BYTES_MIN = 256 << 10, READ_AHEAD_BYTES_MAX = 2 << 20 };

/* The next job closes the file. */
static void forget_files(struct journal_async *async)
{
    async->number = 0;
    async->window_size = 0;
    async->index_number = 0;
    async->is_old = false;
}

static void fetch_done(struct io_job *job)
{
    struct journal_async *async = (struct journal_async *)job;

    async->is_running = false;
    async->rc = job->rc;
    if (async->is_old) forget_files(async);
    if (async->on_ready) async->on_ready(async->context);
}

static void seek_done(struct io_job *job)
{
    struct journal_async *async = (struct journal_async *)job;

    async->has_seek = job->rc == 0;
    fetch_done(job);
}

static void search_done(struct io_job *job)
{
    struct journal_async *async = (struct journal_async *)job;

    async->has_search = job->rc == 0;
    fetch_done(job);
}

static void index_done(struct io_job *job)
{
    struct journal_async *async = (struct journal_async *)job;

    if (job->rc == 0) async->index_number = async->want_number;
    fetch_done(job);
}

/* What was to be done about the reader meanwhile can be done now: who waits for that looks. */
static void ahead_done(struct io_job *job)
{
    struct journal_ahead_job *ahead = (struct journal_ahead_job *)job;
    struct journal_async *async = ahead->async;

    ahead->is_running = false;
    if (async->is_held)
        io_submit(async->journal->io, &async->job);
    else if (async->on_ready)
        async->on_ready(async->context);
    async->is_held = false;
}

/* Which may change the file that the other one has. */
static int submit(struct journal_async *async, void (*run)(struct io_job *job, struct os *os),
                  void (*done)(struct io_job *job))
{
    async->is_running = true;
    async->job.run = run;
    async->job.done = done;
    async->job.is_urgent = true;
    async->is_held = async->ahead.is_running;
    if (!async->is_held) io_submit(async->journal->io, &async->job);
    return -EAGAIN;
}

static void submit_ahead(struct journal_async *async)
{
    if (async->due_size == 0) return;
    async->ahead =
        (struct journal_ahead_job){ .job = { .run = journal_async_run_ahead, .done = ahead_done },
                                    .async = async,
                                    .is_running = true,
                                    .fd = async->stored.fd,
                                    .offset = async->due_offset,
                                    .size = async->due_size };
    async->ahead.job.is_urgent = true;
    io_submit(async->journal->io, &async->ahead.job);
}

static int take_error(struct journal_async *async)
{
    int rc = async->rc;

    async->rc = 0;
    return rc;
}

void journal_async_forget_error(struct journal_async *async)
{
    assert(!async->is_running);
    async->rc = 0;
}

/* Whether the writer's own mapping may have it in memory. */
static bool may_be_warm(const struct journal *journal, uint64_t number, uint64_t offset)
{
    if (number != journal->active->number || journal->is_resting) return false;
    if (journal->is_in_memory) return true;
    return journal->way == JOURNAL_MAPPED && offset + JOURNAL_WARM_BYTES >= journal->offset;
}

/* Whether it was found there: what was appended since is there, too. */
static bool is_warm(const struct journal_async *async, uint64_t number, uint64_t offset)
{
    const struct journal *journal = async->journal;

    if (!may_be_warm(journal, number, offset)) return false;
    if (journal->is_in_memory) return true;
    return async->has_looked && number == async->warm_number && offset >= async->warm_from;
}

/* The kernel may have taken pages that were not used for a while: a load there would wait. Only
 * where it looks no further back is it looked again before journal_async_look_again. */
static bool look_whether_warm(struct journal_async *async, uint64_t number, uint64_t offset)
{
    const struct journal *journal = async->journal;
    struct os *os = journal->os;
    uint64_t from = offset - offset % JOURNAL_PAGE_BYTES, end = journal->offset;
    size_t there;

    if (is_warm(async, number, offset)) return true;
    if (!may_be_warm(journal, number, offset)) return false;
    end += JOURNAL_PAGE_BYTES - 1;
    end -= end % JOURNAL_PAGE_BYTES;
    if (os->resident(os, journal->active->map + from, end - from, &there) < 0) there = 0;
    async->has_looked = true;
    async->warm_number = number;
    async->warm_from = end - there;
    return offset >= async->warm_from;
}

void journal_async_look_again(struct journal_async *async)
{
    async->has_looked = false;
}

void journal_async_look_anew(struct journal_async *async)
{
    if (async->is_running)
        async->is_old = true;
    else
        forget_files(async);
}

/* Whether a window that begins there goes on where the one before ends. */
static bool reads_on(const struct journal_async *async, uint64_t number, uint64_t offset)
{
    uint64_t end = async->window_offset + async->window_size;

    if (async->fetches_whole || async->window_size == 0) return false;
    if (number == async->window_number) return offset >= async->window_offset && offset <= end;
    return number == async->window_number + 1 && offset == JOURNAL_SEGMENT_HEADER_BYTES &&
           async->number == async->window_number && end >= async->stored.size_bytes;
}

/* What is to be asked for as the window moves to where it reads on. */
static void plan_ahead(struct journal_async *async, uint64_t number, uint64_t offset,
                       uint64_t limit)
{
    uint64_t window_end = offset + JOURNAL_WINDOW_BYTES, end, left;

    async->due_size = 0;
    if (!reads_on(async, number, offset)) {
        async->ahead_bytes = async->ahead_end = 0;
        return;
    }
    if (async->ahead.is_running) return;
    if (number != async->window_number || async->ahead_end < offset) async->ahead_end = offset;
    left = async->ahead_end > window_end ? async->ahead_end - window_end : 0;
    if (left > async->ahead_bytes / 2) return;
    async->ahead_bytes = journal_async_least(2 * async->ahead_bytes, READ_AHEAD_BYTES_MAX);
    if (async->ahead_bytes == 0) async->ahead_bytes = READ_AHEAD_BYTES_MIN;
    if (async->number == number) limit = journal_async_least(limit, async->stored.size_bytes);
    end = journal_async_least(window_end + async->ahead_bytes, limit);
    if (end <= async->ahead_end) return;
    async->due_offset = async->ahead_end;
    async->due_size = end - async->ahead_end;
    async->ahead_end = end;
}

/* Fills the window with what is in the page cache. False: not all of it is. */
static bool fill_now(struct journal_async *async, uint64_t number, uint64_t offset, uint64_t size,
                     uint64_t limit)
{
    struct os *os = async->journal->os;
    size_t most = journal_async_usual_window(async, async->fetches_whole);
    ssize_t got;

    async->window_size = 0;
    if (async->number != number || async->stored.packed || size > most) return false;
    if (journal_async_need_window(async, 0, most) < 0) return false;
    got = os->pread_now(os, async->stored.fd, async->window,
                        journal_async_least(limit - offset, most), offset);
    if (got < (ssize_t)size) return false; /* an error too: the job will meet it and tell */
    async->window_number = number;
    async->window_offset = offset;
    async->window_size = (size_t)got;
    return true;
}

int journal_async_view(struct journal_async *async, uint64_t number, uint64_t offset, uint64_t size,
                       uint64_t limit, const uint8_t **out_bytes)
{
    const struct journal *journal = async->journal;
    int rc;

    if (look_whether_warm(async, number, offset)) {
        *out_bytes = journal->active->map + offset;
        return 0;
    }
    if (async->is_running) return -EAGAIN;
    rc = take_error(async);
    if (rc < 0) return rc;
    if (!journal_async_has_window(async, number, offset, size)) {
        plan_ahead(async, number, offset, limit);
        if (!fill_now(async, number, offset, size, limit)) {
            journal_async_want(async, number, offset, size, limit);
            async->wants_whole = async->fetches_whole;
            return submit(async, journal_async_run_fetch, fetch_done);
        }
        submit_ahead(async);
    }
    *out_bytes = async->window + (offset - async->window_offset);
    return 0;
}

bool journal_async_has(const struct journal_async *async, uint64_t number, uint64_t offset)
{
    if (may_be_warm(async->journal, number, offset)) return true;
    return !async->is_running &&
           journal_async_has_window(async, number, offset, JOURNAL_FRAME_HEADER_BYTES);
}

uint64_t journal_async_at_hand(const struct journal_async *async, uint64_t number, uint64_t offset,
                               const uint8_t **out_bytes)
{
    const struct journal *journal = async->journal;

    if (is_warm(async, number, offset)) {
        *out_bytes = journal->active->map + offset;
        return journal->offset - offset;
    }
    if (async->is_running || !journal_async_has_window(async, number, offset, 1)) return 0;
    *out_bytes = async->window + (offset - async->window_offset);
    return async->window_offset + async->window_size - offset;
}

int journal_async_seek_id(struct journal_async *async, uint64_t time_ms, uint64_t seq,
                          uint64_t *out_position)
{
    int rc;

    if (async->is_running) return -EAGAIN;
    rc = take_error(async);
    if (rc < 0) return rc;
    if (async->has_seek && async->time_ms == time_ms && async->seq == seq) {
        async->has_seek = false; /* the next may find more frames */
        *out_position = async->position;
        return 0;
    }
    async->has_seek = false;
    async->time_ms = time_ms;
    async->seq = seq;
    return submit(async, journal_async_run_seek, seek_done);
}

void journal_async_forget_search(struct journal_async *async)
{
    async->has_search = false;
}

/* The index of a segment that the writer still has, or NULL. */
static const struct journal_index *index_of(const struct journal *journal, uint64_t number)
{
    if (number == journal->active->number) return &journal->index;
    for (const struct journal_retired *r = journal->retired_head; r; r = r->next)
        if (r->segment->number == number) return &r->index;
    return NULL;
}

static void begin_search(struct journal_async *async, const struct journal_search *search)
{
    uint64_t number = journal_segment_of(search->last);
    const struct journal_index *index = search->last > 0 ? index_of(async->journal, number) : NULL;

    async->search = *search;
    async->search_start = journal_async_start(async);
    async->search_end = journal_published(async->journal);
    async->search_hint = 0;
    journal_index_clear(&async->search_index);
    if (index && search->has_id)
        async->search_hint = journal_index_find_id(index, search->time_ms, search->seq);
    else if (index)
        (void)journal_index_copy(&async->search_index, index); /* with fewer it walks further */
    if (async->search_hint > 0) async->search_hint = journal_position(number, async->search_hint);
}

/* What was published since may lie before the place, too. */
static bool is_answer(const struct journal_async *async)
{
    return async->position < async->search_end ||
           journal_published(async->journal) == async->search_end;
}

int journal_async_search(struct journal_async *async, const struct journal_search *search,
                         uint64_t *out_position)
{
    bool is_done;
    int rc;

    if (async->is_running) return -EAGAIN;
    rc = take_error(async);
    if (rc < 0) return rc;
    is_done = async->has_search && async->search.key == search->key && is_answer(async);
    async->has_search = false; /* the next may find more frames */
    if (is_done) {
        *out_position = async->position;
        return 0;
    }
    begin_search(async, search);
    return submit(async, journal_async_run_search, search_done);
}

int journal_async_point_before(struct journal_async *async, uint64_t number, uint64_t offset,
                               uint64_t *out_offset)
{
    const struct journal_index *index = index_of(async->journal, number);
    int rc;

    if (!index) {
        if (async->is_running) return -EAGAIN;
        rc = take_error(async);
        if (rc < 0) return rc;
        if (async->index_number != number) {
            async->index_number = 0;
            async->want_number = number;
            return submit(async, journal_async_run_index, index_done);
        }
        index = &async->index;
    }
    *out_offset = journal_index_find_before(index, offset);
    return 0;
}

void journal_async_fetch_whole(struct journal_async *async, bool is_whole)
{
    async->fetches_whole = is_whole;
}

bool journal_async_is_warm(struct journal_async *async, uint64_t number, uint64_t offset)
{
    return look_whether_warm(async, number, offset);
}

uint64_t journal_async_end(const struct journal_async *async)
{
    return journal_published(async->journal);
}

uint64_t journal_async_start(const struct journal_async *async)
{
    return journal_segment_start(async->journal->first_segment);
}

uint32_t journal_async_seed(const struct journal_async *async, uint64_t number)
{
    return journal_seed(async->journal->meta.journal, number);
}

bool journal_async_is_busy(const struct journal_async *async)
{
    return async->is_running || async->ahead.is_running;
}

uint64_t journal_async_memory_bytes(struct journal_async *async)
{
    const struct journal_packed *packed;

    if (async->is_running) return async->memory_bytes;
    packed = async->stored.packed;
    async->memory_bytes =
        async->window_capacity +
        (async->index.capacity + async->search_index.capacity) * sizeof(*async->index.entries) +
        (packed ? journal_packed_memory_bytes(packed) : 0);
    return async->memory_bytes;
}

bool journal_async_is_in_memory(const struct journal_async *async)
{
    return async->journal->is_in_memory;
}

/* ---- life -------------------------------------------------------------------------------------
 */

int journal_reader_open_async(struct journal *journal, void (*on_ready)(void *context),
                              void *context, struct journal_reader **out_reader)
{
    struct journal_reader *reader = calloc(1, sizeof(*reader));
    struct journal_async *async = calloc(1, sizeof(*async));

    if (!reader || !async) {
        free(reader);
        free(async);
        return -ENOMEM;
    }
    async->journal = journal;
    async->on_ready = on_ready;
    async->context = context;
    async->stored = (struct journal_stored){ .os = journal->os, .fd = -1 };
    reader->os = journal->os;
    reader->meta.fd = -1;
    reader->name_fd = -1;
    reader->async = async;
    reader->position = journal_async_start(async);
    *out_reader = reader;
    return 0;
}

void journal_async_destroy(struct journal_async *async)
{
    if (!async) return;
    async->on_ready = NULL;
    while (journal_async_is_busy(async))
        (void)io_wait(async->journal->io);
    journal_stored_close(&async->stored);
    journal_index_finish(&async->index);
    journal_index_finish(&async->search_index);
    free(async->window);
    free(async);
}
