/* journal.h - an append-only sequence of frames in a directory of its own, written by one.
 *
 * A frame is a payload of any bytes, zero of them included, under an id of two numbers (time_ms,
 * seq) that grows with every frame. Frames are never changed. They are read by any number of
 * threads and processes (journal_reader.h), which map the same files and never ask the writer.
 *
 * Three positions move forward, first to last: **appended** (taken by the writer), **published**
 * (readers see it, and kill -9 of the writer does not lose it), **synced** (power loss does not
 * lose it). A position is a place in the journal (format.h); later frames have greater ones.
 *
 * Two ways to the file. *Mapped*: frames are stored into a mapping of the segment, which I/O
 * threads reserve and touch ahead, so that an append neither faults nor meets a full disk; it is as
 * fast as memory, also while a sync of what came before runs. *Buffered*: frames are gathered in
 * memory and written by an I/O thread; better when every few frames are synced, and used of
 * necessity on file systems that cannot reserve space.
 *
 * Threads. One thread owns a journal, the one that owns io; no call but open, close and wait waits
 * for a disk. Whatever an I/O thread has done is taken in by io_poll or io_wait on that thread,
 * which calls on_progress. Functions return 0 or a negative errno; after an error nothing has
 * changed. Nothing here logs. */
#ifndef MODULES_JOURNAL_JOURNAL_H
#define MODULES_JOURNAL_JOURNAL_H
#include "modules/base/slice.h"

struct io;
struct os;
struct journal;
struct journal_set;

enum {
    JOURNAL_ROLL_BYTES_MIN = 64 << 10,
    JOURNAL_ROLL_BYTES_DEFAULT = 64 << 20,
    JOURNAL_ROLL_BYTES_MAX = 512 << 20,
    JOURNAL_PAYLOAD_BYTES_MAX = (1 << 29) - 1,
    JOURNAL_MEMORY_BYTES_MAX = 64 << 10,
    /* Touched ahead of the appended position at most, and by one call. */
    JOURNAL_AHEAD_BYTES_MAX = 4 << 20,
    JOURNAL_TOUCH_BYTES = 256 << 10,
    /* Buffered: what may wait to be written; a larger frame may alone. */
    JOURNAL_BUFFERED_BYTES_MAX = 8 << 20,
    JOURNAL_REPORT_TEXT_BYTES = 256,
    JOURNAL_TIER_PATH_BYTES_MAX = 1000,
};

/* What segments that have ended are made smaller with. */
enum journal_codec { JOURNAL_CODEC_NONE, JOURNAL_CODEC_LZ4, JOURNAL_CODEC_ZSTD };

/* Fixed when a journal is made. */
struct journal_settings {
    /* A segment is ended before it would grow above this; a frame that is larger gets a segment of
     * its own. A multiple of 4096 from JOURNAL_ROLL_BYTES_MIN to _MAX; 0: the default. */
    uint64_t roll_bytes;
    /* A segment is ended when a frame's time is in a later period of so many ms since 1970 (UTC,
     * whatever the time zone) than the segment's first: 1000, 60000, 3600000, 86400000, or any
     * other number. 0: never. */
    uint64_t roll_ms;
    /* Written by any number of threads and processes through journal_writer.h, and only so; else by
     * one through this header. Such a journal is rolled by size only. */
    bool has_several_writers;
    /* Segments that have ended are packed with it by an I/O thread; readers do not notice. */
    enum journal_codec codec;
    /* Segments move there when so many ms have passed since the one after them was made. Paths of
     * directories that exist, perhaps in other file systems and shared by journals; one that does
     * not begin with a slash is taken from the journal's directory. NULL and 0: not at all. With
     * both, cool comes first. At most JOURNAL_TIER_PATH_BYTES_MAX bytes. */
    const char *cool_path, *cold_path;
    uint64_t cool_after_ms, cold_after_ms;
    /* Segments that have ended are encrypted (AES-256-GCM) with a key that is read from this file:
     * 64 hexadecimal digits. A path as above; whoever reads such segments must be able to read it.
     * NULL: they are not. What is protected and what is not stands in README.md. */
    const char *key_path;
};

/* A segment that is packed. */
struct journal_packed_segment {
    uint64_t number;
    uint64_t file_bytes; /* of its packed form */
    uint32_t note;       /* of what dropped frames of it; 0: nothing did */
};

/* Which frames of a segment nobody needs any more. is_dropped is called on I/O threads; head is the
 * first 8 bytes of the frame's payload, little-endian, 0 of a shorter one. What it once said of a
 * frame stays true. */
struct journal_dropping {
    uint64_t number;          /* of the segment */
    enum journal_codec codec; /* to pack it with; not NONE */
    uint32_t note;            /* kept with the segment, for who drops of it later; not 0 */
    bool (*is_dropped)(const void *context, uint64_t head);
    const void *context;
};

enum journal_way { JOURNAL_MAPPED, JOURNAL_BUFFERED };
/* What readers see: all that is stored, or only what power loss cannot take back any more. */
enum journal_publish { JOURNAL_PUBLISH_WRITTEN, JOURNAL_PUBLISH_SYNCED };

struct journal_options {
    const char *path;                 /* of the directory; the one above it exists */
    struct journal_settings settings; /* of a journal that is not there yet, else not looked at */
    enum journal_way way;
    enum journal_publish publish;
    /* A journal that is not there yet begins in memory, where only journal_reader_open_here reads
     * it, and moves to its directory before it grows above JOURNAL_MEMORY_BYTES_MAX, at the first
     * sync, or by journal_move_to_file. What is in memory is lost with the process, and on closing.
     */
    bool starts_in_memory;
    /* A journal that has no segment yet begins in the one after this position's, so that all its
     * positions are greater: for going on beside one whose sync has failed. 0: at the first. */
    uint64_t starts_above;
    /* A position up to which the caller knows that the journal was synced (a checkpoint says so);
     * 0: none. Damage below it is corruption even if the journal itself does not know. */
    uint64_t synced_position;
    /* Where the journal is to end, for an owner who keeps that elsewhere and goes on from there:
     * the place of a frame, or behind the last one. All from there on is cut off, whatever was
     * synced. Such a journal is not made if it is not there, and segments from that one on stay
     * plain (journal_keep_plain). 0: where its frames end. Not with refuses_tail, and not with
     * synced_position unless it syncs late. */
    uint64_t ends_at;
    /* What is made or cut by opening is not brought to the device there, names neither: the first
     * journal_sync does it, or the owner, for all of the file system. He knows how far that was:
     * synced_position then is not what journal itself must know, but up to where all is on the
     * device; 0: nothing is. What lies behind must be in the last segment (journal_may_close_late).
     * A start that cannot be sure of that is told where it ends (ends_at). */
    bool syncs_late;
    /* Of one that is mapped: what was touched ahead stays in memory until it was stored into, also
     * where little is appended and memory is short, so that no append waits for pages to come back
     * from the disk: locked, as far as the system allows it, up to twice JOURNAL_AHEAD_BYTES_MAX.
     */
    bool pins_room;
    /* Nobody is going to read soon what is appended: what is on the device leaves the page cache,
     * so that there is room for what is read. Of one that is mapped. */
    bool drops_written;
    /* Opening makes no room ahead of the last frame: what comes there is asked for (may_grow). Of a
     * journal that has frames; one that is made has some. */
    bool opens_short;
    /* Ids need not grow. Where they fall, seeking by id finds some place; journal_reader_search may
     * know better. */
    bool ids_may_fall;
    /* Opening verifies every frame there is; else those of the segment in which the synced position
     * lies, and what follows. */
    bool verifies_all;
    /* A tail that would be cut is refused instead, so that somebody may look at it first. */
    bool refuses_tail;
    struct journal_set *set; /* that it counts in (journal_set.h), and outlives it; NULL: none */
    /* Called by io_poll and io_wait after something has moved: room, published, synced, or an
     * error. May append, publish and sync, not close. May be NULL. */
    void (*on_progress)(void *context);
    /* Called likewise, for each segment that has been packed; with tells_packed journal_attach does
     * for those that were before, which takes opening a look at each of their files. May be NULL.
     */
    void (*on_packed)(void *context, const struct journal_packed_segment *segment);
    bool tells_packed;
    /* The files that are appended to are about to take so many bytes more of the disk: 0, or why
     * they must not, which is what journal_append and _reserve return when they cannot do without.
     * Called on the owner's thread, also from within these. Not asked for what opening makes, nor
     * for what packing does. NULL: they may. */
    int (*may_grow)(void *context, uint64_t bytes);
    /* How much may_grow would say yes to now: of what is left, room ahead takes a small part only.
     * Called likewise. NULL: any number. */
    uint64_t (*room_left)(void *context);
    void *context;
};

/* What was found on opening. */
struct journal_report {
    uint64_t start, end;      /* positions; end is where the first new frame goes */
    uint64_t synced_position; /* that was known, by whoever */
    /* That lay behind end and were not zero: a tail that was cut. Not counted with ends_at. */
    uint64_t cut_bytes;
    uint64_t dropped_segment_count; /* that lay behind end: made ahead, or of that tail */
    uint64_t index_rebuilt_count;   /* indexes that were missing or wrong and were made anew */
    bool is_created;
    char text[JOURNAL_REPORT_TEXT_BYTES]; /* of an error: what is wrong, in which file, and where */
};

/* Makes or opens a journal and recovers it; waits for the disk. os and io must outlive the journal,
 * and io must work through os. out_report is filled also on error (text is "" when there is nothing
 * to add). Rules of recovery: recover.h.
 * -EBADMSG: corruption, or it cannot end where it is to end; nothing was changed. -EUCLEAN: a tail,
 * and refuses_tail; nothing was changed either. -EPROTONOSUPPORT: made by another version.
 * -EWOULDBLOCK: somebody writes it. -ENOKEY: its key file is missing or may not be read.
 * -EKEYREJECTED: the file holds no key, or not the journal's. -EINVAL: the settings contradict the
 * above. -ENOSPC, -EIO, -ENOENT, -EACCES, …: of the file system. -ENOMEM. */
int journal_open(struct os *os, struct io *io, const struct journal_options *options,
                 struct journal_report *out_report, struct journal **out_journal);
/* journal_open in two parts, for who must not wait. journal_prepare is called by any thread and
 * waits for the disk. journal_attach follows on the thread of io before all else, and waits for
 * nothing; or journal_close alone, on any thread. */
int journal_prepare(struct os *os, const struct journal_options *options,
                    struct journal_report *out_report, struct journal **out_journal);
void journal_attach(struct journal *journal, struct io *io);
/* The same backwards: nothing is under way (journal_is_busy), and all is written (journal_sync) or
 * given up. Only journal_close follows, on any thread, and waits for the disk alone. */
void journal_detach(struct journal *journal);
/* Waits for what is under way, writes and publishes what was appended (without a sync: ask for it
 * before), gives back what was reserved. Accepts NULL. 0, or why not all of it could be written;
 * the journal is closed all the same. */
int journal_close(struct journal *journal);
/* True: of one that syncs late, what is not on the device lies in its last segment, and all is
 * written. It may be closed as it is, also after a failed sync; who opens it again says what
 * journal_synced was, and remembers the failure. */
bool journal_may_close_late(const struct journal *journal);
/* What has not been written never will be: as after a failed sync, with -ECANCELED. Once nothing is
 * under way (journal_is_busy), journal_close waits for nobody, and any thread may call it. */
void journal_give_up(struct journal *journal);
/* Removes a journal that nobody writes with all that belongs to it, in all tiers, and its
 * directory; waits for the disk. Broken off, it leaves one that lacks its oldest segments: call
 * again. One whose meta is missing or damaged goes too, but for what it had in other tiers.
 * -EWOULDBLOCK: somebody writes it. -ENOENT: there is none. -ENOTEMPTY: somebody else's directory
 * is in it. */
int journal_remove(struct os *os, const char *path);

/* Appends a frame of the parts, one behind the other. *out_position is where.
 * -EAGAIN: room is being made by an I/O thread; on_progress follows. -ENOSPC, -EDQUOT, -ENFILE, …:
 * it could not be made; the next call tries again. -EIO or another error of a sync: see
 * journal_error. -EINVAL: the id is not greater than the last. -EMSGSIZE: larger than
 * JOURNAL_PAYLOAD_BYTES_MAX. */
int journal_append(struct journal *journal, uint64_t time_ms, uint64_t seq,
                   const struct slice *parts, size_t part_count, uint64_t *out_position);
/* Makes sure that frames of so many bytes in all (journal_frame_bytes of each) can be appended
 * without an error: 0, or as journal_append. Kept until that much was appended. */
int journal_reserve(struct journal *journal, uint64_t frame_bytes);

/* Shows readers what was appended: at once when it is mapped, else once an I/O thread has written
 * it. With JOURNAL_PUBLISH_SYNCED that is the work of journal_sync, and this does nothing. */
void journal_publish(struct journal *journal);
/* Starts a sync of all that was appended and publishes it; while one runs, the next follows it. */
void journal_sync(struct journal *journal);
/* After a failed sync, of this journal or of all that lies in its file system: what is not known to
 * be on the device is written once more where it lies, synced, and then verified, by I/O threads;
 * nothing is taken meanwhile, as it is with journal_error. That is all behind the position `from`,
 * and behind journal_synced: from is lower if a sync that has succeeded says nothing (it came after
 * the one that failed, or the journal was closed before and opened again). on_progress
 * follows when that has ended: journal_error is 0, and the journal goes on; or it tells why not.
 * -EBADMSG: the kernel has let go of what was not on the device, and it is lost; journal_info's
 * damage is where. After another error it may be called again. For one that has files, not in a
 * set. */
void journal_renew(struct journal *journal, uint64_t from);
bool journal_is_renewing(const struct journal *journal);
/* Waits until something that is under way has ended (io_wait), for callers without a loop. -EAGAIN:
 * nothing is. */
int journal_wait(struct journal *journal);
/* True: I/O threads work for it, and journal_close would wait for them. */
bool journal_is_busy(const struct journal *journal);

/* Starts moving a journal that is in memory to its directory; nothing to do for others. Appending
 * goes on meanwhile. on_progress follows; whether it has come to an end is told by
 * journal_is_in_memory, and why not by the next append that needs it or by room_error. */
void journal_move_to_file(struct journal *journal);
bool journal_is_in_memory(const struct journal *journal);

/* Does to segments that have ended what is due at that time (ms since 1970): moves them to another
 * tier, and tries again what had failed (journal_info's tend_error). For about once a second: it
 * costs a comparison when there is nothing to do, else I/O threads work and on_progress follows.
 * Packing begins without it. */
void journal_tend(struct journal *journal, uint64_t now_ms);
/* Segments from the one of position on are neither packed nor moved: opening may still be told to
 * end there (ends_at). UINT64_MAX, and so it is in the beginning: all may be. */
void journal_keep_plain(struct journal *journal, uint64_t position);
/* Segments that have ended are packed with that codec from now on, whatever the settings say: those
 * that are plain yet, too, while those that are packed stay as they are. For a journal that has
 * files and is not encrypted, until it is closed. */
void journal_set_codec(struct journal *journal, enum journal_codec codec);
/* Writes a segment that has ended anew, packed, without the frames that are not needed; it may be
 * packed already. Positions of all others, and places behind those that go, stay as they are;
 * readers pass over what has gone. on_packed follows; or it could not be done, and the segment is
 * as it was. dropping->context must stay until it is over. One at a time: -EBUSY. -EINVAL: it has
 * not ended, is not on the device yet, or must stay plain. */
int journal_drop_frames(struct journal *journal, const struct journal_dropping *dropping);
/* What came of the last one, when it is over: 0, also where its segment has been trimmed away or
 * must stay plain now. -EBADMSG: the segment is damaged. -EIO: it cannot be read, or not twice
 * alike, or what was written is not what was to be. -ENOSPC, -ENOMEM, …: another time, perhaps. */
int journal_drop_error(const struct journal *journal);
/* False: it is over, or there was none. */
bool journal_is_dropping(const struct journal *journal);
/* True: what is done to segments that have ended (packing, moving) stops before the next step, of
 * some MiB. False: it goes on. Who wants to close a journal soon does not wait for it so. */
void journal_pause_tending(struct journal *journal, bool is_paused);
/* True: there is something of that to be done, and it is not paused. */
bool journal_is_tending(const struct journal *journal);
/* Gives back its mappings, its room and all descriptors but one as soon as it is synced and nothing
 * is under way, unless it is appended to before. The next append gets -EAGAIN while they come back.
 * Nothing to do for one that is in memory. */
void journal_rest(struct journal *journal);
/* The segment that is written ends early, with one of the next appends: little of it is of use any
 * more, and what has ended can go. Nothing to do for a journal that is in memory or rests. */
void journal_end_segment(struct journal *journal);
/* True: it is going to end so, and may ask for room for the next one with any append. */
bool journal_is_ending(const struct journal *journal);
/* Drops the segments all of whose frames lie below position; an I/O thread removes the files. */
void journal_trim(struct journal *journal, uint64_t position);

uint64_t journal_appended(const struct journal *journal);
uint64_t journal_published(const struct journal *journal);
uint64_t journal_synced(const struct journal *journal);
/* 0, or why writes have stopped for good: a write or sync has failed, and what the device holds
 * behind the synced position is unknown. Reading goes on; opening anew recovers, and journal_renew
 * may mend it. */
int journal_error(const struct journal *journal);

struct journal_info {
    struct journal_settings settings;
    uint64_t id; /* random, since it was made */
    enum journal_way way;
    /* The file system cannot reserve space; buffered for that reason. */
    bool is_without_reserve;
    uint64_t start, appended, published, synced;
    uint64_t last_time_ms, last_seq; /* of the last frame; 0, 0: none */
    uint64_t segment_count;
    uint64_t reserved_bytes; /* room that is ready behind the last frame, in files */
    uint64_t buffered_bytes; /* in memory, not yet written */
    uint64_t memory_bytes;   /* of a journal that is in memory */
    uint64_t append_count, append_bytes, sync_count, roll_count, stall_count; /* since opening */
    uint64_t index_error_count; /* an index could not be written; it will be rebuilt */
    /* Since opening: segments that were packed, that were moved to another tier, and that could not
     * be packed because they are damaged, and stay as they are. */
    uint64_t packed_count, moved_count, damaged_count;
    uint64_t reindexed_count; /* indexes of ended segments that were not whole, and are now */
    bool is_resting;
    int tend_error;        /* why one could not be packed or moved the last time, or 0 */
    int error, room_error; /* journal_error; why room could not be made the last time, or 0 */
    /* Why what was appended could not be written, for want of room: it stays in memory, and is
     * tried again by the next journal_publish or _sync. 0: that has succeeded. */
    int write_error;
    uint64_t damage; /* after journal_renew: the position of what was lost; 0: none is known */
};
void journal_get_info(const struct journal *journal, struct journal_info *out_info);
/* Of its segments' files, what the writer has mapped and may store to without a fault. 0: it is in
 * memory, rests, or writes through a buffer. */
uint64_t journal_mapped_bytes(const struct journal *journal);
/* What those of its files take of the disk that are appended to, with the room ahead: the last
 * segment, and the next one. What is being made counts as if it were there. 0: it is in memory. */
uint64_t journal_growing_bytes(const struct journal *journal);
/* Of these, what lies behind the last frame: closing it gives them back. */
uint64_t journal_spare_bytes(const struct journal *journal);
#endif
