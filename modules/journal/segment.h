/* segment.h - the file of a segment, open: made, mapped, reserved, synced.
 *
 * Every function waits for the disk and belongs on an I/O thread, but those that say otherwise. A
 * segment is mapped once, over its whole capacity; the file behind it grows as room is reserved,
 * and nobody touches the mapping beyond `size_bytes`. */
#ifndef MODULES_JOURNAL_SEGMENT_H
#define MODULES_JOURNAL_SEGMENT_H
#include <stdatomic.h>

#include "modules/journal/format.h"

struct os;

struct journal_segment {
    uint64_t journal, number;
    uint32_t seed; /* of its checksums */
    uint32_t capacity;
    uint64_t created_ms;
    uint64_t header_synced; /* as its header says */
    int fd;
    uint8_t *map;        /* [0, capacity) */
    uint64_t size_bytes; /* of the file; changed by whoever makes room, one at a time */
    /* Nothing was ever stored at or behind this page, by this process or one before it. */
    uint64_t fresh_from;
    /* A store below this neither faults nor meets a full disk. Whole pages. Stored with release by
     * the I/O thread that makes room, piece by piece. */
    _Atomic uint64_t room_end;
    uint64_t file_bytes; /* what its file takes, or is about to: journal_room_note */
    /* Whole pages that are kept in memory; of whoever makes room. */
    uint64_t pinned_from, pinned_end;
    /* The owner's: up to there it was settled, or is about to be. */
    uint64_t settled_end;
};

/* Before the writer's place: its pages are in memory, and stay for a while. */
enum { JOURNAL_WARM_BYTES = 1 << 20 };

enum journal_room {
    JOURNAL_ROOM_TOUCHED,  /* for stores of this process alone */
    JOURNAL_ROOM_SHARED,   /* the same where other processes store too */
    JOURNAL_ROOM_RESERVED, /* for pwrite */
    /* The same, and written with zeros: the first write to reserved blocks changes what the file
     * system knows of them, and a sync has to wait for its journal too. */
    JOURNAL_ROOM_ZEROED,
    JOURNAL_ROOM_NONE,
};

/* Makes a segment with its header and room for room_bytes in all, and makes its name durable. A
 * file of that name is replaced: opening has removed all that counted. On error no file stays.
 * -EOPNOTSUPP: room cannot be reserved there (try JOURNAL_ROOM_NONE). -ENOSPC, -EIO, … */
int journal_segment_create(struct os *os, const char *path,
                           const struct journal_segment_header *header, uint64_t room_bytes,
                           enum journal_room kind, struct journal_segment **out_segment);
/* The same, and neither the file nor its name is brought to the device. */
int journal_segment_create_late(struct os *os, const char *path,
                                const struct journal_segment_header *header, uint64_t room_bytes,
                                enum journal_room kind, struct journal_segment **out_segment);
/* Opens a segment that is there, plain in the journal's directory. -ENOENT. -EBADMSG: not that
 * segment of that journal. */
int journal_segment_open(struct os *os, const char *path, uint64_t journal, uint64_t number,
                         bool is_writable, struct journal_segment **out_segment);
/* The same with a descriptor of its file, which stays the caller's on error. */
int journal_segment_adopt(struct os *os, int fd, uint64_t journal, uint64_t number,
                          bool is_writable, struct journal_segment **out_segment);
/* Unmaps and closes, which takes milliseconds for a large segment; only journal_segment_close may
 * follow. */
void journal_segment_let_go(struct os *os, struct journal_segment *segment);
/* Accepts NULL. Unmaps and closes; the file stays. */
void journal_segment_close(struct os *os, struct journal_segment *segment);

/* Reserves blocks up to end, a multiple of the page size and at most capacity, if they are not yet.
 */
int journal_segment_reserve(struct os *os, struct journal_segment *segment, uint64_t end);
/* Raises room_end to end, a multiple of the page size and at most capacity. What was done before an
 * error counts. */
int journal_segment_make_room(struct os *os, struct journal_segment *segment, uint64_t end,
                              enum journal_room kind);
/* Nothing will be stored below offset, in a segment that was opened: room begins there, but for
 * what readers on the writer's thread want to find in memory (JOURNAL_WARM_BYTES). */
void journal_segment_begin_room(struct journal_segment *segment, uint64_t offset);
/* The room from offset on is kept in memory, and what was before it no longer. Where the system
 * does not allow it, it is in memory now, at least. For whoever makes room. */
void journal_segment_pin_room(struct os *os, struct journal_segment *segment, uint64_t offset);
/* Nothing of it is any more. For when nobody makes room. */
void journal_segment_unpin(struct os *os, struct journal_segment *segment);
/* Writes what was stored in the mapping at [from, to) to the device, with no more than its pages.
 */
int journal_segment_sync(struct os *os, struct journal_segment *segment, uint64_t from,
                         uint64_t to);
/* A sync has protected the page in which offset lies, and all that the kernel holds together with
 * it: the next stores would fault. */
void journal_segment_touch_again(struct os *os, struct journal_segment *segment, uint64_t offset);
/* How far a segment may be settled in which the next frame goes to offset: up to the last whole
 * piece of what the kernel holds together (JOURNAL_TOUCH_BYTES), and not what readers on the
 * writer's thread want to find in memory. Waits for nothing. */
uint64_t journal_segment_settled_end(uint64_t offset);
/* Nothing will be stored at [from, to) any more: takes it out of the mapping's tables. A hint. */
void journal_segment_settle(struct os *os, struct journal_segment *segment, uint64_t from,
                            uint64_t to);
/* Cuts the file behind end: gives back what was reserved, and what comes there is zero again. */
int journal_segment_cut(struct os *os, struct journal_segment *segment, uint64_t end);
/* Sees how long the file is now: for readers, when the writer has made room since. */
int journal_segment_refresh(struct os *os, struct journal_segment *segment);
/* Removes a plain segment's files, the index first. 0 also if they are gone. */
int journal_segment_remove(struct os *os, const char *path, uint64_t number);
#endif
