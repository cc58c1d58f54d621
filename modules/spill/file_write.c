/* file_write.c - a batch of payloads becomes extents.
 *
 * The owner finds room: first for the extents that have whole blocks, then for the small ones,
 * which are packed into shared blocks. The worker goes through them in the same order, which is
 * that of their positions as far as the room hangs together, and writes each contiguous stretch
 * from its buffer with as few calls as the buffer allows. A failure anywhere takes the room of the
 * whole batch back. */
#include "modules/spill/file_internal.h"
#include "modules/spill/format.h"

#include <assert.h>
#include <errno.h>

static const uint64_t NOWHERE = UINT64_MAX;
/* More blocks than any file can have; leaves room to add to it. */
static const uint64_t NO_LIMIT_BLOCKS = UINT64_C(1) << 50;
enum { PIECES_SHARE = 8 };

/* ---- the order on disk ----------------------------------------------------------------------- */

static bool item_is_shared(const struct spill_write_item *item)
{
    return spill_extent_is_shared((uint32_t)item->payload.size);
}

static uint64_t item_bytes(const struct spill_write_item *item)
{
    return spill_extent_bytes((uint32_t)item->payload.size);
}

/* The index of the first item from index on that shares blocks or does not; item_count: none. */
static unsigned next_item(const struct spill_write *write, unsigned index, bool is_shared)
{
    while (index < write->item_count && item_is_shared(&write->items[index]) != is_shared) {
        index++;
    }
    return index;
}

/* How many of the small items from index on go into one block; *out_next is behind them. */
static unsigned group_items(const struct spill_write *write, unsigned index, unsigned *out_next)
{
    unsigned count = 0;
    uint64_t bytes = 0;
    for (; index < write->item_count; index = next_item(write, index + 1, true)) {
        bytes += item_bytes(&write->items[index]);
        if (bytes > SPILL_BLOCK_BYTES) break;
        count++;
    }
    *out_next = index;
    return count;
}

static uint64_t count_blocks(const struct spill_write *write)
{
    uint64_t blocks = 0;
    for (unsigned i = next_item(write, 0, false); i < write->item_count;
         i = next_item(write, i + 1, false)) {
        blocks += item_bytes(&write->items[i]) / SPILL_BLOCK_BYTES;
    }
    for (unsigned i = next_item(write, 0, true); i < write->item_count; blocks++) {
        (void)group_items(write, i, &i);
    }
    return blocks;
}

/* ---- finding room ---------------------------------------------------------------------------- */

/* Hands out the room of a batch, in as few runs as there are. */
struct room {
    struct spill_file *file;
    struct spill_run run;    /* taken, not yet handed out */
    uint64_t missing_blocks; /* to be handed out */
    uint64_t end_max;
    uint64_t pieces_blocks; /* behind that, when what is free lies in pieces that are too small */
    uint64_t swap_end_max;  /* when as much is punched elsewhere */
    struct spill_write *write;
    bool is_again;
};

static void room_finish(struct room *room)
{
    if (room->run.count > 0) spill_space_free(room->file->space, room->run);
    room->run.count = 0;
}

static bool is_known_full(const struct spill_file *file)
{
    return file->is_disk_full || file->reserve.is_refused;
}

static uint64_t sure_end(const struct spill_file *file, uint64_t end_max)
{
    uint64_t end = file_sure_bytes(file) / SPILL_BLOCK_BYTES;

    return end < end_max ? end : end_max;
}

static int take_until(struct room *room, uint64_t blocks, uint64_t end_max)
{
    return spill_space_take(room->file->space, room->missing_blocks, blocks, end_max, &room->run);
}

/* A failed write may have left holes at the end: that is cut off before free blocks are looked for.
 */
static int take_sure(struct room *room, uint64_t blocks)
{
    struct spill_space *space = room->file->space;
    int rc;

    spill_space_avoid_holes(space, true);
    (void)spill_space_shrink(space);
    rc = take_until(room, blocks, sure_end(room->file, room->end_max));
    spill_space_avoid_holes(space, false);
    return rc;
}

/* Any run, and pieces elsewhere for what of it takes no room on the disk yet. */
static int take_swapped(struct room *room, uint64_t blocks)
{
    struct spill_file *file = room->file;
    uint64_t holes = spill_space_punched(file->space), sure, missing, end;
    int rc;

    if (file->trim.cannot_punch) return -ENOSPC;
    rc = spill_space_take(file->space, blocks, blocks, room->swap_end_max, &room->run);
    if (rc < 0) return rc;
    sure = file_sure_bytes(file) / SPILL_BLOCK_BYTES;
    end = room->run.first + room->run.count;
    missing = holes - spill_space_punched(file->space);
    if (end > sure) missing += room->run.first < sure ? end - sure : room->run.count;
    if (file_swap_gather(file, room->write, missing)) return 0;
    spill_space_free(file->space, room->run);
    spill_space_note_holes(file->space, room->run);
    room->run.count = 0;
    return -ENOSPC;
}

/* On a full disk what was freed inside the file can be written again, in however small pieces, and
 * so can what is allocated behind its end; further behind there is room only when somebody else has
 * made some, or when what is free lies in pieces that are too small. */
static int room_find(struct room *room, uint64_t blocks)
{
    int rc = -ENOSPC;

    if (is_known_full(room->file)) {
        rc = take_sure(room, blocks);
        if (rc == -ENOSPC) rc = take_swapped(room, blocks);
        if (room->is_again) return rc;
    }
    if (rc == -ENOSPC) rc = take_until(room, blocks, room->end_max);
    if (rc == -ENOSPC) rc = take_until(room, blocks, room->end_max + room->pieces_blocks);
    return rc;
}

static int room_get(struct room *room, uint64_t blocks, uint64_t *out_position_bytes)
{
    if (room->run.count < blocks) {
        room_finish(room);
        int rc = room_find(room, blocks);
        if (rc < 0) return rc;
    }
    *out_position_bytes = room->run.first * SPILL_BLOCK_BYTES;
    room->run.first += blocks;
    room->run.count -= blocks;
    room->missing_blocks -= blocks;
    return 0;
}

static int place_large(struct room *room, struct spill_write *write)
{
    for (unsigned i = next_item(write, 0, false); i < write->item_count;
         i = next_item(write, i + 1, false)) {
        struct spill_write_item *item = &write->items[i];
        uint64_t position;
        int rc = room_get(room, item_bytes(item) / SPILL_BLOCK_BYTES, &position);
        if (rc < 0) return rc;
        item->ref.position_bytes = position;
    }
    return 0;
}

static int place_shared(struct room *room, struct spill_write *write)
{
    unsigned next = 0;
    for (unsigned i = next_item(write, 0, true); i < write->item_count; i = next) {
        unsigned count = group_items(write, i, &next);
        uint64_t position;
        int rc = room_get(room, 1, &position);
        if (rc < 0) return rc;
        uint64_t block = position / SPILL_BLOCK_BYTES;
        rc = spill_space_share(room->file->space, block, count);
        if (rc < 0) {
            spill_space_free(room->file->space, (struct spill_run){ .first = block, .count = 1 });
            return rc;
        }
        for (; i < next; i = next_item(write, i + 1, true)) {
            write->items[i].ref.position_bytes = position;
            position += item_bytes(&write->items[i]);
        }
    }
    return 0;
}

static bool found_no_room(const struct spill_write *write)
{
    return write->rc == -ENOSPC || write->rc == -EDQUOT;
}

static void note_hole(struct spill_file *file, const struct spill_write_item *item)
{
    struct spill_run run = { .first = item->ref.position_bytes / SPILL_BLOCK_BYTES,
                             .count =
                                 (item_bytes(item) + SPILL_BLOCK_BYTES - 1) / SPILL_BLOCK_BYTES };

    if (item->ref.position_bytes != NOWHERE) spill_space_note_holes(file->space, run);
}

void file_take_back(struct spill_file *file, struct spill_write *write)
{
    for (unsigned i = 0; i < write->item_count; i++) {
        struct spill_write_item *item = &write->items[i];
        if (item->ref.position_bytes != NOWHERE) spill_file_free(file, &item->ref);
        if (write->took_holes && found_no_room(write)) note_hole(file, item);
        item->ref = (struct spill_ref){ 0 };
    }
    file_swap_end(file, write);
}

void file_note_unwritten(struct spill_file *file, const struct spill_write *write)
{
    if (file_write_end(write) <= write->old_end_bytes) return;
    if (write->old_end_bytes < file->sure_bytes) file->sure_bytes = write->old_end_bytes;
}

uint64_t file_write_end(const struct spill_write *write)
{
    uint64_t end = 0;
    for (unsigned i = 0; i < write->item_count; i++) {
        const struct spill_write_item *item = &write->items[i];
        uint64_t item_end = item->ref.position_bytes + item_bytes(item);
        if (item_end > end) end = item_end;
    }
    return (end + SPILL_BLOCK_BYTES - 1) / SPILL_BLOCK_BYTES * SPILL_BLOCK_BYTES;
}

/* What was punched takes no room on the disk, so the file may be longer by that. And by a little,
 * when there are checkpoints: what is free inside may lie in pieces that are too small, and without
 * the next checkpoint no larger ones would ever come. */
static int place_all(struct spill_file *file, struct spill_write *write, bool is_again)
{
    uint64_t max =
        file->disk_bytes_max ? file->disk_bytes_max / SPILL_BLOCK_BYTES : NO_LIMIT_BLOCKS;
    uint64_t used = spill_space_used(file->space) - file_trim_blocks(file);
    struct room room = {
        .file = file, .missing_blocks = count_blocks(write), .write = write, .is_again = is_again
    };
    int rc = -ENOSPC;

    room.end_max = max + spill_space_punched(file->space);
    room.pieces_blocks = file->is_persistent ? max / PIECES_SHARE : 0;
    room.swap_end_max = room.end_max + room.pieces_blocks;
    if (used <= max && room.missing_blocks <= max - used) {
        rc = place_large(&room, write);
        if (rc == 0) rc = place_shared(&room, write);
        room_finish(&room);
    }
    if (rc < 0) file_take_back(file, write);
    return rc;
}

/* Finds its room; it can be queued. is_again: only where the disk has room for sure. */
static int place(struct spill_file *file, struct spill_write *write, bool is_again)
{
    uint64_t end, punched = spill_space_punched(file->space);
    int rc;

    write->took_holes = false;
    for (unsigned i = 0; i < write->item_count; i++) {
        struct spill_write_item *item = &write->items[i];
        assert(item->payload.size <= UINT32_MAX);
        item->ref = (struct spill_ref){ .position_bytes = NOWHERE,
                                        .size_bytes = (uint32_t)item->payload.size,
                                        .generation = item->identity.generation };
    }
    write->pieces = NULL;
    write->piece_count = write->piece_capacity = write->punched_count = 0;
    write->is_last_try = is_again;
    write->knew_full = is_known_full(file);
    rc = place_all(file, write, is_again);
    file_note_cut(file);
    if (rc < 0) return rc;
    write->number = file->is_persistent ? ++file->last_write : 0;
    write->took_holes = spill_space_punched(file->space) < punched;
    write->old_end_bytes = file->file_bytes;
    end = file_write_end(write);
    if (end > file->file_bytes) file->file_bytes = end;
    write->rc = 0;
    return 0;
}

int spill_file_write(struct spill_file *file, struct spill_write *write)
{
    assert(write->item_count > 0 && write->done);
    int rc = file->is_persistent ? written_expect(&file->written, write->item_count) : 0;
    if (rc < 0) return rc;
    rc = place(file, write, false);
    if (rc < 0) {
        if (file->is_persistent) written_give_up(&file->written, write->item_count);
        return rc;
    }
    file_queue_write(file, write);
    file_start_transfers(file);
    return 0;
}

/* ---- on the worker ----------------------------------------------------------------------------
 */

/* Collects bytes for ascending positions and writes them a bufferful at a time. */
struct pen {
    struct os *os;
    int fd;
    uint8_t *buffer; /* SPILL_BATCH_BYTES */
    size_t filled_bytes;
    uint64_t position; /* of buffer[0] in the file; on a block boundary */
    uint64_t written_bytes;
    int rc; /* of the first call that failed; nothing is written after it */
};

static void pen_pad(struct pen *pen)
{
    size_t rest = pen->filled_bytes % SPILL_BLOCK_BYTES;
    if (rest == 0) return;
    memset(pen->buffer + pen->filled_bytes, 0, SPILL_BLOCK_BYTES - rest);
    pen->filled_bytes += SPILL_BLOCK_BYTES - rest;
}

static void pen_flush(struct pen *pen)
{
    pen_pad(pen);
    if (pen->filled_bytes > 0 && pen->rc == 0) {
        pen->rc = os_write_all(pen->os, pen->fd, pen->buffer, pen->filled_bytes, pen->position);
        if (pen->rc == 0) pen->written_bytes += pen->filled_bytes;
    }
    pen->position += pen->filled_bytes;
    pen->filled_bytes = 0;
}

/* Goes on at position: where the pen stands, a little later in or right behind the same block, or
 * elsewhere on a block boundary. */
static void pen_move(struct pen *pen, uint64_t position)
{
    uint64_t at = pen->position + pen->filled_bytes;
    if (position != at && position % SPILL_BLOCK_BYTES == 0) {
        pen_pad(pen);
        at = pen->position + pen->filled_bytes;
    }
    if (position == at) return;
    assert(position % SPILL_BLOCK_BYTES == 0);
    pen_flush(pen);
    pen->position = position;
}

static void pen_put(struct pen *pen, const uint8_t *bytes, size_t size)
{
    while (size > 0 && pen->rc == 0) {
        size_t part = SPILL_BATCH_BYTES - pen->filled_bytes;
        if (part > size) part = size;
        memcpy(pen->buffer + pen->filled_bytes, bytes, part);
        pen->filled_bytes += part;
        bytes += part;
        size -= part;
        if (pen->filled_bytes == SPILL_BATCH_BYTES) pen_flush(pen);
    }
}

static void pen_put_item(struct pen *pen, struct spill_write_item *item)
{
    static const uint8_t zeros[SPILL_SHARED_ALIGN];
    uint8_t header[SPILL_HEADER_BYTES];

    item->ref.crc32c = spill_header_encode(header, item->payload, &item->identity);
    pen_move(pen, item->ref.position_bytes);
    pen_put(pen, header, sizeof(header));
    pen_put(pen, item->payload.bytes, item->payload.size);
    if (item_is_shared(item)) {
        pen_put(pen, zeros, item_bytes(item) - sizeof(header) - item->payload.size);
    }
}

static void run_write(struct io_job *job, struct os *os)
{
    struct file_slot *slot = (struct file_slot *)(void *)job;
    struct spill_write *write = slot->write;
    struct pen pen = { .os = os, .fd = slot->file->fd, .buffer = slot->buffer };

    pen.rc = file_swap_punch(write, os, pen.fd);

    for (unsigned pass = 0; pass < 2; pass++) {
        bool is_shared = pass == 1;
        for (unsigned i = next_item(write, 0, is_shared); i < write->item_count && pen.rc == 0;
             i = next_item(write, i + 1, is_shared)) {
            pen_put_item(&pen, &write->items[i]);
        }
    }
    pen_flush(&pen);
    slot->transferred_bytes = pen.written_bytes;
    job->rc = pen.rc;
}

/* Before a failed write's room is given back. */
static void note_room(struct spill_file *file, const struct spill_write *write)
{
    if (found_no_room(write)) file->is_disk_full = true;
    if (write->rc < 0) file_note_unwritten(file, write);
    if (write->rc == 0 && write->piece_count == 0 && file_write_end(write) == file->file_bytes)
        file->is_disk_full = false;
}

/* It was to go behind the end as nobody knew yet that the disk is full: where it has room for sure
 * there may be enough, and a checkpoint counts on that. Or another write that did not know has
 * taken the room that was punched for this one. */
static bool place_again(struct spill_file *file, struct spill_write *write, bool was_swapped)
{
    int rc = write->rc;

    if (!found_no_room(write) || write->is_last_try) return false;
    if (write->knew_full && !was_swapped) return false;
    if (place(file, write, true) == 0) return true;
    write->rc = rc;
    return false;
}

/* A file system without holes: there is no other room then. */
static void note_unpunched(struct spill_file *file, struct spill_write *write)
{
    if (write->rc != -EOPNOTSUPP && write->rc != -ENOSYS) return;
    file->trim.cannot_punch = true;
    write->rc = -ENOSPC;
}

/* For the next sync. */
static void remember(struct spill_file *file, const struct spill_write *write)
{
    struct written_log *log = &file->written;

    if (write->number == 0) return;
    if (write->rc < 0) written_give_up(log, write->item_count);
    for (unsigned i = 0; i < write->item_count && write->rc == 0; i++)
        written_add(log, &write->items[i].ref, write->number);
}

static void finish_write(struct io_job *job)
{
    struct file_slot *slot = (struct file_slot *)(void *)job;
    struct spill_file *file = slot->file;
    struct spill_write *write = slot->write;
    bool was_swapped = write->piece_count > 0;

    write->rc = job->rc;
    if (write->punched_count < write->piece_count) note_unpunched(file, write);
    note_room(file, write);
    file->figures.writes++;
    file->figures.write_bytes += slot->transferred_bytes;
    file->figures.writes_in_flight--;
    if (write->rc < 0) {
        file->figures.write_errors++;
        file_take_back(file, write);
    }
    file_swap_end(file, write);
    if (place_again(file, write, was_swapped)) {
        file_release_slot(slot);
        file_queue_write(file, write);
        file_start_transfers(file);
        return;
    }
    remember(file, write);
    file_release_slot(slot);
    file_start_transfers(file);
    write->done(write);
}

void file_submit_write(struct file_slot *slot)
{
    slot->job = (struct io_job){ .run = run_write, .done = finish_write };
    io_submit(slot->file->io, &slot->job);
}
