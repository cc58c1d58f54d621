/* Tending by one of several writers. A segment below the synced position is complete: every claim
 * in it was committed or sealed. A writer that was sealed while it slept may still fill its frame
 * when it wakes, in a file that has no name any more; nobody reads that, and its commit fails. */
#include "modules/journal/writer_internal.h"

#include <errno.h>

#include "modules/journal/tender.h"

static int tend_one(struct journal_tender *tender, uint64_t end, uint64_t now_ms)
{
    int rc;

    do {
        rc = journal_tender_step(tender, end, now_ms);
        if (tender->packed_count + tender->moved_count + tender->reindexed_count > 0) return 1;
    } while (rc > 0);
    return rc;
}

int journal_writer_tend(struct journal_writer *writer, uint64_t now_ms)
{
    struct journal_meta *meta = &writer->meta;
    struct journal_tender tender;
    struct journal_survey survey;
    int rc;

    rc = journal_meta_take_tending(writer->os, meta);
    if (rc < 0) return rc == -EWOULDBLOCK ? 0 : rc;
    rc = journal_places_clean(writer->os, &meta->places);
    if (rc == 0) rc = journal_places_survey(writer->os, &meta->places, &survey);
    if (rc == 0) {
        journal_tender_init(&tender, writer->os, meta, &survey);
        if (tender.indexed_end < writer->indexed_end) tender.indexed_end = writer->indexed_end;
        rc = tend_one(&tender, journal_segment_of(journal_writer_synced(writer)), now_ms);
        writer->indexed_end = tender.indexed_end;
        journal_tender_finish(&tender);
    }
    journal_meta_let_tending(writer->os, meta);
    return rc;
}

int journal_writer_trim(struct journal_writer *writer, uint64_t position)
{
    uint64_t end = journal_segment_of(journal_writer_synced(writer));
    struct journal_meta *meta = &writer->meta;
    struct journal_survey survey;
    int rc = journal_meta_take_tending(writer->os, meta);

    if (rc < 0) return rc;
    if (end > journal_segment_of(position)) end = journal_segment_of(position);
    rc = journal_places_survey(writer->os, &meta->places, &survey);
    if (rc == 0 && survey.first > 0) {
        rc = journal_places_remove(writer->os, &meta->places, survey.first, end);
    }
    journal_meta_let_tending(writer->os, meta);
    return rc;
}
