/* writer_internal.h - one of several writers: writer.c opens, syncs and closes, claim.c appends and
 * publishes, writer_tend.c packs, moves and drops what has ended. */
#ifndef MODULES_JOURNAL_WRITER_INTERNAL_H
#define MODULES_JOURNAL_WRITER_INTERNAL_H
#include "modules/journal/journal_writer.h"
#include "modules/journal/meta.h"
#include "modules/journal/segment.h"

/* The places where tests stop and kill a writer: each leaves something half done. */
enum journal_writer_step {
    JOURNAL_WRITER_LOOKED,  /* where the tail is, and nothing more */
    JOURNAL_WRITER_CLAIMED, /* and the tail still points there */
    JOURNAL_WRITER_TAIL_MOVED,
    JOURNAL_WRITER_FILLED,    /* all but the commit */
    JOURNAL_WRITER_COMMITTED, /* and not published */
    JOURNAL_WRITER_ROLLS,     /* has found no place for its frame in the segment */
    JOURNAL_WRITER_NEXT_MADE, /* the next segment is there, and this one has no END */
    JOURNAL_WRITER_ENDED,     /* and the tail still points at the END */
    JOURNAL_WRITER_STEP_COUNT,
};

struct journal_writer {
    struct os *os;
    char *path;
    struct journal_meta meta;
    uint32_t slot;
    struct journal_segment *segment; /* that was used last, or NULL */
    uint64_t indexed_end;            /* segments below have been seen to have their index */
    uint64_t stuck;                  /* a position that was blocked when it was seen last */
    void (*at_step)(void *context, enum journal_writer_step step); /* tests; else NULL */
    void *context;
};

/* claim.c */
/* Maps a segment unless it is. -ENOENT: it is not there plain; if the journal has gone on meanwhile
 * it may have been packed. */
int journal_writer_need_segment(struct journal_writer *writer, uint64_t number);
/* Seals what an earlier, dead holder of this writer's slot had claimed. */
int journal_writer_seal_slot(struct journal_writer *writer);
#endif
