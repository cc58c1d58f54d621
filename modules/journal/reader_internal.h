/* reader_internal.h - what a reader is: reader.c reads and seeks, reader_back.c reads backward,
 * reader_search.c seeks by what frames hold, reader_name.c keeps positions. */
#ifndef MODULES_JOURNAL_READER_INTERNAL_H
#define MODULES_JOURNAL_READER_INTERNAL_H
#include "modules/journal/journal_reader.h"
#include "modules/journal/reader_async.h"
#include "modules/journal/meta.h"
#include "modules/journal/source.h"

struct journal_reader {
    struct os *os;
    struct journal_async *async; /* never waits, and has nothing below but a position; or NULL */
    /* Of a reader that a job searches with: whose file and window it uses; or NULL. */
    struct journal_async *searching;
    /* In memory when it was last seen, so there is no meta and no source; else NULL. */
    const struct journal *home;
    char *path;
    struct journal_meta meta;
    uint64_t boot;      /* published counts when the live page has it too */
    uint64_t found_end; /* as recovery found it on opening, for when it does not */
    uint64_t position;
    struct journal_source *source; /* of position, or NULL */
    uint64_t last_position;        /* of the frame that was given last; 0: none since a seek */
    uint32_t last_crc;             /* its checksum */
    int name_fd;                   /* of the file of its name, locked; -1: it has none */
    uint64_t name_count;           /* of the slot that was written last */
    struct journal_run *run;       /* what reading backward has found, or NULL */
};

/* reader.c. The frame at position, of whatever state, and where it lies. 1, 0: the end is there, or
 * an error. end is at most what is published; nothing behind it is looked at. What a sealed one
 * passes over is not looked at, and does not lie there. */
int journal_reader_frame(struct journal_reader *reader, uint64_t end,
                         struct journal_frame *out_frame, const uint8_t **out_bytes);
/* As journal_reader_next; 0 also where the reader has come to until (journal_reader_next_some). */
int journal_reader_next_until(struct journal_reader *reader, uint64_t until,
                              struct journal_entry *out_entry);
void journal_reader_step_over(struct journal_reader *reader, const struct journal_frame *frame);
/* Opens the segment of reader->position unless it is. -ESTALE: it has been trimmed away. */
int journal_reader_need_source(struct journal_reader *reader);
/* Of the segment that it stands in. need_source has been called. */
uint32_t journal_reader_seed(const struct journal_reader *reader);
/* The numbers of the first and the last segment there are. Not of a reader that never waits, unless
 * the journal is in memory. */
int journal_reader_segments(struct journal_reader *reader, uint64_t *out_first, uint64_t *out_last);

/* reader_back.c. Accepts NULL. */
void journal_run_destroy(struct journal_run *run);
uint64_t journal_run_memory_bytes(const struct journal_run *run);

/* reader_here.c. Looks whether home is in memory still; else home is NULL and the reader is
 * attached to the files. 0, or the error of attaching. */
int journal_reader_look_home(struct journal_reader *reader);
/* The segment of a home that is in memory. */
const struct journal_segment *journal_reader_home_segment(const struct journal_reader *reader);
#endif
