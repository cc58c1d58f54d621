/* journal_internal.h - the writer's parts. One thread; jobs own what stands under them.
 *
 *   append.c   frames into the segment or a buffer, rolling
 *   room.c     room ahead and the next segment, by one job at a time
 *   step.c     writing, syncing and retiring, by one job at a time
 *   renew.c    what a failed sync has left, by one job at a time, and no step beside it
 *   memory.c   a small journal without a file, and moving it to one
 *   tend.c     packing and moving what has ended, by one job at a time
 *   rest.c     giving files and mappings back while nobody appends, and opening them again
 *   trim.c     removing what has ended, by one job at a time
 *   journal.c  opening and closing; info.c tells
 *
 *   retired (ended, not yet synced; oldest first)     active            next (made ahead)
 *   +--------------+   +--------------+   +---------------------+   +------------+
 *   | …      | END |   | …      | END |   | frames | room | …   |   | room | …   |
 *   +--------------+   +--------------+   +---------------------+   +------------+
 *       ^ synced                                   ^ appended, offset  */
#ifndef MODULES_JOURNAL_JOURNAL_INTERNAL_H
#define MODULES_JOURNAL_JOURNAL_INTERNAL_H
#include "modules/io/io.h"
#include "modules/journal/index.h"
#include "modules/journal/journal_set.h"
#include "modules/journal/journal.h"
#include "modules/journal/meta.h"
#include "modules/journal/packed_list.h"
#include "modules/journal/renewal.h"
#include "modules/journal/segment.h"
#include "modules/journal/tender.h"

enum {
    /* Kept free behind every frame: an end, and a note. */
    ROOM_TAIL_BYTES = 2 * JOURNAL_FRAME_HEADER_BYTES + JOURNAL_NOTE_BYTES,
    AHEAD_BYTES_MIN = 64 << 10,
    BUFFER_BYTES = 64 << 10, /* a buffer's size unless a frame is larger */
    SETTLE_BYTES = 1 << 20,  /* so much is settled at a time, at least, if nobody asks for a sync */
};

/* Frames on their way to a segment's file, one behind the other. */
struct journal_buffer {
    struct journal_buffer *next;
    struct journal_segment *segment;
    uint64_t offset; /* of bytes[0] in the segment */
    size_t size, capacity;
    uint8_t bytes[];
};

struct journal_retired {
    struct journal_retired *next;
    struct journal_segment *segment;
    uint64_t end; /* offset behind its END */
    struct journal_index index;
};

struct room_job {
    struct io_job job; /* first */
    struct journal *journal;
    bool is_running;
    enum journal_room kind;
    struct journal_segment *segment;  /* to make room in; NULL: a new segment is to be made */
    struct journal_segment *made;     /* by run(), then */
    uint64_t end;                     /* of the room */
    uint64_t reserve_end;             /* so far blocks are reserved at once, if there are any */
    bool is_ample;                    /* more than somebody waits for */
    struct journal_segment *unwanted; /* to close first */
    struct journal_segment_header header;
    const char *path;
    bool pins;         /* the room: */
    uint64_t pin_from; /* from there on */
};

struct step_job {
    struct io_job job; /* first */
    struct journal *journal;
    bool is_running;
    const char *path;
    struct journal_segment *segment;
    struct journal_buffer *buffers; /* of that segment, oldest first */
    bool is_sync, is_mapped, is_retiring;
    bool is_written;   /* run() came as far as the sync */
    int meta_fd;       /* to be synced with the names, too; -1: they were */
    uint64_t from, to; /* offsets in the segment */
    uint64_t settle_from, settle_to;
    bool drops_written;
    uint64_t reached;           /* the position that is written, or synced, when it is done */
    struct journal_index index; /* mirrors the segment's */
    size_t index_from;
    int index_rc;
};

struct renew_job {
    struct io_job job; /* first */
    struct journal *journal;
    bool is_running;
    bool is_meta; /* it is the last one: meta and names */
    const char *path;
    uint64_t done;                   /* the position up to which all was renewed */
    uint64_t reached;                /* the same when this segment is done */
    struct journal_renewed segment;  /* the one whose turn it is */
    struct journal_renewal *renewal; /* run()'s; NULL: it has not begun */
    uint64_t damage;                 /* by run(): the offset of what was lost */
};

struct move_job {
    struct io_job job; /* first */
    struct journal *journal;
    bool is_running;
    const char *path;
    uint64_t number; /* of the journal */
    uint64_t first_segment;
    struct journal_settings settings;
    enum journal_room kind;
    uint64_t boot;
    struct journal_meta meta; /* by run(): made, with the segment */
    struct journal_segment *segment;
};

struct trim_job {
    struct io_job job; /* first */
    struct journal *journal;
    bool is_running;
    uint64_t first, end; /* segments [first, end) go */
};

struct tend_job {
    struct io_job job; /* first */
    struct journal *journal;
    bool is_running;
    bool has_more;   /* of this round */
    bool is_stopped; /* the journal is being closed */
    bool is_paused;
    bool is_changed; /* a round may find more to do than the last one */
    /* The tender's from its next step on. */
    enum journal_codec codec;
    struct journal_dropping dropping; /* number 0: none */
    bool is_dropping;                 /* the tender knows of it */
    int drop_error;                   /* why the last one could not be done, or 0 */
    struct journal_tender tender;     /* run()'s while it is running */
    uint64_t end;                     /* segments below it may be tended */
    uint64_t now_ms, asked_ms;        /* of this round; the latest that was asked for */
    int error;                        /* of the last round */
    /* The tender's, when it was seen last. */
    uint64_t packed_count, moved_count, damaged_count, reindexed_count;
};

struct rest_job {
    struct io_job job; /* first */
    struct journal *journal;
    bool is_running;
    const char *path;
    uint64_t id, number;
    enum journal_room kind;
    int meta_fd;
    uint64_t offset, end;                   /* to cut at; or room to make: from, to */
    struct journal_segment *segment, *next; /* to close; or what was opened */
    struct journal_live *live;
    struct journal_waiters *waiters;
};

/* What one in memory does without: there may be a million of them. */
struct journal_jobs {
    struct room_job room;
    struct step_job step;
    struct renew_job renew;
    struct trim_job trim;
    struct move_job move;
    struct tend_job tend;
    struct rest_job rest;
};

struct journal {
    struct os *os;
    struct io *io;
    char *path;
    void (*on_progress)(void *context);
    void (*on_packed)(void *context, const struct journal_packed_segment *segment);
    int (*may_grow)(void *context, uint64_t bytes);
    uint64_t (*room_left)(void *context);
    void *context;
    struct journal_packed_list packed; /* to be told of by journal_attach */
    struct journal_meta meta;
    enum journal_way way;
    enum journal_publish publish;
    enum journal_room room_kind;

    bool pins_room, opens_short;
    bool is_in_memory; /* active has no file, and there is no directory */
    bool syncs_late, drops_written;
    bool has_names; /* meta, its name and those of the directory and the segments are synced */
    struct journal_segment *active, *next;
    struct journal_retired *retired_head, **retired_tail;
    struct journal_buffer *buffer_head, *buffer_last, *buffer_spare;
    uint64_t buffered_bytes;    /* also of those in a job */
    struct journal_index index; /* of active */
    size_t index_written;

    uint64_t offset;   /* in active: where the next frame goes */
    uint64_t room_end; /* of active, as last seen */
    /* In active: pages from there on may be kept in memory, and are not settled; without pins_room
     * it says nothing. */
    uint64_t unpinned_end;
    uint64_t ask_at;   /* an append that ends behind this looks whether to ask for room */
    uint64_t promised; /* bytes that journal_reserve has promised */
    uint64_t first_segment;
    uint64_t written, published, synced, noted; /* noted: the synced position in the last note */
    uint64_t write_target, sync_target, trim_target;
    uint64_t plain_from; /* segments from that position's on are not tended */
    uint64_t last_time_ms, last_seq;
    bool has_last_id, ids_may_fall;
    uint64_t segment_time_ms; /* of active's first frame */
    bool has_segment_time;
    bool is_renewing; /* journal_renew has begun, and error stays until it has ended well */
    uint64_t damage;  /* the position of what was lost, as far as it is known; 0 */
    int error, room_error;
    bool is_short;   /* the disk had no room for what was asked for last */
    bool is_ending;  /* journal_end_segment */
    int write_error; /* of the last step that found no room for what was appended; 0: none since */
    uint64_t sync_bytes;      /* that a sync brought to the device of late, about */
    uint64_t sync_seen_bytes; /* append_bytes at the last one */
    uint64_t append_count, append_bytes, sync_count, roll_count, stall_count, index_error_count;

    struct journal_jobs *jobs; /* NULL: in memory, and no thought of moving yet */

    struct journal_set *set;                 /* or NULL */
    struct journal *set_next, *set_previous; /* in its ring, or NULL */
    bool is_used;                            /* since the hand came by */
    bool wants_rest, is_resting, is_closing;
};

static inline uint64_t journal_here(const struct journal *journal)
{
    return journal_position(journal->active->number, journal->offset);
}

/* room.c: starts a job unless one runs. 0, or why the files must not grow (may_grow). */
int journal_room_ask(struct journal *journal, struct journal_segment *segment, uint64_t end);
/* For the next segment, with room for that much; instead of the one that is there, if one is. */
int journal_room_ask_segment(struct journal *journal, uint64_t frame_bytes);
/* Nobody makes room in it, but it has some: what its file takes now. */
void journal_room_note(struct journal_segment *segment);
/* Room ahead as it should be: asks for it when there is too little. */
void journal_room_plan(struct journal *journal);

/* memory.c */
/* Before a journal has files. -ENOMEM. */
int journal_need_jobs(struct journal *journal);
/* With first_segment, which is set. */
int journal_memory_open(struct journal *journal, const struct journal_settings *settings,
                        uint64_t number);
/* 0: memory for frames up to that end; -EAGAIN: it must move to a file first, and does. */
int journal_memory_grow(struct journal *journal, uint64_t end);
void journal_memory_free(struct journal *journal);

/* append.c */
/* What making room has said the last time, once; else that it is under way. */
int journal_room_answer(struct journal *journal);
/* Puts bytes that belong at the offset into a buffer. -ENOMEM. */
int journal_buffer_put(struct journal *journal, const uint8_t *bytes, size_t size);
/* Appends a note of what is synced, if there is room to spare. */
void journal_append_note(struct journal *journal);

/* step.c: does the next piece of what the targets ask for, unless one is being done. */
void journal_step(struct journal *journal);
void journal_publish_position(struct journal *journal, uint64_t position);
void journal_tell_progress(struct journal *journal);

/* renew.c: goes on with what journal_renew has begun, if it can. */
void journal_renew_step(struct journal *journal);

/* tend.c: begins a round when there is something new, goes on with one that has begun. */
void journal_tend_step(struct journal *journal);
/* Waits for the disk. verifies_all: all indexes are looked at, else those of the last segments. */
int journal_tend_open(struct journal *journal, bool verifies_all);
/* on_packed, of what was found when it was opened. */
void journal_tell_packed(struct journal *journal);

/* rest.c. For a journal whose files are open from now on; and for one that is closed. */
void journal_set_add(struct journal *journal);
void journal_set_take_out(struct journal *journal);
/* Goes on with what journal_rest has begun, if it can. */
void journal_rest_step(struct journal *journal);
/* Opens the files of a journal that rests: as journal_room_answer. */
int journal_wake(struct journal *journal, uint64_t frame_bytes);

/* journal.c: does what was asked for and can be done. */
void journal_trim_step(struct journal *journal);
/* What is published so far, to readers under this boot of the kernel. */
void journal_tell_readers(struct journal *journal, uint64_t boot);
#endif
