/* files.h - streams in journals: what stream.c, store.c and image.c need of them.
 *
 * A stream that has grown too large for memory has a directory of its own, DIR/stream-N, with a
 * journal in it; N is never used again while anything might remember it. Which part of it counts,
 * and for whom, is told in checkpoint.h.
 *
 * Private to modules/stream. One thread; nothing here waits for a disk, but
 * stream_files_store_create. */
#ifndef MODULES_STREAM_FILES_H
#define MODULES_STREAM_FILES_H
#include "modules/stream/stream_internal.h"

extern const struct stream_backend stream_files_backend;

/* Looks what directories there are. store->files is set; NULL when the store has no io: its streams
 * stay in memory. -ENOMEM, or the error of looking. */
int stream_files_store_create(struct stream_store *store);
/* All streams have been destroyed. Waits for what is under way. */
void stream_files_store_destroy(struct stream_store *store);
/* As stream_store_tick. */
bool stream_files_tick(struct stream_store *store);

/* Whether a stream in memory that is to take so many bytes more must move to a journal first. */
bool stream_files_must_move(const struct stream *stream, uint64_t fields_bytes);
/* Moves it, and reserves. 0: it has files now. Waits, -EAGAIN, or an error: it is as before. */
int stream_files_move(struct stream *stream, uint64_t fields_bytes);
/* Any stream in memory, whether it must or not. -ENOMEM: the store's streams stay there. */
int stream_files_leave_memory(struct stream *stream);
/* The same for any stream in memory, a step of it, without waiting and reserving. -EAGAIN: it is
 * being moved; ask again. */
int stream_files_try_move(struct stream *stream);
/* The stream is about to go, or to stay in memory, perhaps while it is being moved. */
void stream_files_forget(struct stream *stream);
#endif
