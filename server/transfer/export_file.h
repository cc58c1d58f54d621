/* export_file.h - a new file that is written front to back by I/O threads, and appears under its
 * name only when all of it is on the device.
 *
 *   OPENING ─▶ WRITING ── finish ──▶ FINISHING ──▶ DONE     it is there, whole
 *      └─────────┴── an error, or discard ──┴────▶ FAILED   nothing of it is there
 *
 * It is made as NAME.tmp; there must be neither. What a FAILED one could not remove stays (EROFS,
 * EIO, …) and is in the way of the next of that name. Nobody waits for the disk but who destroys it
 * while something is under way. One thread, io's owner. */
#ifndef SERVER_TRANSFER_EXPORT_FILE_H
#define SERVER_TRANSFER_EXPORT_FILE_H
#include <stdbool.h>

#include "modules/base/slice.h"

struct export_file;
struct io;

enum { EXPORT_FILE_WRITE_BYTES = 1 << 20 }; /* of one write, more or less */

/* on_progress runs inside io_poll after each step. -ENOMEM. */
int export_file_create(struct io *io, const char *path, void (*on_progress)(void *context),
                       void *context, struct export_file **out_file);
/* Waits for what is under way; of what is not DONE nothing stays. Accepts NULL. */
void export_file_destroy(struct export_file *file);

/* Room for size more bytes, to be written to and then taken by export_file_put; NULL: no memory,
 * and the file has failed. */
uint8_t *export_file_room(struct export_file *file, size_t size);
void export_file_put(struct export_file *file, size_t size);
/* Writes what was put, if enough of it is there and nothing is under way. */
void export_file_write(struct export_file *file);
/* Bytes that were put and are not written. */
size_t export_file_waiting_bytes(const struct export_file *file);
uint64_t export_file_written_bytes(const struct export_file *file);
/* Writes what is left, syncs, gives it its name. Ends as DONE or FAILED. */
void export_file_finish(struct export_file *file);
/* Ends as FAILED, of which export_file_error is rc unless it had failed before. */
void export_file_discard(struct export_file *file, int rc);
/* True: it is DONE or FAILED, and nothing is under way. */
bool export_file_has_ended(const struct export_file *file);
/* 0, or why it has failed or is about to; -EEXIST: there is such a file. */
int export_file_error(const struct export_file *file);
#endif
