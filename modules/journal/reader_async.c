/* Reading on the thread that owns the journal. Bytes come from, whichever has them first:
 *
 *   memory          the journal has no file yet
 *   the mapping     the writer's last MiB, in pages that it has touched
 *   the window      what was fetched last
 *   the page cache  pread_now() into the window
 *   a job           reads, or unpacks, into the window; the call returns -EAGAIN, on_ready follows
 *
 * While a job runs, what it works with is its own. */
#include "modules/journal/reader_async.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/os.h"
#include "modules/journal/journal_internal.h"
#include "modules/journal/reader_internal.h"
#include "modules/journal/stored.h"

enum { WINDOW_BYTES = 256 << 10, COPY_BYTES = 64 << 10 };

struct journal_async {
    struct io_job job; /* first */
    struct journal *journal;
    void (*on_ready)(void *context);
    void *context;
    bool is_running;

    struct journal_stored stored;
    uint64_t number; /* of the segment that stored has open; 0: none */
    uint8_t *window;
    size_t window_capacity, window_size;
    uint64_t window_number, window_offset;
    /* What the job is to fetch, and what came of it: told once. */
    uint64_t want_number, want_offset, want_size, want_limit;
    int rc;

    bool has_seek; /* position is the answer for that id */
    uint64_t time_ms, seq, position;
    bool has_search; /* position is the answer for that one */
    struct journal_search search;

    bool fetches_whole;
    struct journal_index index; /* of an ended segment: */
    uint64_t index_number;      /* 0: of none */
};

/* ---- on an I/O thread -------------------------------------------------------------------------
 */

static int open_segment(struct journal_async *async, struct os *os)
{
    int rc;

    if (async->number == async->want_number) return 0;
    journal_stored_close(&async->stored);
    async->number = 0;
    rc = journal_stored_open(os, &async->journal->meta.places, async->want_number, &async->stored);
    if (rc == 0) async->number = async->want_number;
    if (rc < 0) journal_stored_close(&async->stored);
    return rc;
}

/* The writer may have made the file longer since it was opened. */
static int refresh_size(struct journal_stored *stored)
{
    if (stored->packed) return 0;
    return stored->os->size(stored->os, stored->fd, &stored->size_bytes);
}

static int need_window(struct journal_async *async, size_t size)
{
    uint8_t *window;

    if (size < WINDOW_BYTES) size = WINDOW_BYTES;
    if (async->window_capacity == size) return 0;
    window = malloc(size);
    if (!window) return -ENOMEM;
    free(async->window);
    async->window = window;
    async->window_capacity = size;
    async->window_size = 0;
    return 0;
}

static int fetch(struct journal_async *async, struct os *os)
{
    uint64_t end = async->want_limit, size;
    int rc = open_segment(async, os);

    if (rc == 0) rc = refresh_size(&async->stored);
    if (rc < 0) return rc;
    if (end > async->stored.size_bytes) end = async->stored.size_bytes;
    if (async->want_offset > end || async->want_size > end - async->want_offset) return -EBADMSG;
    size = end - async->want_offset;
    if (size > WINDOW_BYTES) size = WINDOW_BYTES;
    if (size < async->want_size) size = async->want_size;
    rc = need_window(async, size);
    if (rc < 0) return rc;
    async->window_size = 0;
    rc = journal_stored_read(&async->stored, async->window, size, async->want_offset);
    if (rc < 0 && size > async->want_size) {
        /* What is damaged there must not hide what is good here. Nor is the file as long any more
         * as it was just now, when the segment has ended meanwhile and was cut. */
        size = async->want_size;
        rc = journal_stored_read(&async->stored, async->window, size, async->want_offset);
    }
    if (rc < 0) return rc;
    async->window_number = async->want_number;
    async->window_offset = async->want_offset;
    async->window_size = size;
    return 0;
}

static void run_fetch(struct io_job *job, struct os *os)
{
    job->rc = fetch((struct journal_async *)job, os);
}

/* An ordinary reader may wait here, and knows the way. */
static void run_seek(struct io_job *job, struct os *os)
{
    struct journal_async *async = (struct journal_async *)job;
    struct journal_reader *reader;

    job->rc = journal_reader_open(os, async->journal->path, &reader);
    if (job->rc < 0) return;
    job->rc = journal_reader_seek_id(reader, async->time_ms, async->seq);
    async->position = journal_reader_position(reader);
    journal_reader_close(reader);
}

static void run_search(struct io_job *job, struct os *os)
{
    struct journal_async *async = (struct journal_async *)job;
    struct journal_reader *reader;

    job->rc = journal_reader_open(os, async->journal->path, &reader);
    if (job->rc < 0) return;
    job->rc = journal_reader_search(reader, &async->search);
    async->position = journal_reader_position(reader);
    journal_reader_close(reader);
}

static void run_index(struct io_job *job, struct os *os)
{
    struct journal_async *async = (struct journal_async *)job;

    journal_index_clear(&async->index);
    job->rc = journal_index_load(os, async->journal->path, async->want_number,
                                 journal_async_seed(async, async->want_number), &async->index);
}

/* ---- on the owner's thread --------------------------------------------------------------------
 */

static void fetch_done(struct io_job *job)
{
    struct journal_async *async = (struct journal_async *)job;

    async->is_running = false;
    async->rc = job->rc;
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

static int submit(struct journal_async *async, void (*run)(struct io_job *job, struct os *os),
                  void (*done)(struct io_job *job))
{
    async->is_running = true;
    async->job.run = run;
    async->job.done = done;
    async->job.is_urgent = true;
    io_submit(async->journal->io, &async->job);
    return -EAGAIN;
}

static int take_error(struct journal_async *async)
{
    int rc = async->rc;

    async->rc = 0;
    return rc;
}

/* Whether the writer's own mapping has it, in pages that are certainly there. */
static bool is_warm(const struct journal *journal, uint64_t number, uint64_t offset)
{
    if (number != journal->active->number || journal->is_resting) return false;
    if (journal->is_in_memory) return true;
    return journal->way == JOURNAL_MAPPED && offset + JOURNAL_WARM_BYTES >= journal->offset;
}

static bool has_window(const struct journal_async *async, uint64_t number, uint64_t offset,
                       uint64_t size)
{
    return async->window_size > 0 && async->window_number == number &&
           offset >= async->window_offset &&
           offset + size <= async->window_offset + async->window_size;
}

/* Fills the window with what is in the page cache. False: not all of it is. */
static bool fill_now(struct journal_async *async, uint64_t number, uint64_t offset, uint64_t size,
                     uint64_t limit)
{
    struct os *os = async->journal->os;
    uint64_t want = limit - offset, most = async->fetches_whole ? WINDOW_BYTES : COPY_BYTES;
    ssize_t got;

    if (async->number != number || async->stored.packed || size > WINDOW_BYTES) return false;
    if (need_window(async, 0) < 0) return false;
    if (want > most) want = size > most ? size : most;
    async->window_size = 0;
    got = os->pread_now(os, async->stored.fd, async->window, want, offset);
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

    if (is_warm(journal, number, offset)) {
        *out_bytes = journal->active->map + offset;
        return 0;
    }
    if (async->is_running) return -EAGAIN;
    rc = take_error(async);
    if (rc < 0) return rc;
    if (!has_window(async, number, offset, size) && !fill_now(async, number, offset, size, limit)) {
        async->want_number = number;
        async->want_offset = offset;
        async->want_size = size;
        async->want_limit = limit;
        return submit(async, run_fetch, fetch_done);
    }
    *out_bytes = async->window + (offset - async->window_offset);
    return 0;
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
    return submit(async, run_seek, seek_done);
}

int journal_async_search(struct journal_async *async, const struct journal_search *search,
                         uint64_t *out_position)
{
    int rc;

    if (async->is_running) return -EAGAIN;
    rc = take_error(async);
    if (rc < 0) return rc;
    if (async->has_search && async->search.key == search->key) {
        async->has_search = false; /* the next may find more frames */
        *out_position = async->position;
        return 0;
    }
    async->has_search = false;
    async->search = *search;
    return submit(async, run_search, search_done);
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
            return submit(async, run_index, index_done);
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

bool journal_async_is_warm(const struct journal_async *async, uint64_t number, uint64_t offset)
{
    return is_warm(async->journal, number, offset);
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
    return async->is_running;
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
    while (async->is_running)
        (void)io_wait(async->journal->io);
    journal_stored_close(&async->stored);
    journal_index_finish(&async->index);
    free(async->window);
    free(async);
}
