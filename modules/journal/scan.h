/* scan.h - going through the frames of a segment's file, believing nothing.
 *
 * Reads (stored.h), so that a bad block is an error and not a signal, in a window of its own. For
 * recovery, checking and rebuilding indexes. Waits for the disk. One thread at a time. */
#ifndef MODULES_JOURNAL_SCAN_H
#define MODULES_JOURNAL_SCAN_H
#include "modules/journal/format.h"

struct journal_stored;

enum { JOURNAL_SCAN_WINDOW_BYTES = 256 << 10 };

struct journal_scan {
    struct journal_stored *stored;
    uint32_t seed;
    uint64_t end;    /* of what is looked at: what there is of the plain file */
    uint8_t *window; /* of window_capacity bytes: no more than the file has */
    size_t window_capacity;
    uint64_t window_offset;
    size_t window_size;
};

/* stored stays the caller's. -ENOMEM. */
int journal_scan_init(struct journal_scan *scan, struct journal_stored *stored);
void journal_scan_finish(struct journal_scan *scan); /* also of one that is all zero */

/* Looks at the frame at offset. 1: it is whole and right. 0: nothing was written there, or the file
 * ends there. -EAGAIN: claimed. -EBADMSG: damaged. Else the error of reading. */
int journal_scan_frame(struct journal_scan *scan, uint64_t offset, struct journal_frame *out_frame);
/* The first 8 bytes of a frame's payload, which has as many, little-endian: what a note says. */
int journal_scan_head(struct journal_scan *scan, uint64_t offset, uint64_t *out_head);
/* The end of the last byte at or after offset that is not zero; offset itself when there is none.
 */
int journal_scan_used_end(struct journal_scan *scan, uint64_t offset, uint64_t *out_end);
/* The greatest position that a whole note at or after offset tells of, wherever frames begin there;
 * 0: there is none. Finds out whether damage lies below what had been synced. */
int journal_scan_search_notes(struct journal_scan *scan, uint64_t offset, uint64_t *out_position);
#endif
