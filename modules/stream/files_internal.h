/* files_internal.h - a stream in a journal: its parts.
 *
 *   files.c         the backend: appending, trimming, snapshots
 *   files_image.c   what an image says of it
 *   files_open.c    journals opened and closed by jobs, no more than so many at a time
 *   files_sync.c    what is closed brought to the device
 *   files_mend.c    what a failed sync has left is written once more
 *   files_look.c    what is found at a start looked at
 *   files_move.c    from memory to a journal
 *   files_pack.c    segments that have ended are made smaller
 *   files_rewrite.c those in which most is deleted are written anew
 *   files_read.c    places and frames
 *   files_slots.c   the readers that streams share for that
 *   files_disk.c    what they take on the disk, and the bound of it
 *   files_store.c   the directory: what is in it, and what goes from it
 *   checkpoint.c    what checkpoints refer to
 *
 * A frame's payload, little-endian; its id is the entry's:
 *
 *   0             8                 12
 *   +-------------+-----------------+-------------------------+
 *   | u64 ordinal | u32 field count | fields as RESP strings… |
 *   +-------------+-----------------+-------------------------+
 *
 * The life of a journal. What is on the left needs no file open; each arrow is a job on an I/O
 * thread, and what the stream has to do meanwhile waits.
 *
 *   CLOSED ──prepare──▶ OPENING ──▶ OPEN ──▶ LEAVING ──may be closed──▶ CLOSING ──close──▶ CLOSED
 *                                    │  ◀── used again ──╯                 ▲
 *                                    ╰─ given up: no stream, no checkpoint needs it
 *
 * **Syncs are for checkpoints.** Nothing of a journal need be on the device before a checkpoint
 * refers to it: until then the operation log has all of it. So none is synced for being made,
 * opened or closed, which would take four syncs each time, one after the other. A checkpoint has
 * the open ones sync themselves, and what is closed is brought to the device by one sync of the
 * file system (files_sync.c). When that cannot be (os.h), each is synced before it is closed. What
 * a failed sync leaves is not closed but as it is, and mended (files_mend.c).
 *
 * **Ids may fall**: XSETID lowers the last id when what was behind it is deleted, and the next
 * entry has a smaller id than frames before it. Those frames are all deleted. So that places can be
 * found by halves nevertheless, frames before such a **fall** count as if no id of theirs were
 * above the last id that was set.
 *
 * Private to modules/stream. One thread, but for the jobs. */
#ifndef MODULES_STREAM_FILES_INTERNAL_H
#define MODULES_STREAM_FILES_INTERNAL_H
#include "modules/base/list.h"
#include "modules/io/io.h"
#include "modules/journal/journal.h"
#include "modules/journal/journal_reader.h"
#include "modules/stream/checkpoint.h"
#include "modules/stream/files.h"

enum {
    STREAM_PAYLOAD_HEADER_BYTES = 12,
    /* As many may read at a time without being in each other's way. Each may have a descriptor, a
     * window of 64 KiB, or 128 where it reads backward or what is packed, and some MiB of the page
     * cache. */
    STREAM_READERS_MAX = 128,
    STREAM_PATH_BYTES_MAX = 4096,
    STREAM_KNOWN_BITS = 10, /* of a line's number in the table of known places: 40 KiB in all */
    STREAM_NEW_FILES_BYTES = 68 << 10, /* what a journal takes when it has been made */
};

/* Of the segments that count, first to last; the last one is being written. */
struct files_segment {
    uint64_t start;         /* the position where it begins */
    uint64_t first_ordinal; /* of its first frame */
    struct stream_id first_id;
    uint64_t bytes;        /* up to the end of its last frame, as it was written */
    uint64_t packed_bytes; /* of its file, when it is packed; 0: it is not, or that is not known */
    uint32_t dropped;      /* ordinals that were deleted when it was written anew the last time */
};

struct files_fall {
    uint64_t ordinal;    /* frames before it count */
    struct stream_id id; /* as if their ids were at most this one */
};

/* Falls in the order of their ordinals; ids grow, too. */
struct files_falls {
    struct files_fall *falls;
    uint32_t count, capacity;
};

enum files_state { FILES_CLOSED, FILES_OPENING, FILES_OPEN, FILES_LEAVING, FILES_CLOSING };

/* What a checkpoint refers to. */
struct files_reference {
    bool is_there;
    uint64_t start; /* of the first segment that counts */
    uint64_t end;   /* frames up to there count */
};

struct files_dead; /* what was deleted at some time: files_rewrite.c */

struct stream_files {
    struct list_link link;     /* in the store's, all */
    struct list_link due_link; /* in the store's, due, if something has happened to it */
    /* In the store's, active, unless it is CLOSED and nobody wants anything of it. */
    struct list_link active_link;
    struct stream_store *store;
    struct stream *stream; /* NULL: destroyed */
    /* Whose journal it is: itself, or of a snapshot's that of the stream it was taken of; a
     * snapshot has nothing of what follows but segments, falls, last_id and end. */
    struct stream_files *base;
    uint64_t base_version;        /* of a snapshot: its stream's when it was taken */
    struct list_link snapshots;   /* of it; of a snapshot: in its base's */
    bool is_wanted;               /* is to be opened when another one is closed */
    bool is_moving;               /* the stream is in memory yet */
    struct list_link moving_link; /* in the store's, moving, as long as that is so */
    uint64_t asked_ms;            /* likewise: when somebody asked for it, or it got on */
    uint64_t number;              /* of the directory */

    enum files_state state;
    struct journal *journal; /* NULL unless OPEN or LEAVING */
    uint64_t end;            /* behind the last frame: up to there it counts */
    uint64_t synced;         /* of one without journal: as journal_synced */
    uint64_t sync_end;       /* what the sync brings that is under way; 0: nothing of this one */
    /* [late_from, late_end) was not on the device when it was closed, and whether it could be
     * brought there only a sync of the file system tells; late_end 0: there is nothing of that. */
    uint64_t late_from, late_end;

    /* files_mend.c */
    int sync_error;                /* a sync has failed: it is read, and takes nothing more; 0 */
    uint64_t renew_from;           /* then: from there on it is not known to be on the device */
    struct list_link suspect_link; /* then in the store's, suspect or mending, unless is_damaged */
    uint64_t mend_ms;              /* in suspect: when it is to be mended */
    bool is_mending;               /* it is in mending */
    bool is_renewing;              /* and its journal, which is open, has been told to */
    bool is_damaged;               /* that has found something lost */

    bool gives_room;   /* CLOSING: it had much ahead of its end */
    int error;         /* of opening it, or why it takes nothing more; 0 */
    bool is_used;      /* since somebody looked for one to close */
    bool was_told;     /* why it cannot be opened: hooks.on_failure */
    bool knows_packed; /* which of its segments are packed */

    struct stream_id last_id; /* of the last frame */
    struct files_segment *segments;
    uint32_t segment_count, segment_capacity;
    /* So many stand before segments[0] in the same array, and count in its capacity: they were
     * trimmed, and are on the disk because of a checkpoint or a snapshot. */
    uint32_t kept_count;
    struct files_falls falls;

    uint64_t trimmed; /* what lies before is gone, or going */

    struct list_link unremoved_link; /* in the store's, unremoved: it could not be removed */
    uint64_t remove_ms;              /* then: when that is tried again */

    /* files_disk.c */
    uint64_t ended_bytes;    /* of segments' files, kept ones too, but for the last */
    uint64_t kept_bytes;     /* of kept ones */
    uint64_t disk_bytes;     /* of all of it, as the store counts it */
    uint64_t deferred_bytes; /* of these, what only the last checkpoint keeps; likewise */

    struct files_reference saved, running; /* checkpoint.h */
    struct files_reference pinned;         /* copy.h */

    /* What was deleted when that was referred to; without a checkpoint saved_dead is what was when
     * looking for segments to be written anew began. NULL: not known, or nothing. */
    struct files_dead *saved_dead, *running_dead;
    struct files_dead *dropping_dead; /* of the segment that is written anew; NULL: none is */
    uint64_t dropping_number;         /* the journal's, of that segment */
    bool was_told_rewrite;            /* hooks.on_rewrite_failure */
    bool is_looking;                  /* for the next one */
    struct list_link rewrite_link;    /* then in the store's, to_rewrite, until its turn comes */
    uint32_t look_index;              /* segments from there on */
    uint32_t forgotten_count;         /* entries that were deleted since it began to look */
};

/* The next frame behind an entry with the id `before` begins at position: files_places.c. */
struct files_known {
    const struct stream_files *files; /* NULL: nothing is known */
    uint64_t version;
    struct stream_id before;
    uint64_t position;
};

/* A reader, and the search that was begun with it. */
struct files_slot {
    struct stream_files *files; /* NULL: it has none */
    struct journal_reader *reader;
    bool is_awaited; /* somebody was told -EAGAIN and will come back */
    uint64_t goal;   /* the place that it is asked to go on from; 0: the last one is answered */
    bool has_arrived;
    uint64_t used;             /* when: of the store's turns */
    uint64_t tick;             /* the same, of its ticks */
    uint64_t window_bytes;     /* of the heap, as the store counts them */
    struct files_known behind; /* where it stands, if that is behind an entry */

    struct journal_search search;
    bool by_ordinal, is_behind; /* what is sought; is_behind: the place behind what is equal */
    struct stream_id id;
    uint64_t ordinal;
    struct files_falls falls; /* a copy, for another thread */
};

struct stream_files_store {
    struct stream_store *store;
    struct list_link all, due, moving, active;
    struct list_link unremoved; /* in the order of their remove_ms */
    struct list_link *hand; /* in active: looks round for one to close; NULL: from the beginning */
    uint64_t last_number;
    uint64_t turn;
    uint64_t tick;        /* of stream_store_tick: a turn of the loop */
    unsigned open_count;  /* journals that have files open, or are about to */
    uint64_t given_count; /* files_room.c: that were closed and had much ahead */
    bool is_closing;      /* the store is: nothing is removed any more */
    bool is_checkpointing;

    uint64_t *found; /* directories that were there at the start, ascending */
    size_t found_count;

    struct files_slot slots[STREAM_READERS_MAX];
    struct files_slot *last_slot;            /* that a frame was read with; or NULL */
    uint64_t window_bytes, window_bytes_max; /* of all slots; above that they are few */
    struct files_known known[1 << STREAM_KNOWN_BITS];

    /* files_rewrite.c */
    struct list_link to_rewrite;
    struct stream_files *rewriting; /* whose turn it is to have segments written anew; or NULL */
    uint64_t looked_tick;           /* when it was looked at segments last, and at how many then */
    unsigned looked_count;

    struct files_looking *looking; /* files_look.c; NULL: nobody is */

    /* files_disk.c */
    uint64_t disk_bytes, deferred_bytes; /* of all */
    uint64_t disk_bytes_max;             /* UINT64_MAX: none */
    uint64_t refused_bytes;              /* that were asked for last; 0: they were given */

    /* files_sync.c */
    int sync_fd;      /* -1: each is synced before it is closed */
    int next_sync_fd; /* by the job, in its place when it has failed */
    struct io_job sync_job;
    bool is_syncing;

    /* files_mend.c */
    struct list_link suspect, mending; /* suspect: in the order of their mend_ms */
    unsigned mending_count;
    bool has_told_suspects; /* hooks.on_sync, and not yet that all is well */
    struct stream_trouble trouble;
};

/* ---- files.c ---- */
/* As in the journal's options: "DIR/stream-N". */
void stream_files_path(const struct stream_files *files, char path[STREAM_PATH_BYTES_MAX]);
struct stream_id stream_falls_limit(const struct files_falls *falls, uint64_t ordinal,
                                    struct stream_id id);
/* Charges or discharges its stream, if it has one. */
void stream_files_charge(struct stream_files *files, int64_t bytes);
/* Nobody's yet. The next number is taken. -ENOMEM. */
int stream_files_create(struct stream_store *store, struct stream_files **out_files);
/* The stream's from now on, which is charged; nobody's. */
void stream_files_own(struct stream_files *files, struct stream *stream);
void stream_files_disown(struct stream_files *files);
/* Its arrays take one more segment and one more fall. -ENOMEM. */
int stream_files_need_slots(struct stream_files *files);
/* Whether what the stream says of its ordinals and what is known of its segments agree. There is a
 * segment. */
bool stream_files_fit(const struct stream *stream, const struct stream_files *files);
/* There is no frame yet, and the next ordinal is this one. Room for it is reserved. */
void stream_files_begin_empty(struct stream_files *files, uint64_t ordinal);
/* Nothing is open any more, and it is nobody's. */
void stream_files_free(struct stream_files *files);
/* As the backend's reserve, for frames of so many bytes in all, without waiting. */
int stream_files_try_reserve(struct stream_files *files, uint64_t frame_bytes);
uint64_t stream_files_frame_bytes(uint64_t fields_bytes);
/* stream_files_try_reserve has returned 0. */
void stream_files_append(struct stream_files *files, const struct stream_entry *entry);

/* ---- files_image.c ---- */
/* As in struct stream_backend. */
uint64_t stream_files_image_size(const struct stream *stream);
void stream_files_image_write(const struct stream *stream,
                              void (*put)(void *context, struct slice piece), void *context);
int stream_files_image_load(struct stream *stream, struct slice image);

/* ---- files_open.c ---- */
/* 0: it is OPEN. -EAGAIN: it is going to be. Else why it cannot be. */
int stream_files_need_open(struct stream_files *files);
/* Does what can be done now of what is due for it: closing, removing. It may be gone afterwards. */
void stream_files_step(struct stream_files *files);
/* The same for all that something has happened to since. */
void stream_files_step_due(struct stream_files_store *all);
/* Something has happened to it: it will be looked at. */
void stream_files_touch(struct stream_files *files);
/* If it is open, and may be closed, that begins, or is tried again. */
void stream_files_begin_closing(struct stream_files *files);
/* Drops segments that nobody refers to. */
void stream_files_trim_journal(struct stream_files *files);
/* What could not be removed is tried again. */
void stream_files_tend_removals(struct stream_files_store *all);
/* What a call waits for: the hook, or -EAGAIN. */
int stream_files_wait(struct stream_store *store);
/* Calls the hook, if there is one. */
void stream_files_tell_ready(const struct stream_store *store);

/* It is listed among the active ones if it is one. */
void stream_files_list(struct stream_files *files);

/* ---- files_sync.c ---- */
/* Whether it may be closed before it is on the device. Its journal is open. */
bool stream_files_may_close(const struct stream_files *files);
/* It is about to be closed: what is not on the device is remembered, also when it is open again. */
void stream_files_note_late(struct stream_files *files);
/* All of it was brought to the device otherwise. */
void stream_files_forget_late(struct stream_files *files);
/* Begins to bring to the device what is closed, or was before it was synced, unless that is under
 * way; on_ready follows. */
void stream_files_sync_closed(struct stream_files_store *all);

/* ---- files_mend.c ---- */
/* A sync has failed: what is not known to be on the device will be written once more. */
void stream_files_suspect(struct stream_files *files, int error);
/* Nothing of it matters any more, or all is well. */
void stream_files_forget_suspect(struct stream_files *files);
/* The same if nobody counts on it any more. */
void stream_files_review_suspect(struct stream_files *files);
/* Goes on with it, once a turn. */
void stream_files_tend_suspects(struct stream_files_store *all);

/* ---- files_look.c ---- */
/* True: nobody looks any more. Else soon, when jobs have ended. */
bool stream_files_stop_looking(struct stream_files_store *all);

/* ---- files_disk.c ---- */
/* What of it may have changed is counted anew: O(1). Not of a snapshot. */
void stream_files_recount(struct stream_files *files);
/* It is about to be freed. */
void stream_files_uncount(struct stream_files *files);
/* All its segments have come at once. */
void stream_files_count_segments(struct stream_files *files);
/* Its last segment ends, and another one follows. */
void stream_files_count_ended(struct stream_files *files);
/* So many of its first segments were trimmed: they are kept until nothing refers to them. */
void stream_files_keep_segments(struct stream_files *files, uint32_t count);
/* Those that begin before that position are. */
void stream_files_drop_kept(struct stream_files *files, uint64_t first);
/* As the journal's may_grow, with the files as context; what it says yes to is counted. -EDQUOT. */
int stream_files_may_grow(void *context, uint64_t bytes);
/* As the journal's room_left, likewise. */
uint64_t stream_files_room_left(void *context);
/* A segment's file takes so many bytes, as it is packed. */
void stream_files_count_packed(struct stream_files *files, uint64_t start, uint64_t file_bytes);
/* As stream_check, of these figures. There is a segment. */
void stream_files_check_disk(const struct stream_files *files);
/* The one that begins there, kept or not; NULL: none does. */
struct files_segment *stream_files_segment_at(const struct stream_files *files, uint64_t start);

/* ---- files_room.c ---- */
/* How often a call that finds no room may ask for some: once the others have begun to give theirs
 * back, and once more, for a journal tells of an attempt that may be older, and begins another. */
enum { STREAM_FILES_ASK_MAX = 3 };
/* A journal was refused room, for the asked-th time: rc is why. 0: it may ask again, as others have
 * given back what they had ahead. Else rc, or why it cannot wait. but: whose journal it is. */
int stream_files_find_room(struct stream_store *store, const struct stream *but, int rc,
                           unsigned asked);
/* It has much ahead of its end. */
bool stream_files_has_spare(const struct stream_files *files);

/* ---- files_move.c ---- */
/* Gives up moves that nobody goes on with. */
void stream_files_tend_moves(struct stream_files_store *all);

/* ---- files_slots.c ---- */
/* A reader of an open journal that stands at the position, or can be sent there. -EAGAIN: all are
 * busy, or as many as may be. -ENOMEM. */
int stream_files_slot_at(struct stream_files *files, uint64_t position,
                         struct files_slot **out_slot);
/* One that is nobody's, and belongs to that journal then; likewise. */
int stream_files_take_slot(struct stream_files *files, struct files_slot **out_slot);
/* It has been used: what it holds may have changed. */
void stream_files_count_window(struct files_slot *slot);
/* Closes readers that nobody needs while all hold more than they may. */
void stream_files_shrink_windows(struct stream_files_store *all);
/* Closes readers of it. False: one is busy. */
bool stream_files_close_readers(struct stream_files *files);
/* Frames of it were dropped: readers forget what they have. */
void stream_files_read_anew(const struct stream_files *files);
/* True: somebody reads it, or is about to. */
bool stream_files_is_read(const struct stream_files *files);

/* ---- files_read.c ---- */
int stream_files_seek_id(struct stream *stream, struct stream_id id,
                         enum stream_direction direction, struct stream_place *out_place);
int stream_files_seek_ordinal(struct stream *stream, uint64_t ordinal,
                              enum stream_direction direction, struct stream_place *out_place);
int stream_files_next(struct stream *stream, enum stream_direction direction,
                      struct stream_want want, struct stream_place *place,
                      struct stream_entry *out_entries);

/* ---- files_pack.c ---- */
/* It is OPEN now, or its stream wants another codec. */
void stream_files_apply_codec(struct stream_files *files);
/* Segments that nobody may set it back into, or is about to, may be packed; if it is open. To be
 * called when what that depends on has changed. */
void stream_files_plan_packing(struct stream_files *files);
/* As the journal's on_packed; context is the files. */
void stream_files_note_packed(void *context, const struct journal_packed_segment *packed);
/* What its file takes. */
static inline uint64_t stream_segment_disk_bytes(const struct files_segment *segment)
{
    return segment->packed_bytes > 0 ? segment->packed_bytes : segment->bytes;
}

/* Segments that are not below that position's stay plain. */
uint64_t stream_files_plain_from(const struct stream_files *files);

/* ---- files_segments.c: what the table of segments tells, without reading any ---- */
/* Positions from the start of a segment to that of the next one; UINT64_MAX: it is the last. */
struct files_range {
    uint64_t start, end;
};
struct files_range stream_files_range(const struct stream_files *files, uint32_t index);
/* Nothing is left of the segment: all its ordinals are deleted, or before the stream's start. */
bool stream_files_is_dead(const struct stream *stream, uint32_t index);
/* Which segment a place lies in for who goes that way; one at an edge of segments of which nothing
 * is left goes to their other end first. False: nothing that is left lies that way, and the place
 * stays. It is behind the first segment's start when the way is BACKWARD. */
bool stream_files_pass_dead(const struct stream *stream, enum stream_direction direction,
                            struct stream_place *place, uint32_t *out_index);

/* ---- files_rewrite.c ---- */
/* A checkpoint that is being made refers to the stream as it is now; stream is it, or a snapshot.
 */
void stream_files_refer_dead(const struct stream *stream);
/* That checkpoint counts now (is_complete), or it is not known to, or never will. */
void stream_files_end_dead(struct stream_files *files, bool is_complete);
/* An entry was deleted. */
void stream_files_count_forgotten(struct stream_files *files);
/* What follows when a segment was written anew, or could not be. */
void stream_files_end_rewrite(struct stream_files *files);
/* Something has happened to it: it is listed to be looked through, if it is to be and may be. */
void stream_files_rewrite_step(struct stream_files *files);
/* Goes on with those that are listed, once a tick. True: there is more to look at. */
bool stream_files_tend_rewrites(struct stream_files_store *all);
/* It has no stream any more: nothing of it will be written anew. */
void stream_files_forget_dead(struct stream_files *files);
/* The same, and its journal is closed. */
void stream_files_release_dead(struct stream_files *files);

/* ---- files_places.c ---- */
/* The version that places count for which this stream, or snapshot, finds now. */
uint64_t stream_files_version(const struct stream *stream);
/* Of a stream without falls. */
void stream_files_know(const struct files_known *known);
/* True: the place behind the entry with exactly this id is known. */
bool stream_files_recall(const struct stream *stream, struct stream_id before,
                         uint64_t *out_position);
/* It is about to be freed; not of a snapshot, of which nothing is known. */
void stream_files_forget_known(const struct stream_files *files);

/* ---- files_store.c ---- */
/* 1: it was there at the start, and has an owner now. 0: it was not, or has one already. */
int stream_files_claim(struct stream_files_store *all, uint64_t number);

#endif
