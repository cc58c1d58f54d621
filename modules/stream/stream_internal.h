/* stream_internal.h - what a stream is made of, and what both of its backends do.
 *
 * A backend keeps frames: entries with their ordinals, in order. It may keep frames of what is
 * deleted or drop them, and show them or pass over them; readers pass over them (cursor.c). It
 * keeps no frame of ordinals below start that anybody would be shown: readers pass over these as
 * well.
 *
 *   memory.c  blocks of memory             files.c  a journal in a directory of its own
 *
 * Private to modules/stream. One thread. */
#ifndef MODULES_STREAM_STREAM_INTERNAL_H
#define MODULES_STREAM_STREAM_INTERNAL_H
#include "modules/base/list.h"
#include "modules/stream/stream.h"

struct deleted;
struct entry_block;
struct stream_files;
struct stream_files_store;
struct stream_grave;

/* A place between two frames, found by a backend and meant for it alone: words as it likes. */
struct stream_place {
    uint64_t words[3];
};

#define STREAM_WANT_ONE ((struct stream_want){ .count = 1 })

/* As images say it. */
enum stream_image_kind { STREAM_IMAGE_MEMORY = 1, STREAM_IMAGE_FILES = 2 };

/* Calls get a stream of that backend. Those that read may wait (the store's hook) and return
 * -EAGAIN or another error; nothing has changed then. Views are good until the next call on any
 * stream of the store. */
struct stream_backend {
    enum stream_image_kind kind;
    /* Room for a frame with fields of so many bytes: append cannot fail then. */
    int (*reserve)(struct stream *stream, uint64_t fields_bytes);
    /* The ordinal is end, the id greater than last_id; both are moved by the caller afterwards. */
    void (*append)(struct stream *stream, const struct stream_entry *entry);

    /* FORWARD: before the first frame whose id (whose ordinal) is not less. BACKWARD: behind the
     * last one whose id (ordinal) is not greater. */
    int (*seek_id)(struct stream *stream, struct stream_id id, enum stream_direction direction,
                   struct stream_place *out_place);
    int (*seek_ordinal)(struct stream *stream, uint64_t ordinal, enum stream_direction direction,
                        struct stream_place *out_place);
    /* The next frames in that direction, which the place was sought in, and the place stands behind
     * them: so many, at least one; as many of those that are wanted as can be had at once. 0: there
     * is none, and the place stays: one that is appended will be met. */
    int (*next)(struct stream *stream, enum stream_direction direction, struct stream_want want,
                struct stream_place *place, struct stream_entry *out_entries);

    /* stream_trim_end_of_bytes: an ordinal from start on. */
    uint64_t (*end_of_bytes)(const struct stream *stream, uint64_t bytes);
    /* Frames below ordinal go; start has not moved yet, and which are deleted is still known. */
    void (*trim)(struct stream *stream, uint64_t ordinal);
    /* The entry with that ordinal, behind start, has been deleted: its bit is set. */
    void (*forget)(struct stream *stream, uint64_t ordinal);

    /* What an image holds behind its header and the deleted ones (image.c). Size first: it is
     * exact. */
    uint64_t (*image_size)(const struct stream *stream);
    void (*image_write)(const struct stream *stream, void (*put)(void *context, struct slice piece),
                        void *context);
    /* Into a stream that has all but its frames. -EBADMSG: they do not fit to it. -ENOMEM, … On
     * error destroy follows. */
    int (*image_load)(struct stream *stream, struct slice image);

    /* The stream's codec has changed. */
    void (*codec_changed)(struct stream *stream);
    /* The backend's part: is_in_memory, segment_count, disk_bytes. */
    void (*get_info)(const struct stream *stream, struct stream_info *out_info);
    /* Asserts what must hold; for tests. */
    void (*check)(const struct stream *stream);
    /* snapshot, which has all but its frames, gets those there are now; it is only read. */
    int (*snapshot)(struct stream *stream, struct stream *snapshot);
    /* All that the backend holds for this stream goes. Never waits. */
    void (*destroy)(struct stream *stream);
};

extern const struct stream_backend stream_memory_backend;

/* Of a stream in memory: blocks.h. All zero: none. */
struct stream_blocks {
    union {
        struct entry_block *one;   /* capacity == 0: the only one there is, or the spare */
        struct entry_block **many; /* those from begin on are used */
    };
    uint32_t begin, count, capacity;
    bool has_spare; /* behind the last one stands one without entries */
};

struct stream {
    struct stream_store *store;
    const struct stream_backend *backend;
    struct deleted *deleted; /* NULL: none is */
    uint64_t start, end;     /* start is there, or is end */
    uint64_t entries_added;
    struct stream_id last_id, max_deleted_id;
    uint64_t memory_bytes;
    /* Counts what makes places worth nothing: all but appending. Never 0. */
    uint64_t version;
    bool is_snapshot; /* is never changed */
    bool was_used;    /* since the store looked whether to move it: shrink.c */
    bool is_leaving;  /* is being moved by it */
    uint8_t codec;    /* enum journal_codec: of segments that are packed from now on */
    bool has_fallen;  /* in memory: frames of deleted entries may have ids above last_id */
    union {           /* whose it is says backend */
        struct stream_blocks blocks;
        struct stream_files *files; /* files_internal.h */
    };
};

struct stream_store {
    struct os *os;
    struct io *io;
    struct stream_hooks hooks;
    struct stream_options options; /* with the defaults put in; directory is a copy */
    uint64_t stream_count;         /* snapshots, too */
    uint64_t memory_bytes;         /* of all streams, and what is buried */
    struct stream_grave *graves;   /* blocks.c */
    struct stream_producer_store *producers;
    struct stream_files_store *files; /* NULL: all streams stay in memory */
    /* Streams in memory with several blocks, by the links of blocks.c: to be looked at in this
     * order when memory is short; being moved for that reason. */
    struct list_link movable, leaving;
    uint64_t now_ms, shrink_at_ms; /* as of the last tick; not before then */
};

/* Whoever allocates for a stream counts it: by how many bytes it grows or (negative) shrinks. */
static inline void stream_charge(struct stream *stream, int64_t bytes)
{
    stream->memory_bytes += (uint64_t)bytes;
    stream->store->memory_bytes += (uint64_t)bytes;
}

/* Goes on with what stream_store_shrink has begun: shrink.c. True: some have left. */
bool stream_shrink_tick(struct stream_store *store);

/* Moves start to ordinal (at most end), or to the first entry behind it that is there, and lets go
 * of what lies before: trim.c. */
void stream_move_start(struct stream *stream, uint64_t ordinal);
#endif
