#include "modules/journal/tender.h"

#include <errno.h>

#include "modules/journal/index.h"
#include "modules/journal/meta.h"
#include "modules/journal/reindex.h"

void journal_tender_init(struct journal_tender *tender, struct os *os,
                         const struct journal_meta *meta, const struct journal_survey *survey)
{
    *tender = (struct journal_tender){ .os = os,
                                       .meta = meta,
                                       .codec = meta->settings.codec,
                                       .indexed_end = survey->first,
                                       .packed_end = survey->packed_end,
                                       .cool_end = survey->cool_end,
                                       .cold_end = survey->cold_end };
}

void journal_tender_finish(struct journal_tender *tender)
{
    journal_packer_destroy(tender->packer);
    tender->packer = NULL;
    journal_packer_destroy(tender->dropper);
    tender->dropper = NULL;
    journal_mover_destroy(tender->mover);
    tender->mover = NULL;
}

static bool packs(const struct journal_tender *tender)
{
    return tender->codec != JOURNAL_CODEC_NONE || tender->meta->settings.key_path;
}

void journal_tender_begin(struct journal_tender *tender)
{
    tender->index_error = tender->pack_error = tender->move_error = 0;
}

static void drop_packer(struct journal_tender *tender)
{
    journal_packer_destroy(tender->packer);
    tender->packer = NULL;
}

static void end_dropping(struct journal_tender *tender)
{
    journal_packer_destroy(tender->dropper);
    tender->dropper = NULL;
    tender->dropping.number = 0;
}

static void raise(uint64_t *number, uint64_t to)
{
    if (*number < to) *number = to;
}

void journal_tender_trim(struct journal_tender *tender, uint64_t first)
{
    if (tender->packer && journal_packer_number(tender->packer) < first) drop_packer(tender);
    if (tender->dropping.number < first) end_dropping(tender);
    if (tender->mover && journal_mover_number(tender->mover) < first) {
        journal_mover_destroy(tender->mover);
        tender->mover = NULL;
    }
    raise(&tender->indexed_end, first);
    raise(&tender->packed_end, first);
    raise(&tender->cool_end, first);
    raise(&tender->cold_end, first);
}

/* ---- indexes ----------------------------------------------------------------------------------
 */

static void reindex(struct journal_tender *tender)
{
    int rc = journal_reindex(tender->os, &tender->meta->places, tender->indexed_end,
                             tender->doubts_indexes);

    if (rc < 0 && rc != -ENOENT) {
        tender->index_error = rc;
        return;
    }
    tender->reindexed_count += rc == 1;
    tender->indexed_end++;
}

/* ---- packing ----------------------------------------------------------------------------------
 */

static void note_packed(struct journal_tender *tender, uint64_t number, uint32_t note,
                        const struct journal_packer *packer)
{
    tender->packed = (struct journal_packed_segment){
        .number = number, .file_bytes = journal_packer_file_bytes(packer), .note = note
    };
}

/* What packing has said at last: 0, or an error. */
static void end_packing(struct journal_tender *tender, int rc)
{
    if (rc == 0) note_packed(tender, tender->packed_end, 0, tender->packer);
    drop_packer(tender);
    tender->packed_count += rc == 0;
    tender->damaged_count += rc == -EBADMSG;
    /* What is damaged stays as it is; what is not there has been packed before. */
    if (rc == 0 || rc == -EBADMSG || rc == -ENOENT) {
        tender->packed_end++;
    } else {
        tender->pack_error = rc;
    }
}

static void pack(struct journal_tender *tender)
{
    const struct journal_meta *meta = tender->meta;
    int rc;

    if (tender->packer) {
        rc = journal_packer_step(tender->packer);
    } else {
        rc = journal_packer_create(tender->os, &meta->places, tender->packed_end, tender->codec,
                                   &tender->packer);
        if (rc == 0) rc = 1;
    }
    if (rc <= 0) end_packing(tender, rc);
}

/* ---- dropping ---------------------------------------------------------------------------------
 */

static int start_dropping(struct journal_tender *tender)
{
    struct journal_packer *packer = tender->packer;
    int rc;

    /* Both would make a file of one name. */
    if (packer && journal_packer_number(packer) == tender->dropping.number) drop_packer(tender);
    rc = journal_packer_create_dropping(tender->os, &tender->meta->places, &tender->dropping,
                                        &tender->dropper);
    return rc == 0 ? 1 : rc;
}

/* The index tells of what was to be left of a segment that is as it was: it is made once more. If
 * it cannot be removed, it leads to places that are right, and searches from there are longer. */
static void mend_index(struct journal_tender *tender)
{
    uint64_t number = tender->dropping.number;

    if (!tender->dropper || !journal_packer_has_replaced_index(tender->dropper)) return;
    (void)journal_index_remove(tender->os, tender->meta->places.paths[JOURNAL_HOT], number);
    if (tender->indexed_end > number) tender->indexed_end = number;
}

/* It is packed then; a segment that could not be written anew is as it was. */
static void go_on_dropping(struct journal_tender *tender)
{
    int rc = tender->dropper ? journal_packer_step(tender->dropper) : start_dropping(tender);

    if (rc > 0) return;
    if (rc == 0)
        note_packed(tender, tender->dropping.number, tender->dropping.note, tender->dropper);
    else
        mend_index(tender);
    tender->drop_error = rc;
    end_dropping(tender);
}

/* ---- moving -----------------------------------------------------------------------------------
 */

/* 1: the segment has been complete for so long. 0: not yet, see due_ms. */
static int is_due(struct journal_tender *tender, uint64_t number, uint64_t after_ms,
                  uint64_t now_ms)
{
    struct journal_stored next;
    uint64_t made_ms;
    int rc = journal_stored_open(tender->os, &tender->meta->places, number + 1, &next);

    made_ms = next.header.created_ms;
    journal_stored_close(&next);
    if (rc < 0) return rc;
    if (now_ms >= made_ms && now_ms - made_ms >= after_ms) return 1;
    if (after_ms <= UINT64_MAX - made_ms && made_ms + after_ms < tender->due_ms) {
        tender->due_ms = made_ms + after_ms;
    }
    return 0;
}

static int start_move(struct journal_tender *tender, uint64_t number, enum journal_tier tier)
{
    int rc = journal_mover_create(tender->os, &tender->meta->places, number, tier, &tender->mover);

    if (rc != -EALREADY) return rc < 0 ? rc : 1;
    if (tier == JOURNAL_COLD) tender->cold_end = number + 1;
    raise(&tender->cool_end, number + 1);
    return 1;
}

/* Starts the next move that is due. 1: it has. 0: none is. */
static int find_move(struct journal_tender *tender, uint64_t end, uint64_t now_ms)
{
    const struct journal_settings *settings = &tender->meta->settings;
    int rc = 0;

    if (packs(tender) && end > tender->packed_end) end = tender->packed_end;
    raise(&tender->cool_end, tender->cold_end);
    if (settings->cold_path && tender->cold_end < end) {
        rc = is_due(tender, tender->cold_end, settings->cold_after_ms, now_ms);
        if (rc != 0) return rc < 0 ? rc : start_move(tender, tender->cold_end, JOURNAL_COLD);
    }
    if (settings->cool_path && tender->cool_end < end) {
        rc = is_due(tender, tender->cool_end, settings->cool_after_ms, now_ms);
        if (rc != 0) return rc < 0 ? rc : start_move(tender, tender->cool_end, JOURNAL_COOL);
    }
    return rc;
}

static void go_on_moving(struct journal_tender *tender)
{
    int rc = journal_mover_step(tender->mover);

    if (rc > 0) return;
    if (rc < 0) tender->move_error = rc;
    journal_mover_destroy(tender->mover);
    tender->mover = NULL;
    tender->moved_count += rc == 0; /* find_move sees that it is there */
}

/* ---- steps ------------------------------------------------------------------------------------
 */

int journal_tender_step(struct journal_tender *tender, uint64_t end, uint64_t now_ms)
{
    int rc;

    tender->packed.number = 0;
    if (tender->packer && !packs(tender)) drop_packer(tender);
    if (tender->mover) {
        go_on_moving(tender);
        return 1;
    }
    if (tender->dropping.number >= end) end_dropping(tender);
    if (tender->dropping.number > 0) {
        go_on_dropping(tender);
        return 1;
    }
    if (tender->index_error == 0 && tender->indexed_end < end) {
        reindex(tender);
        return 1;
    }
    if (tender->pack_error == 0 && packs(tender) && tender->packed_end < end) {
        pack(tender);
        return 1;
    }
    tender->due_ms = UINT64_MAX;
    rc = tender->move_error == 0 ? find_move(tender, end, now_ms) : 0;
    if (rc < 0) tender->move_error = rc;
    if (rc > 0) return 1;
    if (tender->pack_error < 0) return tender->pack_error;
    return tender->move_error < 0 ? tender->move_error : tender->index_error;
}
