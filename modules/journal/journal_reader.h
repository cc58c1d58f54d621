/* journal_reader.h - reading a journal, from any thread and process, while it is written.
 *
 * A reader maps the journal's files for reading and asks nobody: it sees every frame below the
 * published position, in order, each with its checksum verified, and needs no right to write (but a
 * reader who may not write the file `waiters` polls where others sleep). When no writer has opened
 * the journal since the machine was started, the reader finds the end as recovery would.
 *
 * Any number of readers; each belongs to one thread. Functions return 0 or a negative errno and may
 * wait for the disk (pages that are not in memory). Nothing here logs. */
#ifndef MODULES_JOURNAL_JOURNAL_READER_H
#define MODULES_JOURNAL_JOURNAL_READER_H
#include "modules/base/slice.h"

struct os;
struct journal;
struct journal_reader;

enum { JOURNAL_READER_NAME_BYTES_MAX = 100 };

/* As a timeout. 0 does not wait. */
#define JOURNAL_FOREVER INT64_C(-1)

struct journal_entry {
    uint64_t position;
    uint64_t time_ms, seq;
    struct slice payload; /* a view of the mapping, good until the next call on this reader */
};

/* Opens the journal in the directory path, before its first frame. os must outlive the reader.
 * -ENOENT: there is none. -EBADMSG: damaged. -EPROTONOSUPPORT: of another version. A key that is
 * missing or wrong is told where it is needed; what else keeps it from being read (-ENOMEM, -EIO),
 * at once. */
int journal_reader_open(struct os *os, const char *path, struct journal_reader **out_reader);
/* The same for a journal of this process, on its thread, which may be in memory; while it is, views
 * of entries are good only until the next append, waiting does not wait, and there are no names.
 * The journal outlives the reader. */
int journal_reader_open_here(struct journal *journal, struct journal_reader **out_reader);
/* The same for a thread that must not wait: what would wait for the disk is done by an I/O thread
 * of the journal's. The call returns -EAGAIN and on_ready follows, from io_poll or io_wait; then
 * make the same call again. What is in memory or in the page cache is read at once. Waiting does
 * not wait, there are no names. Views are good until the next call on the reader or the journal.
 * on_ready may be NULL; it must not close the reader. */
int journal_reader_open_async(struct journal *journal, void (*on_ready)(void *context),
                              void *context, struct journal_reader **out_reader);
/* Accepts NULL. Waits for what an I/O thread does for it. */
void journal_reader_close(struct journal_reader *reader);

/* True: an I/O thread works for it, and closing it would wait. */
bool journal_reader_is_busy(const struct journal_reader *reader);

/* What a reader that never waits holds of the heap, to read again without fetching: its window,
 * what is unpacked for it, indexes, and places of frames to read backward. While an I/O thread
 * works for it: what that was before. 0 of other readers. */
uint64_t journal_reader_window_bytes(const struct journal_reader *reader);

/* True: the frame that begins at that position will be there at once for who goes there, as far as
 * is known without a system call. Of a reader that never waits; false of others. */
bool journal_reader_has(const struct journal_reader *reader, uint64_t position);

/* Of a reader that never waits, and is not busy: who uses it now is not told why what another one
 * wanted, and did not come back for, could not be fetched. */
void journal_reader_forget_error(struct journal_reader *reader);
/* To be called of a reader that never waits when it is used after a while (in another turn of the
 * loop): what was in memory may not be there any more. */
void journal_reader_look_again(struct journal_reader *reader);
/* The same when frames were dropped (journal_drop_frames): what it has of segments is as they were
 * before, and who goes by that and by what another reader has found since may go in a circle. Views
 * stay good until it is used. */
void journal_reader_look_anew(struct journal_reader *reader);

/* The next frame. 1: *out_entry, and the reader stands behind it. 0: there is none yet. -EBADMSG:
 * the frame here is damaged; the reader stays. -ESTALE: it has been trimmed away; seek. -ENOKEY,
 * -EKEYREJECTED: its segment is encrypted, and the journal's key file cannot be read or is wrong.
 */
int journal_reader_next(struct journal_reader *reader, struct journal_entry *out_entry);
/* The same for several: the next frame, and those behind it that lie in memory beside it, so that
 * views of all are good together. At most count_max (not 0), and as many as have at most
 * payload_bytes_max together, but for the first one, which may have more. How many; else as
 * journal_reader_next. A reader that may wait gives one. 0 also where the reader has come to until,
 * the start of a segment (UINT64_MAX: to none): nothing from there on is looked at. */
int journal_reader_next_some(struct journal_reader *reader, uint64_t until, uint32_t count_max,
                             uint64_t payload_bytes_max, struct journal_entry *out_entries);
/* The frame before the one where the reader stands, and the reader stands before it: the other way
 * through the same frames. Else as journal_reader_next; 0: there is none before. It begins at an
 * index point and takes memory for the places of what lies between. */
int journal_reader_previous(struct journal_reader *reader, struct journal_entry *out_entry);
/* The same; 0 also where nothing lies between from, the start of a segment, and the reader, which
 * then stands there: nothing before it is looked at. */
int journal_reader_previous_from(struct journal_reader *reader, uint64_t from,
                                 struct journal_entry *out_entry);
/* Waits for at most timeout_us microseconds, or JOURNAL_FOREVER, until something is published
 * behind the reader. 1: there is. 0: the time is over. -EINTR: a signal came. A busy reader that
 * never gets here makes no system call; one that sleeps looks once a second. */
int journal_reader_wait(struct journal_reader *reader, int64_t timeout_us);

/* Before the oldest frame there is; behind the newest that is published. */
int journal_reader_seek_start(struct journal_reader *reader);
int journal_reader_seek_end(struct journal_reader *reader);
/* To a position that an entry, or journal_reader_position, has told. -EINVAL: no frame begins
 * there. -ESTALE: it has been trimmed away. */
int journal_reader_seek_position(struct journal_reader *reader, uint64_t position);
/* Before the first frame whose id is not less; behind the last if there is none. By time: seq 0. */
int journal_reader_seek_id(struct journal_reader *reader, uint64_t time_ms, uint64_t seq);
/* A place that what frames hold tells. */
struct journal_search {
    /* Whether a frame lies before the place: first those of which it is true, then all others. It
     * may be called on another thread, until the search has come to its end or the reader is
     * closed: what it looks at stays as it is till then. entry is good during the call. */
    bool (*is_before)(const void *context, const struct journal_entry *entry);
    const void *context;
    /* Known to lie at or before the place: the start of a segment, as journal_segment_start says,
     * and of the last one that may hold it, or end with it: no other is looked at. 0: not known. */
    uint64_t from, last;
    uint64_t key; /* tells it from other searches of the same reader */
    /* If the place is before or behind a certain id, and ids grow: so the index is asked for it. */
    bool has_id;
    uint64_t time_ms, seq;
};
/* Goes there: behind the last frame, if all lie before it. It looks at about as many frames as the
 * number of 64 KiB has digits in binary, and through one such piece. */
int journal_reader_search(struct journal_reader *reader, const struct journal_search *search);

/* Gives the reader a name, under which its position is kept in the journal's directory, and goes
 * there. A name belongs to one reader at a time, wherever it runs, until it is closed.
 * 1: there the reader stands now; when the journal has lost frames that it had seen (the power
 * went), where the journal was synced when the position was kept. 0: the name is new; the reader
 * stays where it is. -ESTALE: what was kept has been trimmed away; the reader has its name and
 * stands before the oldest frame. -EWOULDBLOCK: another reader has the name. -EINVAL: it is empty,
 * longer than JOURNAL_READER_NAME_BYTES_MAX, begins with a dot or holds a slash, or the reader has
 * one already. -EACCES, -ENOSPC, …: of the file. */
int journal_reader_take_name(struct journal_reader *reader, const char *name);
/* Keeps the reader's position under its name. That survives the process at once, and a loss of
 * power if is_durable (which waits for the device); else an older one may come back, so that frames
 * are seen again, never missed. -EINVAL: it has no name. */
int journal_reader_keep(struct journal_reader *reader, bool is_durable);

/* Where the next frame will be looked for; up to where frames are published now. */
uint64_t journal_reader_position(const struct journal_reader *reader);
uint64_t journal_reader_end(const struct journal_reader *reader);
#endif
