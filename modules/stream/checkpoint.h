/* checkpoint.h - what checkpoints refer to of the streams in journals, and what goes when none
 * does.
 *
 * A journal changes in place: entries come behind, and segments go at the front. A checkpoint holds
 * images (stream_image_write), which say in which directory a stream's journal is, where it begins
 * and where it ends. Loading one sets the journal back to that end, and the operation log is
 * replayed from there. So what an image refers to stays as long as its checkpoint may be loaded:
 *
 *   the life of a segment                 goes (unlinked by an I/O thread) when
 *     frames are appended, it ends        -
 *     its entries are trimmed away        neither the last complete checkpoint nor the one that is
 *     or their stream is destroyed        being made refers to it
 *
 *   a directory: its last segment's, or at a start, when nothing that was loaded refers to it
 *
 * Where no checkpoints are made nothing is referred to, and all goes at once.
 *
 *   begin ─▶ images of all streams are written ─▶ sync … until 1 ─▶ the checkpoint gets its name
 *     ╰────────── whatever fails ──────────▶ end(false) ◀── not ──────╯╰──▶ end(true)
 *                                            stray ◀── nobody knows ──╯
 *
 * One thread, the store's. Only what says so waits for a disk. */
#ifndef MODULES_STREAM_CHECKPOINT_H
#define MODULES_STREAM_CHECKPOINT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream;
struct stream_store;

/* Images that are written from now on belong to it. One at a time. */
void stream_checkpoint_begin(struct stream_store *store);
/* Brings to the device what those images refer to. 1: all of it is there. 0: not yet; on_ready
 * follows, then ask again. Negative: it will not come: a sync has failed, or a journal could not be
 * written; the checkpoint must not get its name, and no later one that refers to that journal will
 * until it is mended (stream_trouble), its stream is gone or the server has been started anew. */
int stream_checkpoint_sync(struct stream_store *store);
/* is_complete: it is the one that counts, on the device; what only the one before referred to goes.
 * Else it is certain that nobody will ever load it, and all is as if it had never begun. */
void stream_checkpoint_end(struct stream_store *store, bool is_complete);

/* Instead of end: nobody knows whether a start would find it. What it refers to stays, and what the
 * one before does, until the next one is complete. */
void stream_checkpoint_stray(struct stream_store *store);

/* Where the journal of a stream is, and the position at which it is to end: for who checks it
 * without opening it. False: it is in memory. */
bool stream_checkpoint_journal(const struct stream *stream, char *path, size_t size,
                               uint64_t *out_end);

enum { STREAM_LOOK_TEXT_BYTES = 4608 };
/* All images of a start are loaded: looks whether their journals are there, of this version, and
 * long enough, by their heads. 1: they are. 0: not known yet; on_ready follows, then ask again.
 * Negative, and text says which is not, and why: as journal_check_heads, or -ENOMEM. Before
 * stream_checkpoint_loaded. */
int stream_checkpoint_look(struct stream_store *store, char text[STREAM_LOOK_TEXT_BYTES]);

/* All that a start loads is loaded (or nothing was): directories of journals that no stream refers
 * to are removed by I/O threads. The replay of a log may come before or after. */
void stream_checkpoint_loaded(struct stream_store *store);
#endif
