/* stream.h - entries in the order of their ids, appended at one end and trimmed at the other.
 *
 * An entry has an id (ms, seq), greater than all before it, and fields: names and values, kept as
 * RESP bulk strings one behind the other, which is how they came and how they are answered. Each
 * entry has an **ordinal**, too: 1 for the first one ever added, and no number is left out. So how
 * many there are between two, which are deleted and where a trim ends is counted without reading
 * entries.
 *
 *   ordinals   1 … start-1     start … end-1                          end
 *              trimmed away    live, but for those that are deleted   the next one
 *
 * Small streams are in memory: frames in one block. Large ones are journals (modules/journal) in
 * directories of their own. Which entries are deleted is known in memory: bits by ordinal.
 *
 * What meets something that is not in memory calls the store's wait hook and looks again, or
 * returns -EAGAIN where that says so: nothing has changed, and the call can be made again. Views of
 * entries are good until the next call on any stream of the store. Functions that return int give
 * 0, or what they say, or a negative errno; after an error nothing has changed. Nothing here logs.
 * One thread, the one that owns io. */
#ifndef MODULES_STREAM_STREAM_H
#define MODULES_STREAM_STREAM_H
#include "modules/base/slice.h"
#include "modules/journal/journal.h"
#include "modules/stream/stream_id.h"

struct io;
struct os;
struct stream;
struct stream_producer_store;
struct stream_store;

/* Of all the fields of one entry. */
enum { STREAM_FIELDS_BYTES_MAX = (1 << 29) - 4096 };

struct stream_hooks {
    /* Something that the current call needs is on its way. 0: look again; else an error to give up
     * with, -EAGAIN. The hook lets io completions run or suspends the caller until they have. NULL:
     * whatever would wait returns -EAGAIN. */
    int (*wait)(void *context);
    /* Something that somebody waits for has come, or failed. May be NULL. */
    void (*on_ready)(void *context);
    /* The journal in the directory path could not be opened: a negative errno, and what is wrong in
     * words, "" if there is nothing to add. Told once, until it can be. May be NULL. */
    void (*on_failure)(void *context, const char *path, int error, const char *text);
    /* What was written to journals could not be brought to the device: a negative errno, and the
     * directory of the first one; with 0, that all of it has been since. -EBADMSG, for each one of
     * which something was lost: text is where, if that is known. May be NULL. */
    void (*on_sync)(void *context, const char *path, int error, const char *text);
    /* A segment of the journal in the directory path, most of which is deleted, could not be
     * written anew, and stays: -EBADMSG: it is damaged, -EIO: it cannot be read, or not twice
     * alike. text says which. Told once of each journal. May be NULL. */
    void (*on_rewrite_failure)(void *context, const char *path, int error, const char *text);
    void *context;
};

struct stream_options {
    const char *directory;     /* exists; journals are directories in it */
    uint32_t memory_bytes_max; /* of the entries of one stream, which then becomes a journal;
                                * 0: 32 KiB; UINT32_MAX: never */
    uint64_t roll_bytes;       /* of a journal's segments; 0: the journal's default */
    unsigned open_max;         /* journals that have files open at a time; 0: 64 */
    uint32_t node_entries;     /* an approximate trim takes a multiple of so many; 0: 100 */
};

int stream_store_create(struct os *os, struct io *io, const struct stream_options *options,
                        const struct stream_hooks *hooks, struct stream_store **out_store);
/* All streams and producers have been destroyed. Waits for what is under way. Accepts NULL. */
void stream_store_destroy(struct stream_store *store);
/* As the option, for trims from now on. */
void stream_store_set_node_entries(struct stream_store *store, uint32_t node_entries);
/* What the producers of its streams share: producers.h. The store's, which goes on with what is
 * buried there, and counts it. */
struct stream_producer_store *stream_store_producers(const struct stream_store *store);
/* A slice of what is due, once a turn. True: there is more. */
bool stream_store_tick(struct stream_store *store, uint64_t now_ms, uint64_t slice_us);
/* When the next tick is due by itself, in microseconds from now; -1: something else brings it. */
int64_t stream_store_wait_us(const struct stream_store *store);

/* What a failed sync has left: the log has all of it, the next start knows of no such thing. And
 * what hooks.on_rewrite_failure tells of. */
struct stream_trouble {
    uint64_t suspect_count; /* journals that may not be on the device: they are written once more */
    uint64_t damaged_count; /* of which some was lost by that; their streams take nothing more */
    uint64_t mended_count;  /* since the store was made */
    int last_error;         /* the latest failure; 0: there was none */
    /* Since the store was made: segments that could not be written anew, each time that was tried.
     */
    uint64_t rewrite_error_count;
};
void stream_store_get_trouble(const struct stream_store *store, struct stream_trouble *out_trouble);
/* What journals take on the disk: segments, with the room ahead of those that are open, and
 * indexes, of all streams and of what is to go. */
struct stream_disk {
    uint64_t used_bytes;
    uint64_t deferred_bytes; /* of these: kept for the last checkpoint alone, until the next one */
    uint64_t max_bytes;      /* UINT64_MAX: there is no limit but the disk's */
    bool is_at_limit;        /* an entry was refused for that, and still would be */
};
void stream_store_get_disk(const struct stream_store *store, struct stream_disk *out_disk); /* O(1)
                                                                                             */
/* Above so many bytes streams in journals take no entries (-EDQUOT), and none moves to a journal,
 * until others have gone or the limit is raised; all else goes on. UINT64_MAX: any number, as in
 * the beginning. May be below what is used. */
void stream_store_set_disk_max(struct stream_store *store, uint64_t bytes);
/* All that the streams of the store take of the heap, and what stream_store_producers() holds.
 * O(1).
 */
uint64_t stream_store_memory_bytes(const struct stream_store *store);
/* What readers of streams in journals hold beside that: what was fetched or unpacked last. O(1). */
uint64_t stream_store_window_bytes(const struct stream_store *store);
/* Readers that hold more than so many bytes together are closed by the tick, those first that were
 * not used for longest, and meanwhile only few fetch at a time. UINT64_MAX: any number, as in the
 * beginning. */
void stream_store_set_windows_max(struct stream_store *store, uint64_t bytes);
/* Memory is short: streams in memory that take more than a block, and were not used since this
 * looked at them last, begin to move to journals, those first that were looked at longest ago,
 * until so many bytes are on their way. The tick goes on with it, and then the memory is free;
 * what cannot be moved stays, and is tried again after a second. is_urgent: those that were used
 * go, too. For about once a turn while it is short, for a step is small. The bytes that are on
 * their way or have gone: while there are any, on_ready follows. */
uint64_t stream_store_shrink(struct stream_store *store, uint64_t bytes, bool is_urgent);
/* The wait hook: until something that is under way has come. */
int stream_store_wait(struct stream_store *store);
/* The disk is full, and but needs room: other journals that are open have some ahead of what was
 * added, and begin to close; some that nobody has any more are on their way from the disk. False:
 * there are none of either, or no memory to close them with. True: stream_store_wait, and ask
 * again. O(journals). */
bool stream_store_free_room(struct stream_store *store, const struct stream *but);
/* Somebody who does not wait has no room, a list, say, at the limit that both have: journals that
 * have much room ahead begin to close, and give it back. Never waits. O(journals). */
void stream_store_give_room(struct stream_store *store);

int stream_create(struct stream_store *store, struct stream **out_stream);
/* Never waits. Accepts NULL. What is on disk goes when no checkpoint refers to it any more. */
void stream_destroy(struct stream *stream);

struct stream_info {
    uint64_t count;         /* entries that are there */
    uint64_t start, end;    /* ordinals, as above */
    uint64_t deleted_count; /* between start and end */
    uint64_t entries_added; /* as XINFO tells it: stream_set_added may have changed it */
    struct stream_id last_id, max_deleted_id;
    uint64_t memory_bytes; /* all that this stream takes of the heap */
    bool is_in_memory;
    uint64_t segment_count, disk_bytes; /* of a journal: what its segments take */
    uint64_t mapped_bytes;              /* of these */
    /* Likewise: what segments take that are packed. Which are is known once the journal was open.
     */
    uint64_t compressed_bytes;
};
void stream_get_info(const struct stream *stream, struct stream_info *out_info);
uint64_t stream_count(const struct stream *stream);
struct stream_store *stream_store_of(const struct stream *stream);
/* How its segments are packed when they have ended and no checkpoint may set the stream back into
 * them: those that are not packed yet, from now on; those that are stay as they are. An I/O thread
 * does it, readers do not notice. Not saved in images: JOURNAL_CODEC_NONE until it is said. O(1)
 * unless it changes. */
void stream_set_codec(struct stream *stream, enum journal_codec codec);
struct stream_id stream_last_id(const struct stream *stream);

/* ---- adding ---- */

/* Room for an entry with fields of so many bytes in all. -EAGAIN, -ENOSPC, -ENOMEM, … -EDQUOT: as
 * stream_store_set_disk_max has it, or the file system. -EMSGSIZE:
 * above STREAM_FIELDS_BYTES_MAX. -EROFS: a sync has failed, and the stream takes nothing until what
 * it has was written once more (stream_trouble). Kept until the next stream_add. */
int stream_reserve(struct stream *stream, uint64_t fields_bytes);
/* The same when memory is used up: a stream that is in memory moves to a journal first. -ENOMEM:
 * streams of this store stay in memory. */
int stream_reserve_on_disk(struct stream *stream, uint64_t fields_bytes);
/* Whether what reads stream, and adds entries that take so many bytes, may have to wait for the
 * disk or return -EAGAIN. stream may be NULL: one that is not there yet. */
bool stream_may_wait(const struct stream_store *store, const struct stream *stream, uint64_t bytes);
/* id is greater than the last (-EINVAL), stream_reserve has returned 0 for fields.size and nothing
 * was done with the stream since. Fails with nothing else. field_count: names and values, so an
 * even number. fields: "$4\r\nname\r\n$5\r\nvalue\r\n"… is copied. */
int stream_add(struct stream *stream, struct stream_id id, uint32_t field_count,
               struct slice fields);
/* XSETID: the caller has checked that last_id is not less than that of the newest entry that is
 * there. */
void stream_set_last_id(struct stream *stream, struct stream_id last_id);
void stream_set_added(struct stream *stream, uint64_t entries_added);
void stream_set_max_deleted(struct stream *stream, struct stream_id id);

/* ---- reading ---- */

struct stream_entry {
    struct stream_id id;
    uint64_t ordinal;
    uint32_t field_count; /* names and values */
    struct slice fields;  /* RESP bulk strings */
};

enum stream_direction { STREAM_FORWARD, STREAM_BACKWARD };

/* A place between entries, for going on from there; what is deleted is passed over. It survives
 * changes of the stream: an entry that was added behind is met, one that has gone is not. It owns
 * nothing, and needs no end. */
struct stream_cursor {
    struct stream *stream;
    enum stream_direction direction;
    struct stream_id next; /* the next entry has this id, or lies behind it in direction */
    bool is_at_end;
    uint64_t place[4]; /* where that was last found: a hint of stream.c's */
};
/* Begins at the entry with that id, or at the one nearest behind it in direction. Never fails. */
void stream_cursor_begin(struct stream_cursor *cursor, struct stream *stream, struct stream_id from,
                         enum stream_direction direction);
/* It goes on in a snapshot of its stream, which was taken just now, from where it stands. */
void stream_cursor_enter(struct stream_cursor *cursor, struct stream *snapshot);
/* 1: *out_entry, and the cursor stands behind it. 0: there is none. -EAGAIN: the cursor stays. In
 * these cases *out_entry may hold anything. */
int stream_cursor_next(struct stream_cursor *cursor, struct stream_entry *out_entry);
/* At most so many entries (not 0), whose fields have together at most so many bytes, but for the
 * first one, which may have more. */
struct stream_want {
    uint32_t count;
    uint64_t bytes;
};
/* The same for several, one at least, and as many of those that are wanted as can be had at once;
 * views of all are good together. How many. */
int stream_cursor_next_some(struct stream_cursor *cursor, struct stream_want want,
                            struct stream_entry *out_entries);
/* stream_ordinal_of, of the id that a cursor with the direction FORWARD goes on from. The cursor
 * stays, and knows its place then. */
int stream_cursor_ordinal(struct stream_cursor *cursor, uint64_t *out_ordinal);

/* 1: the entry with exactly that id. 0: there is none (any more). */
int stream_find(struct stream *stream, struct stream_id id, struct stream_entry *out_entry);
/* The ordinal of the first entry whose id is not less; end when there is none. Deleted ones count
 * while they are kept: between what this says and the first one that is there, all are deleted.
 * What was trimmed counts no more: start at least. */
int stream_ordinal_of(struct stream *stream, struct stream_id id, uint64_t *out_ordinal);
/* 1: the id of the first entry that is there. 0: it is empty. */
int stream_first_id(struct stream *stream, struct stream_id *out_id);
/* Entries that are there with ordinals from first on, before end. */
uint64_t stream_count_between(const struct stream *stream, uint64_t first, uint64_t end);

/* ---- removing ---- */

/* Deletes one that stream_find has found. 1: done, and the greatest deleted id is at least this one
 * now. 0: it is deleted already, or trimmed. It may need memory: -ENOMEM. When the first one goes,
 * start moves to the next one that is there. */
int stream_delete(struct stream *stream, uint64_t ordinal, struct stream_id id);
/* Where a trim ends that leaves so many entries (or those not less than an id): everything with a
 * smaller ordinal is to go. limit: at most so many entries go, 0: any number. is_approximate: only
 * whole groups of node_entries ordinals go, and the rest stays. */
struct stream_trim {
    bool by_id;
    uint64_t length;
    struct stream_id id;
    bool is_approximate;
    uint64_t limit;
};
int stream_trim_end(struct stream *stream, const struct stream_trim *trim, uint64_t *out_ordinal);
/* The same, for one that leaves entries which take at most so many bytes: of the heap, or of a
 * journal. What goes goes in the pieces in which room comes back, blocks of up to 4 KiB or what is
 * about as much, and the newest piece stays. Never waits. */
uint64_t stream_trim_end_of_bytes(const struct stream *stream, uint64_t bytes);
/* Everything before ordinal goes (at most end). The number of entries that were there. Never fails.
 */
uint64_t stream_trim(struct stream *stream, uint64_t ordinal);

/* ---- keeping ---- */

/* The stream as it is now, for all that reads; it is not to be changed, and what happens to stream
 * does not change it. It costs what leads to the entries, not the entries; what it keeps of them on
 * disk or in memory goes when it is destroyed (stream_destroy). -ENOMEM, … */
int stream_snapshot(struct stream *stream, struct stream **out_snapshot);

/* ---- saving ---- */

/* The stream as it is now, in bytes: entries that are in memory, else where their journal is, and
 * how far it counts. put may be called several times. Size first: it is exact until the next
 * change. */
uint64_t stream_image_size(const struct stream *stream);
void stream_image_write(const struct stream *stream, void (*put)(void *context, struct slice piece),
                        void *context);
/* -EBADMSG: the image is damaged, or its journal does not fit to it. -EPROTONOSUPPORT: made by
 * another version. */
int stream_image_load(struct stream_store *store, struct slice image, struct stream **out_stream);

/* Asserts what must hold of a stream; for tests. Reads all that is in memory. */
void stream_check(const struct stream *stream);
#endif
