/* reader_fetch.h - what a reader that never waits (reader_async.h) has, and what its jobs do.
 *
 *   reader_async.c   on the owner's thread: views, what is to be fetched and read ahead
 *   reader_fetch.c   on I/O threads: fetching, searching
 *
 * One job at a time has all but what is the owner's; the one that reads ahead may run beside it, or
 * beside views, and has only what it carries. */
#ifndef MODULES_JOURNAL_READER_FETCH_H
#define MODULES_JOURNAL_READER_FETCH_H
#include "modules/io/io.h"
#include "modules/journal/index.h"
#include "modules/journal/reader_async.h"
#include "modules/journal/stored.h"

struct journal;

enum {
    JOURNAL_WINDOW_BYTES = 64 << 10,
    /* Of what is packed, and of runs for reading backward, which may be longer than an index step.
     */
    JOURNAL_WIDE_WINDOW_BYTES = 128 << 10,
};

/* Tells the kernel what to read ahead. Views go on beside it; of the reader it has the file. */
struct journal_ahead_job {
    struct io_job job; /* first */
    struct journal_async *async;
    bool is_running;
    int fd;
    uint64_t offset, size;
};

struct journal_async {
    struct io_job job; /* first */
    struct journal *journal;
    void (*on_ready)(void *context);
    void *context;
    bool is_running;
    bool is_held; /* the job begins when that ends which reads ahead */
    bool is_old;  /* what the job brings: frames were dropped since it began */
    bool wants_whole, fetches_whole;
    bool has_seek;   /* position is the answer for that id */
    bool has_search; /* position is the answer for that search */
    int rc;          /* of the last job: told once */

    struct journal_stored stored;
    uint64_t number; /* of the segment that stored has open; 0: none */
    uint8_t *window;
    size_t window_capacity, window_size;
    uint64_t window_number, window_offset;
    /* What the job is to fetch. */
    uint64_t want_number, want_offset, want_size, want_limit;

    struct journal_ahead_job ahead;
    uint64_t ahead_bytes;          /* how far behind the window; 0: it has not read on yet */
    uint64_t ahead_end;            /* up to there it was asked for, in the window's segment */
    uint64_t due_offset, due_size; /* of what is to be asked for now; size 0: nothing */

    uint64_t time_ms, seq, position;
    struct journal_search search;
    /* For the job: first and last segment as they were, the end, and where to begin if not 0. */
    uint64_t search_start, search_end, search_hint;
    /* Of the segment that the search ends in, as the writer has it; empty: it has none. What it
     * has is in no file yet. */
    struct journal_index search_index;

    /* Of the writer's mapping all pages from there on were in memory when it was looked at last. */
    bool has_looked;
    uint64_t warm_number, warm_from;

    struct journal_index index; /* of an ended segment: */
    uint64_t index_number;      /* 0: of none */

    uint64_t memory_bytes; /* as it was when no job had it */
};

static inline uint64_t journal_async_least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* As much is fetched at once unless a frame is longer. is_whole: a run is gone through. */
static inline size_t journal_async_usual_window(const struct journal_async *async, bool is_whole)
{
    return is_whole || async->stored.packed ? JOURNAL_WIDE_WINDOW_BYTES : JOURNAL_WINDOW_BYTES;
}

static inline bool journal_async_has_window(const struct journal_async *async, uint64_t number,
                                            uint64_t offset, uint64_t size)
{
    return async->window_size > 0 && async->window_number == number &&
           offset >= async->window_offset &&
           offset + size <= async->window_offset + async->window_size;
}

/* What the job is to fetch. */
static inline void journal_async_want(struct journal_async *async, uint64_t number, uint64_t offset,
                                      uint64_t size, uint64_t limit)
{
    async->want_number = number;
    async->want_offset = offset;
    async->want_size = size;
    async->want_limit = limit;
    async->wants_whole = false;
}

/* Room for size bytes, and no more than usual when that is enough. -ENOMEM. */
int journal_async_need_window(struct journal_async *async, size_t size, size_t usual);

/* Jobs. */
void journal_async_run_fetch(struct io_job *job, struct os *os);
void journal_async_run_seek(struct io_job *job, struct os *os);
void journal_async_run_search(struct io_job *job, struct os *os);
void journal_async_run_index(struct io_job *job, struct os *os);
void journal_async_run_ahead(struct io_job *job, struct os *os);
#endif
