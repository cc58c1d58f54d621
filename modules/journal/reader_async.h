/* reader_async.h - what a reader that never waits has instead of files of its own: a window that is
 * filled from the page cache if the bytes are there, else by a job on an I/O thread. */
#ifndef MODULES_JOURNAL_READER_ASYNC_H
#define MODULES_JOURNAL_READER_ASYNC_H
#include "modules/journal/journal_reader.h"

struct journal_async;
struct journal_index;

bool journal_async_is_busy(const struct journal_async *async);
bool journal_async_is_in_memory(const struct journal_async *async);
uint64_t journal_async_memory_bytes(struct journal_async *async);
/* Waits for the job that is under way. Accepts NULL. */
void journal_async_destroy(struct journal_async *async);
uint64_t journal_async_end(const struct journal_async *async);
uint64_t journal_async_start(const struct journal_async *async);
uint32_t journal_async_seed(const struct journal_async *async, uint64_t number);
/* Views [offset, offset + size) of a segment, of which nothing behind limit may be read yet; good
 * until the next call. -EAGAIN: a job fetches it. -ENOENT: there is no such segment any more. */
int journal_async_view(struct journal_async *async, uint64_t number, uint64_t offset, uint64_t size,
                       uint64_t limit, const uint8_t **out_bytes);
/* How many bytes from offset on lie where journal_async_view has shown what is before them:
 * *out_bytes, good as long as that. Some of them may not be published. 0: none. */
uint64_t journal_async_at_hand(const struct journal_async *async, uint64_t number, uint64_t offset,
                               const uint8_t **out_bytes);
/* A run is gone through, and then again backward: the window is to hold all of it. */
void journal_async_fetch_whole(struct journal_async *async, bool is_whole);
/* The last index point of a segment that lies before offset, 0 if there is none. -EAGAIN: a job
 * reads the index. */
int journal_async_point_before(struct journal_async *async, uint64_t number, uint64_t offset,
                               uint64_t *out_offset);
/* Whether the writer's own mapping has it, in pages that are certainly there. */
bool journal_async_is_warm(struct journal_async *async, uint64_t number, uint64_t offset);
/* Whether the frame that begins there can be looked at at once, or its header at least. */
bool journal_async_has(const struct journal_async *async, uint64_t number, uint64_t offset);
/* Nobody comes back for what was fetched last: why it could not be is told to nobody. Not busy. */
void journal_async_forget_error(struct journal_async *async);
/* Time has passed: what was in the mapping may not be there any more. */
void journal_async_look_again(struct journal_async *async);
/* Frames were dropped: what it has of files is forgotten. */
void journal_async_look_anew(struct journal_async *async);
/* Where a search ends. -EAGAIN: a job searches. Its answer is for the next call with that key. */
int journal_async_search(struct journal_async *async, const struct journal_search *search,
                         uint64_t *out_position);
/* For the reader that a job searches with: the first segment's start, and the index point to begin
 * at, as the owner saw them when the search began; 0: none is known. */
uint64_t journal_async_search_start(const struct journal_async *async);
uint64_t journal_async_search_hint(const struct journal_async *async);
/* The index of the segment that it ends in, if the writer has that; NULL: it is in a file. */
const struct journal_index *journal_async_search_index(const struct journal_async *async);
/* As journal_async_view, in the job: waits for the disk. */
int journal_async_view_here(struct journal_async *async, struct os *os, uint64_t number,
                            uint64_t offset, uint64_t size, uint64_t limit,
                            const uint8_t **out_bytes);
void journal_async_forget_search(struct journal_async *async);
/* Where the first frame is whose id is not less. -EAGAIN: a job looks for it. */
int journal_async_seek_id(struct journal_async *async, uint64_t time_ms, uint64_t seq,
                          uint64_t *out_position);
#endif
