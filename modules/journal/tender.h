/* tender.h - what is done to segments that have ended and are on the device: indexes that are
 * missing are rebuilt, segments are packed, and moved to other tiers when they are old enough.
 *
 * In steps, oldest first, one thing at a time. Who has a tender sees to it that nobody else does
 * the same to that journal, and that nothing is trimmed during a step. Functions wait for the disk.
 */
#ifndef MODULES_JOURNAL_TENDER_H
#define MODULES_JOURNAL_TENDER_H
#include "modules/journal/mover.h"
#include "modules/journal/packer.h"

struct journal_meta;

struct journal_tender {
    struct os *os;
    const struct journal_meta *meta;
    enum journal_codec codec;      /* to pack with; may be changed between steps */
    struct journal_packer *packer; /* at work, or NULL */
    /* Frames to be dropped; may be set between steps when number is 0, and it is when that is over.
     */
    struct journal_dropping dropping;
    struct journal_packer *dropper; /* at work, or NULL */
    int drop_error;                 /* why that could not be done the last time, or 0 */
    struct journal_mover *mover;
    /* Where the next segment for each of these is. */
    uint64_t indexed_end, packed_end, cool_end, cold_end;
    bool doubts_indexes; /* of segments of which frames were dropped, too (reindex.h) */
    int index_error, pack_error, move_error; /* of this round: not tried again before the next */
    uint64_t due_ms; /* when something may be to be done next; UINT64_MAX: with a new one */
    uint64_t packed_count, moved_count, damaged_count, reindexed_count;
    struct journal_packed_segment packed; /* by the last step; number 0: it packed none */
};

/* meta must outlive the tender. */
void journal_tender_init(struct journal_tender *tender, struct os *os,
                         const struct journal_meta *meta, const struct journal_survey *survey);
/* Breaks off what is half done. Also of one that is all zero. */
void journal_tender_finish(struct journal_tender *tender);
/* Begins a round: what had failed may be tried again. */
void journal_tender_begin(struct journal_tender *tender);
/* A step for segments below end, all of which have ended and are synced. 1: go on. 0: nothing is to
 * be done before due_ms. Else the first error of the round, when all else is done. */
int journal_tender_step(struct journal_tender *tender, uint64_t end, uint64_t now_ms);
/* Segments below first are gone, or are about to. */
void journal_tender_trim(struct journal_tender *tender, uint64_t first);
#endif
