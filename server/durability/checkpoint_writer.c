/* What is put gathers in pieces of 64 KiB; large values come as packets. One job at a time takes
 * all pieces there are, fills blocks with them and writes each full one. The first job makes the
 * file, the last one writes the end, syncs, renames and syncs the directory. Whichever job fails
 * removes the file at once. */
#include "server/durability/checkpoint_writer.h"

#include "modules/base/os.h"
#include "modules/io/io.h"
#include "modules/pool/packet.h"
#include "server/durability/checkpoint_files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

enum {
    PIECE_BYTES = 64 * 1024,
    SYNC_BYTES = 32 * 1024 * 1024, /* so that the last sync has little left to do */
    BLOCK_BYTES_MAX = CHECKPOINT_BLOCK_HEADER_BYTES + CHECKPOINT_BLOCK_DATA_MAX,
};

struct piece {
    struct piece *next;
    struct packet *packet; /* not NULL: its payload, else own */
    size_t size;           /* <= PIECE_BYTES, of own */
    uint8_t own[];
};

struct pieces {
    struct piece *first, *last; /* last means nothing when first is NULL */
    uint64_t bytes, own_count;
};

struct checkpoint_writer {
    struct io_job job; /* first: run and done get it */
    struct os *os;
    struct io *io;
    const char *directory;
    char *path, *temporary_path;
    void (*on_progress)(void *context);
    void *context;
    enum checkpoint_writer_state state;
    int error;

    struct pieces queued; /* the owner's */
    struct piece *current;
    struct checkpoint_end end;
    int cancel_error;
    uint64_t written_bytes; /* what offset was when the last job ended */
    bool is_busy;           /* what follows belongs to the job */

    struct pieces taken;
    bool finishes, discards;
    int fd; /* -1: not open */
    uint8_t head[CHECKPOINT_HEAD_BYTES];
    uint64_t offset, synced_offset; /* in the file, of what has been written */
    uint32_t block_size;            /* data in block */
    const char *step;
    bool has_strayed;
    uint8_t block[BLOCK_BYTES_MAX];
};

/* ---- on the I/O thread ---- */

static int open_file(struct checkpoint_writer *writer, struct os *os)
{
    int rc;
    writer->step = "creating the file";
    rc = os->open(os, writer->temporary_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (rc < 0) return rc;
    writer->fd = rc;
    writer->step = "writing";
    rc = os_write_all(os, writer->fd, writer->head, sizeof(writer->head), 0);
    if (rc < 0) return rc;
    writer->offset = sizeof(writer->head);
    return 0;
}

static int write_block(struct checkpoint_writer *writer, struct os *os,
                       enum checkpoint_block_kind kind)
{
    size_t size = CHECKPOINT_BLOCK_HEADER_BYTES + (size_t)writer->block_size;
    int rc;
    if (writer->block_size == 0) return 0;
    checkpoint_block_seal(writer->block, writer->block_size, kind, writer->offset,
                          checkpoint_head_seed(writer->head));
    writer->step = "writing";
    rc = os_write_all(os, writer->fd, writer->block, size, writer->offset);
    if (rc < 0) return rc;
    writer->offset += size;
    writer->block_size = 0;
    return 0;
}

static int sync_some(struct checkpoint_writer *writer, struct os *os)
{
    int rc;
    if (writer->offset - writer->synced_offset < SYNC_BYTES) return 0;
    writer->step = "syncing";
    rc = os->fdatasync(os, writer->fd);
    if (rc == 0) writer->synced_offset = writer->offset;
    return rc;
}

static int write_bytes(struct checkpoint_writer *writer, struct os *os, struct slice bytes)
{
    int rc = 0;
    while (bytes.size > 0 && rc == 0) {
        size_t room = CHECKPOINT_BLOCK_DATA_MAX - writer->block_size;
        size_t size = bytes.size < room ? bytes.size : room;
        memcpy(writer->block + CHECKPOINT_BLOCK_HEADER_BYTES + writer->block_size, bytes.bytes,
               size);
        writer->block_size += (uint32_t)size;
        bytes = slice_of(bytes.bytes + size, bytes.size - size);
        if (size == room) rc = write_block(writer, os, CHECKPOINT_BLOCK_RECORDS);
        if (rc == 0) rc = sync_some(writer, os);
    }
    return rc;
}

static int close_file(struct checkpoint_writer *writer, struct os *os)
{
    int rc = os->close(os, writer->fd);
    writer->fd = -1;
    return rc;
}

/* The file has its name, but that may be gone after a loss of power, or not. Taking it away again
 * must be as certain as giving it would have been. */
static void take_name_back(struct checkpoint_writer *writer, struct os *os)
{
    writer->has_strayed =
        os->unlink(os, writer->path) < 0 || os->fsync_directory(os, writer->directory) < 0;
}

static int finish_file(struct checkpoint_writer *writer, struct os *os)
{
    int rc = write_block(writer, os, CHECKPOINT_BLOCK_RECORDS);
    checkpoint_end_write(&writer->end, writer->block + CHECKPOINT_BLOCK_HEADER_BYTES);
    writer->block_size = CHECKPOINT_END_BYTES;
    if (rc == 0) rc = write_block(writer, os, CHECKPOINT_BLOCK_END);
    if (rc < 0) return rc;
    writer->step = "syncing";
    rc = os->fsync(os, writer->fd);
    if (rc == 0) rc = close_file(writer, os);
    if (rc < 0) return rc;
    writer->step = "renaming";
    rc = os->rename(os, writer->temporary_path, writer->path);
    if (rc < 0) return rc;
    writer->step = "syncing the directory";
    rc = os->fsync_directory(os, writer->directory);
    if (rc < 0) take_name_back(writer, os);
    return rc;
}

/* What cannot be removed is removed at the next start. */
static void discard_file(struct checkpoint_writer *writer, struct os *os)
{
    if (writer->fd >= 0) (void)close_file(writer, os);
    (void)os->unlink(os, writer->temporary_path);
}

static void run(struct io_job *job, struct os *os)
{
    struct checkpoint_writer *writer = (struct checkpoint_writer *)(void *)job;
    const struct piece *piece = writer->taken.first;
    int rc = 0;
    if (writer->discards) {
        discard_file(writer, os);
        return;
    }
    if (writer->fd < 0) rc = open_file(writer, os);
    for (; piece && rc == 0; piece = piece->next)
        rc = write_bytes(
            writer, os, piece->packet ? piece->packet->payload : slice_of(piece->own, piece->size));
    if (rc == 0 && writer->finishes) rc = finish_file(writer, os);
    if (rc < 0) discard_file(writer, os);
    job->rc = rc;
}

/* ---- pieces ---- */

static size_t piece_size(const struct piece *piece)
{
    return piece->packet ? piece->packet->payload.size : piece->size;
}

static void push_piece(struct pieces *pieces, struct piece *piece)
{
    piece->next = NULL;
    if (pieces->first)
        pieces->last->next = piece;
    else
        pieces->first = piece;
    pieces->last = piece;
    pieces->bytes += piece_size(piece);
    pieces->own_count += !piece->packet;
}

static void free_pieces(struct pieces *pieces)
{
    struct piece *next;
    for (struct piece *piece = pieces->first; piece; piece = next) {
        next = piece->next;
        packet_unref(piece->packet);
        free(piece);
    }
    *pieces = (struct pieces){ 0 };
}

static void queue_current(struct checkpoint_writer *writer)
{
    if (writer->current) push_piece(&writer->queued, writer->current);
    writer->current = NULL;
}

static void drop_pieces(struct checkpoint_writer *writer)
{
    free_pieces(&writer->taken);
    free_pieces(&writer->queued);
    free(writer->current);
    writer->current = NULL;
}

/* ---- on the owner's thread ---- */

static void done(struct io_job *job);

static void submit(struct checkpoint_writer *writer)
{
    writer->job = (struct io_job){ .run = run, .done = done };
    writer->is_busy = true;
    io_submit(writer->io, &writer->job);
}

static bool has_ended(const struct checkpoint_writer *writer)
{
    return writer->state == CHECKPOINT_WRITER_DONE || writer->state == CHECKPOINT_WRITER_FAILED;
}

/* Gives the I/O thread what there is to do, unless it has something. */
static void kick(struct checkpoint_writer *writer)
{
    if (writer->is_busy || has_ended(writer)) return;
    if (writer->cancel_error) {
        writer->discards = true;
        submit(writer);
        return;
    }
    writer->finishes = writer->state == CHECKPOINT_WRITER_FINISHING;
    if (writer->finishes) queue_current(writer);
    if (!writer->finishes && !writer->queued.first) return;
    writer->taken = writer->queued;
    writer->queued = (struct pieces){ 0 };
    submit(writer);
}

static void end(struct checkpoint_writer *writer, int error)
{
    writer->error = error;
    writer->state = error ? CHECKPOINT_WRITER_FAILED : CHECKPOINT_WRITER_DONE;
    drop_pieces(writer);
}

static void done(struct io_job *job)
{
    struct checkpoint_writer *writer = (struct checkpoint_writer *)(void *)job;
    writer->is_busy = false;
    writer->written_bytes = writer->offset;
    free_pieces(&writer->taken);
    if (job->rc < 0)
        end(writer, job->rc);
    else if (writer->discards)
        end(writer, writer->cancel_error);
    else if (writer->finishes)
        end(writer, 0);
    else
        kick(writer);
    if (writer->on_progress) writer->on_progress(writer->context);
}

int checkpoint_writer_create(struct os *os, struct io *io, const char *directory,
                             const struct checkpoint_head *head, void (*on_progress)(void *context),
                             void *context, struct checkpoint_writer **out_writer)
{
    struct checkpoint_writer *writer = calloc(1, sizeof(*writer));
    if (!writer) return -ENOMEM;
    writer->os = os;
    writer->io = io;
    writer->directory = directory;
    writer->on_progress = on_progress;
    writer->context = context;
    writer->fd = -1;
    writer->step = "starting";
    writer->path = checkpoint_files_path(directory, head->number, false);
    writer->temporary_path = checkpoint_files_path(directory, head->number, true);
    if (!writer->path || !writer->temporary_path) {
        free(writer->path);
        free(writer->temporary_path);
        free(writer);
        return -ENOMEM;
    }
    checkpoint_head_write(head, writer->head);
    *out_writer = writer;
    return 0;
}

void checkpoint_writer_destroy(struct checkpoint_writer *writer)
{
    if (!writer) return;
    writer->on_progress = NULL;
    checkpoint_writer_cancel(writer, -ECANCELED);
    while (writer->is_busy)
        (void)io_wait(writer->io);
    drop_pieces(writer);
    free(writer->path);
    free(writer->temporary_path);
    free(writer);
}

/* Room in the current piece; NULL: none can be had, and the writer has been canceled. */
static struct piece *current_piece(struct checkpoint_writer *writer)
{
    if (writer->current && writer->current->size == PIECE_BYTES) {
        queue_current(writer);
        kick(writer);
    }
    if (writer->current) return writer->current;
    writer->current = malloc(sizeof(*writer->current) + PIECE_BYTES);
    if (!writer->current) {
        checkpoint_writer_cancel(writer, -ENOMEM);
        return NULL;
    }
    writer->current->packet = NULL;
    writer->current->size = 0;
    return writer->current;
}

static bool takes_more(const struct checkpoint_writer *writer)
{
    return writer->state == CHECKPOINT_WRITER_OPEN && !writer->cancel_error;
}

void checkpoint_writer_put(struct checkpoint_writer *writer, struct slice bytes)
{
    if (!takes_more(writer)) return;
    writer->end.record_bytes += bytes.size;
    while (bytes.size > 0) {
        struct piece *piece = current_piece(writer);
        size_t size;
        if (!piece) return;
        size = PIECE_BYTES - piece->size;
        if (size > bytes.size) size = bytes.size;
        memcpy(piece->own + piece->size, bytes.bytes, size);
        piece->size += size;
        bytes = slice_of(bytes.bytes + size, bytes.size - size);
    }
}

void checkpoint_writer_put_packet(struct checkpoint_writer *writer, struct packet *packet)
{
    struct piece *piece;
    if (!takes_more(writer)) return;
    piece = malloc(sizeof(*piece));
    if (!piece) {
        checkpoint_writer_cancel(writer, -ENOMEM);
        return;
    }
    *piece = (struct piece){ .packet = packet_ref(packet) };
    writer->end.record_bytes += packet->payload.size;
    queue_current(writer);
    push_piece(&writer->queued, piece);
    kick(writer);
}

void checkpoint_writer_begin_record(struct checkpoint_writer *writer,
                                    const struct checkpoint_record *record, struct slice name)
{
    uint8_t fields[CHECKPOINT_RECORD_BYTES_MAX];
    size_t size = checkpoint_record_write(record, fields);
    assert(name.size == record->name_size);
    writer->end.record_count++;
    writer->end.key_count += checkpoint_record_is_key(record->kind);
    checkpoint_writer_put(writer, slice_of(fields, size));
    checkpoint_writer_put(writer, name);
}

uint64_t checkpoint_writer_pending_bytes(const struct checkpoint_writer *writer)
{
    return writer->queued.bytes + writer->taken.bytes +
           (writer->current ? writer->current->size : 0);
}

uint64_t checkpoint_writer_memory_bytes(const struct checkpoint_writer *writer)
{
    uint64_t pieces =
        writer->queued.own_count + writer->taken.own_count + (writer->current != NULL);
    return sizeof(*writer) + pieces * PIECE_BYTES;
}

void checkpoint_writer_finish(struct checkpoint_writer *writer)
{
    if (!takes_more(writer)) return;
    writer->state = CHECKPOINT_WRITER_FINISHING;
    kick(writer);
}

void checkpoint_writer_cancel(struct checkpoint_writer *writer, int error)
{
    assert(error < 0);
    if (has_ended(writer) || writer->cancel_error) return;
    writer->cancel_error = error;
    kick(writer);
}

enum checkpoint_writer_state checkpoint_writer_state(const struct checkpoint_writer *writer)
{
    return writer->state;
}

int checkpoint_writer_error(const struct checkpoint_writer *writer)
{
    return writer->error;
}

const char *checkpoint_writer_failed_step(const struct checkpoint_writer *writer)
{
    return writer->step;
}

bool checkpoint_writer_has_strayed(const struct checkpoint_writer *writer)
{
    return writer->has_strayed;
}

uint64_t checkpoint_writer_written_bytes(const struct checkpoint_writer *writer)
{
    return writer->written_bytes;
}
