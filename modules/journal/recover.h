/* recover.h - what of a journal counts after its writer is gone, and the rest cut off.
 *
 * Frames are valid one after the other until one is not: there the journal **ends**. S is the
 * greatest position that is known to have been synced: the caller's, the live page's, the last
 * segment's header's, and those of all notes found, behind the end too.
 *
 *   end < S    damage where the device had promised: corruption. Nothing is changed; the report
 *              names file and offset.
 *   end >= S   what follows the end is a tail that power loss tore, even if valid frames are in it
 *              (pages reach the device in any order): it is cut to zeros, synced and counted before
 *              anything is appended, and segments behind it are removed.
 *
 * It is read from the segment of S on (all of it if asked), so that opening takes a time that does
 * not depend on the journal's size; damage further back is found by who reads there. A damaged
 * segment header counts as damage of the segment's first frame.
 *
 * **Set back.** An owner who keeps elsewhere how far the journal counts (a checkpoint of his) tells
 * where it is to end. Then S is that position, whatever anybody had noted before, and all that
 * follows is cut like a tail though it is right. Broken off, that can be done again; who opens it
 * between without knowing where it is to end may find notes of what has gone, hence corruption.
 * When it is done the live page, too, knows of no greater S, on the device.
 *
 * A reader who finds no published position of this boot uses the same rules without the cutting. */
#ifndef MODULES_JOURNAL_RECOVER_H
#define MODULES_JOURNAL_RECOVER_H
#include "modules/journal/index.h"
#include "modules/journal/journal.h"
#include "modules/journal/meta.h"

struct journal_extent {
    uint64_t first, last; /* segments that are there; 0, 0: none */
    uint64_t end;         /* position of the first byte that counts no more; 0: no segment */
    uint64_t synced;      /* S */
    uint64_t last_time_ms, last_seq; /* of the last data frame found; has_last_id tells of one */
    bool has_last_id;
    uint64_t segment_time_ms; /* of the first data frame of end's segment, if has_segment_time */
    bool has_segment_time;
    uint64_t frame_count; /* of data frames that were looked at */
    /* In end's segment: of the last byte that is not zero. Where it is set back: not looked for. */
    uint64_t used_end;
    bool is_set_back;
    struct journal_index index; /* of end's segment; the caller finishes it, also after an error */
};

/* Finds where the journal ends. synced: what the caller knows, or 0. Changes nothing. 0, -EBADMSG
 * (text says what and where), or the error of reading. */
int journal_recover_find(struct os *os, const char *path, const struct journal_meta *meta,
                         uint64_t synced, bool verifies_all, struct journal_extent *out_extent,
                         char text[JOURNAL_REPORT_TEXT_BYTES]);
/* Goes through the frames up to ends_at, where one begins or the last one ends: from the last index
 * point before it on, so that who opens a journal often need not read a segment each time.
 * -EBADMSG: the journal ends before, no frame begins there, or its segment is packed or has moved
 * (text). Changes nothing. */
int journal_recover_find_until(struct os *os, const char *path, const struct journal_meta *meta,
                               uint64_t ends_at, bool verifies_all,
                               struct journal_extent *out_extent,
                               char text[JOURNAL_REPORT_TEXT_BYTES]);
/* How many bytes of a tail lie behind extent's end, which journal_recover_cut would cut off.
 * Changes nothing; text says where they are, if there are any. */
int journal_recover_tail(struct os *os, const char *path, const struct journal_meta *meta,
                         const struct journal_extent *extent, uint64_t *out_bytes,
                         char text[JOURNAL_REPORT_TEXT_BYTES]);
/* Cuts off what lies behind extent's end, brings all before it to the device unless that is put
 * off, and adds to the report. Only for the writer. */
int journal_recover_cut(struct os *os, const char *path, const struct journal_meta *meta,
                        const struct journal_extent *extent, bool syncs_late,
                        struct journal_report *report);
#endif
