/* checkpoint_writer.h - a checkpoint file on its way to the disk.
 *
 * The owner of io puts records in; an I/O thread cuts them into blocks, sums them up and writes
 * them to checkpoint-N.tmp, which becomes checkpoint-N when all of it is on the device. Nothing
 * here waits for the disk but checkpoint_writer_destroy.
 *
 *   WRITING ── put, put … ── finish ──▶ FINISHING ──▶ DONE       it is there for good
 *      └────────── a step fails, or cancel ──────────▶ FAILED     nothing of it is there
 *
 * It may fail in such a way that nobody knows whether the file is there: see has_strayed. */
#ifndef SERVER_DURABILITY_CHECKPOINT_WRITER_H
#define SERVER_DURABILITY_CHECKPOINT_WRITER_H
#include "modules/base/slice.h"
#include "server/durability/checkpoint_format.h"

struct checkpoint_writer;
struct io;
struct os;
struct packet;

enum checkpoint_writer_state {
    CHECKPOINT_WRITER_OPEN,
    CHECKPOINT_WRITER_FINISHING,
    CHECKPOINT_WRITER_DONE,
    CHECKPOINT_WRITER_FAILED,
};

/* directory must outlive the writer, as os and io must. on_progress runs inside io_poll whenever
 * bytes were written or the state has changed. -ENOMEM. */
int checkpoint_writer_create(struct os *os, struct io *io, const char *directory,
                             const struct checkpoint_head *head, void (*on_progress)(void *context),
                             void *context, struct checkpoint_writer **out_writer);
/* Waits for what is under way; cancels what is not DONE. Accepts NULL. */
void checkpoint_writer_destroy(struct checkpoint_writer *writer);

/* A record's fields and name; its value follows in as many puts as it takes. */
void checkpoint_writer_begin_record(struct checkpoint_writer *writer,
                                    const struct checkpoint_record *record, struct slice name);
/* Copies bytes. Without memory for that the writer fails. */
void checkpoint_writer_put(struct checkpoint_writer *writer, struct slice bytes);
/* All of a packet's payload, without a copy; takes a reference. */
void checkpoint_writer_put_packet(struct checkpoint_writer *writer, struct packet *packet);
/* What was put and is not written yet. Who has the choice puts nothing while that is much. */
uint64_t checkpoint_writer_pending_bytes(const struct checkpoint_writer *writer);
uint64_t checkpoint_writer_memory_bytes(const struct checkpoint_writer *writer);

/* Nothing more is put: what is there becomes the checkpoint. */
void checkpoint_writer_finish(struct checkpoint_writer *writer);
/* Gives up; FAILED follows, with that error. */
void checkpoint_writer_cancel(struct checkpoint_writer *writer, int error);

enum checkpoint_writer_state checkpoint_writer_state(const struct checkpoint_writer *writer);
int checkpoint_writer_error(const struct checkpoint_writer *writer);               /* 0 or -errno */
const char *checkpoint_writer_failed_step(const struct checkpoint_writer *writer); /* in words */
/* FAILED after the file got its name, and that could not be taken back for sure: a restart may find
 * it, and what it refers to must stay as it is until checkpoint_files_remove has succeeded. */
bool checkpoint_writer_has_strayed(const struct checkpoint_writer *writer);
uint64_t checkpoint_writer_written_bytes(const struct checkpoint_writer *writer);
#endif
