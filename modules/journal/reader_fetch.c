/* What readers that never wait have done by I/O threads. A window is read, and the kernel told what
 * will be wanted behind it, before that read begins: so all of it is under way at once. */
#include "modules/journal/reader_fetch.h"

#include <errno.h>
#include <stdlib.h>

#include "modules/base/os.h"
#include "modules/journal/journal_internal.h"
#include "modules/journal/reader_internal.h"

enum {
    FIRST_BYTES = 128 << 10,  /* asked for at a new place: the window, and what may follow */
    BEFORE_BYTES = 256 << 10, /* the same for reading backward */
    /* A job that had to read waits for so much of what comes behind the window: else the next one
     * would not be there either. */
    AWAITED_BYTES = 192 << 10,
};

static int open_segment(struct journal_async *async, struct os *os)
{
    int rc;

    if (async->number == async->want_number) return 0;
    journal_stored_close(&async->stored);
    async->number = 0;
    rc = journal_stored_open(os, &async->journal->meta.places, async->want_number, &async->stored);
    if (rc < 0) {
        journal_stored_close(&async->stored);
        return rc;
    }
    async->number = async->want_number;
    if (!async->stored.packed) (void)os->advise(os, async->stored.fd, 0, 0, OS_ADVICE_RANDOM);
    return 0;
}

/* The writer may have made the file longer since it was opened. */
static int refresh_size(struct journal_stored *stored)
{
    if (stored->packed) return 0;
    return stored->os->size(stored->os, stored->fd, &stored->size_bytes);
}

int journal_async_need_window(struct journal_async *async, size_t size, size_t usual)
{
    uint8_t *window;

    if (size < usual) size = usual;
    if (async->window_capacity == size) return 0;
    window = malloc(size);
    if (!window) return -ENOMEM;
    free(async->window);
    async->window = window;
    async->window_capacity = size;
    async->window_size = 0;
    return 0;
}

/* Before the window is read, so that all of it is under way at once. Hints may fail. */
static void read_ahead(struct journal_async *async, struct os *os, uint64_t end)
{
    uint64_t from = async->want_offset, to = journal_async_least(end, from + FIRST_BYTES);

    if (async->stored.packed) return;
    if (async->due_size > 0) { /* what comes before it was asked for already */
        from = async->due_offset;
        to = journal_async_least(end, from + async->due_size);
    } else if (async->wants_whole) {
        from -= journal_async_least(from, BEFORE_BYTES);
    } else if (async->ahead_bytes > 0) {
        return;
    }
    if (from < to) (void)os->advise(os, async->stored.fd, from, to - from, OS_ADVICE_SOON);
}

/* Until what comes behind the window is there; if it cannot be read, who comes there is told. */
static void await_ahead(struct journal_async *async, struct os *os, uint64_t end)
{
    uint64_t at = async->want_offset + JOURNAL_WINDOW_BYTES + AWAITED_BYTES;
    uint8_t byte;

    if (async->stored.packed || async->ahead_bytes == 0 || at >= end) return;
    (void)os->pread(os, async->stored.fd, &byte, sizeof(byte), at);
}

/* The window as it is wanted, and more of what follows if it can be had. */
static int read_window(struct journal_async *async, uint64_t end)
{
    size_t usual = journal_async_usual_window(async, async->wants_whole);
    uint64_t size = journal_async_least(end - async->want_offset, usual);
    int rc;

    if (size < async->want_size) size = async->want_size;
    rc = journal_async_need_window(async, size, usual);
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

/* may_follow: what lies behind the window will be read, too. */
static int fetch(struct journal_async *async, struct os *os, bool may_follow)
{
    uint64_t end = async->want_limit;
    int rc = open_segment(async, os);

    if (rc == 0) rc = refresh_size(&async->stored);
    if (rc < 0) return rc;
    end = journal_async_least(end, async->stored.size_bytes);
    if (async->want_offset > end || async->want_size > end - async->want_offset) return -EBADMSG;
    if (may_follow) read_ahead(async, os, end);
    rc = read_window(async, end);
    if (rc == 0 && may_follow) await_ahead(async, os, end);
    return rc;
}

void journal_async_run_fetch(struct io_job *job, struct os *os)
{
    job->rc = fetch((struct journal_async *)job, os, true);
}

/* An ordinary reader may wait here, and knows the way. */
void journal_async_run_seek(struct io_job *job, struct os *os)
{
    struct journal_async *async = (struct journal_async *)job;
    struct journal_reader *reader;

    job->rc = journal_reader_open(os, async->journal->path, &reader);
    if (job->rc < 0) return;
    job->rc = journal_reader_seek_id(reader, async->time_ms, async->seq);
    async->position = journal_reader_position(reader);
    journal_reader_close(reader);
}

/* With the reader's own file and window, so that what was found need not be fetched again. */
void journal_async_run_search(struct io_job *job, struct os *os)
{
    struct journal_async *async = (struct journal_async *)job;
    struct journal_reader reader = { .os = os,
                                     .path = async->journal->path,
                                     .meta.fd = -1,
                                     .name_fd = -1,
                                     .searching = async,
                                     .found_end = async->search_end };

    job->rc = journal_reader_search(&reader, &async->search);
    async->position = reader.position;
}

int journal_async_view_here(struct journal_async *async, struct os *os, uint64_t number,
                            uint64_t offset, uint64_t size, uint64_t limit,
                            const uint8_t **out_bytes)
{
    int rc = 0;

    if (!journal_async_has_window(async, number, offset, size)) {
        journal_async_want(async, number, offset, size, limit);
        rc = fetch(async, os, false);
    }
    if (rc == 0) *out_bytes = async->window + (offset - async->window_offset);
    return rc;
}

uint64_t journal_async_search_start(const struct journal_async *async)
{
    return async->search_start;
}

uint64_t journal_async_search_hint(const struct journal_async *async)
{
    return async->search_hint;
}

const struct journal_index *journal_async_search_index(const struct journal_async *async)
{
    return async->search_index.count > 0 ? &async->search_index : NULL;
}

void journal_async_run_ahead(struct io_job *job, struct os *os)
{
    struct journal_ahead_job *ahead = (struct journal_ahead_job *)job;

    job->rc = os->advise(os, ahead->fd, ahead->offset, ahead->size, OS_ADVICE_SOON);
}

void journal_async_run_index(struct io_job *job, struct os *os)
{
    struct journal_async *async = (struct journal_async *)job;

    journal_index_clear(&async->index);
    job->rc = journal_index_load(os, async->journal->path, async->want_number,
                                 journal_async_seed(async, async->want_number), &async->index);
}
