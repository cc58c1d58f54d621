/* check.h - what the files of a journal hold, found out without changing them, for programs that
 * look while nobody writes.
 *
 * Every frame is verified, and those of a tail that recovery would cut are looked for, so that it
 * can be said what goes with it. Rules as recover.h. Waits for the disk. Nothing here logs. */
#ifndef MODULES_JOURNAL_CHECK_H
#define MODULES_JOURNAL_CHECK_H
#include "modules/journal/journal.h"

struct journal_check {
    uint64_t first_segment, last_segment; /* that are there; 0, 0: none */
    uint64_t end;                         /* position behind the last frame that counts */
    uint64_t synced;                      /* that is known to have been synced */
    uint64_t frame_count;                 /* of data, before end */
    uint64_t tail_bytes;                  /* behind end, up to the last that is not zero */
    uint64_t tail_frame_count;            /* whole frames among these */
    bool has_synced_place;                /* a frame or the end is where the caller's position is */
    uint64_t unordered_position; /* of the first frame whose id is not greater than the one before
                                    it; 0: none (of several writers that may be) */
    bool is_corrupt;             /* end lies before synced: no tail, but damage */
    char text[JOURNAL_REPORT_TEXT_BYTES]; /* then: where, in words; or of an error */
};

/* A frame of data; payload is good until it returns. is_behind_end: it does not count, but is
 * whole. Negative: stops with that result. */
typedef int (*journal_check_frame)(void *context, uint64_t position, uint64_t time_ms,
                                   struct slice payload, bool is_behind_end);

/* synced_position: that the caller knows of, where a frame begins or all end; or 0. each may be
 * NULL. 0: *out_check tells what there is, corrupt or not. -ENOENT: there is no journal. -EBADMSG:
 * its meta is damaged, or a segment's header; -EPROTONOSUPPORT, -ENOKEY, -EKEYREJECTED as
 * journal_open; errors of reading, -ENOMEM. */
int journal_check(struct os *os, const char *path, uint64_t synced_position,
                  journal_check_frame each, void *context, struct journal_check *out_check);
/* Looks at heads only, for a start with thousands of journals: that meta is whole, that the
 * segments which begin at starts are there and this journal's, and that the one of end reaches as
 * far. Frames are verified by who reads them. packed_bytes, one for each start: what the file of
 * one that is packed takes, 0 of one that is plain. 0, or why not: text says which file. -EBADMSG,
 * -EPROTONOSUPPORT, -ENOENT, -ENOKEY, -EKEYREJECTED; errors of reading, -ENOMEM. */
int journal_check_heads(struct os *os, const char *path, const uint64_t *starts, size_t count,
                        uint64_t end, uint64_t *packed_bytes, char text[JOURNAL_REPORT_TEXT_BYTES]);
/* "0000000003.log offset 4711" of a position. */
void journal_check_place(uint64_t position, char text[JOURNAL_REPORT_TEXT_BYTES]);
#endif
