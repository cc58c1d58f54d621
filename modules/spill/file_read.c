/* file_read.c - extents are read, near ones in one transfer, and compared with what is expected.
 *
 * When a transfer for several fails, each is read again alone: a bad place on the disk costs only
 * the extent that lies there, not its neighbours or the gap between them. */
#include "modules/spill/file_internal.h"
#include "modules/spill/format.h"
#include "modules/base/crc32c.h"

#include <assert.h>
#include <errno.h>

/* Reading over a gap of this size costs less than another call. */
enum { GAP_BYTES_MAX = 64 * 1024 };

static uint64_t first_byte(const struct spill_read *read)
{
    return read->ref.position_bytes - read->ref.position_bytes % SPILL_BLOCK_BYTES;
}

/* Behind the last block. */
static uint64_t end_byte(const struct spill_read *read)
{
    uint64_t end = read->ref.position_bytes + SPILL_HEADER_BYTES + read->ref.size_bytes;
    return (end + SPILL_BLOCK_BYTES - 1) / SPILL_BLOCK_BYTES * SPILL_BLOCK_BYTES;
}

/* ---- the queue --------------------------------------------------------------------------------
 */

/* Merges two sorted chains. */
static struct spill_read *merge(struct spill_read *a, struct spill_read *b)
{
    struct spill_read *first = NULL, **end = &first;
    while (a && b) {
        struct spill_read **least = a->ref.position_bytes <= b->ref.position_bytes ? &a : &b;
        *end = *least;
        end = &(*least)->next;
        *least = *end;
    }
    *end = a ? a : b;
    return first;
}

/* Sorts by position. Chains of 1, 2, 4, … reads wait in their places for one of the same length. */
static struct spill_read *sort_reads(struct spill_read **reads, unsigned read_count)
{
    struct spill_read *chains[32] = { NULL };
    struct spill_read *sorted = NULL;
    for (unsigned i = 0; i < read_count; i++) {
        struct spill_read *chain = reads[i];
        unsigned place = 0;
        chain->next = NULL;
        for (; chains[place]; place++) {
            chain = merge(chains[place], chain);
            chains[place] = NULL;
        }
        chains[place] = chain;
    }
    for (unsigned place = 0; place < 32; place++) {
        sorted = merge(chains[place], sorted);
    }
    return sorted;
}

void spill_file_read(struct spill_file *file, struct spill_read **reads, unsigned read_count)
{
    if (read_count == 0) return;
    struct spill_read *sorted = sort_reads(reads, read_count);
    struct file_queue_of_reads *queue = sorted->is_urgent ? &file->urgent_reads : &file->reads;
    if (queue->last) {
        queue->last->next = sorted;
    } else {
        queue->first = sorted;
    }
    while (sorted->next) {
        sorted = sorted->next;
    }
    queue->last = sorted;
    file->figures.reads_in_flight += read_count;
    file_start_transfers(file);
}

static bool fits_into(const struct file_slot *slot, const struct spill_read *read)
{
    uint64_t end = end_byte(read) > slot->end_byte ? end_byte(read) : slot->end_byte;
    return first_byte(read) >= slot->first_byte &&
           first_byte(read) <= slot->end_byte + GAP_BYTES_MAX &&
           end - slot->first_byte <= SPILL_BATCH_BYTES;
}

/* Moves the first read of the queue, and those behind it that fit, into the slot. */
static void take_reads(struct file_slot *slot, struct file_queue_of_reads *queue)
{
    struct spill_read *last = queue->first;

    slot->reads = last;
    slot->first_byte = first_byte(last);
    slot->end_byte = end_byte(last);
    while (last->next && fits_into(slot, last->next)) {
        last = last->next;
        if (end_byte(last) > slot->end_byte) slot->end_byte = end_byte(last);
    }
    queue->first = last->next;
    if (!last->next) queue->last = NULL;
    last->next = NULL;
}

/* ---- on the worker -----------------------------------------------------------------------------
 */

static int read_blocks(struct file_slot *slot, struct os *os, uint64_t first, uint64_t end)
{
    assert(end - first <= SPILL_BATCH_BYTES);
    int rc = os_read_all(os, slot->file->fd, slot->buffer, (size_t)(end - first), first);
    if (rc == 0) slot->transferred_bytes += end - first;
    return rc;
}

/* The buffer holds the file from buffer_position on, up to the read's end at least. */
static int take_payload(const struct file_slot *slot, uint64_t buffer_position,
                        const struct spill_read *read)
{
    size_t offset = (size_t)(read->ref.position_bytes - buffer_position);
    struct slice extent =
        slice_of(slot->buffer + offset, (size_t)(end_byte(read) - read->ref.position_bytes));
    struct slice payload;
    int rc = spill_extent_verify(extent, &read->ref, &read->identity, &payload);
    if (rc < 0) return rc;
    if (payload.size > 0) memcpy(read->bytes, payload.bytes, payload.size);
    return 0;
}

/* An extent that is larger than the buffer. The caller's bytes may get what turns out to be wrong.
 */
static int read_large(struct file_slot *slot, struct os *os, const struct spill_read *read)
{
    uint64_t end = end_byte(read);
    uint32_t taken_bytes = 0, checksum = 0;

    for (uint64_t at = first_byte(read); at < end; at += SPILL_BATCH_BYTES) {
        size_t skip = at == first_byte(read) ? SPILL_HEADER_BYTES : 0;
        uint64_t part_end = end - at < SPILL_BATCH_BYTES ? end : at + SPILL_BATCH_BYTES;
        int rc = read_blocks(slot, os, at, part_end);
        if (rc == 0 && skip > 0) {
            rc = spill_header_verify(slot->buffer, &read->ref, &read->identity, &checksum);
        }
        if (rc < 0) return rc;
        size_t part = (size_t)(part_end - at) - skip;
        if (part > read->ref.size_bytes - taken_bytes) part = read->ref.size_bytes - taken_bytes;
        checksum = crc32c(checksum, slot->buffer + skip, part);
        memcpy(read->bytes + taken_bytes, slot->buffer + skip, part);
        taken_bytes += (uint32_t)part;
    }
    return checksum == read->ref.crc32c ? 0 : -EBADMSG;
}

static int read_alone(struct file_slot *slot, struct os *os, const struct spill_read *read)
{
    uint64_t first = first_byte(read), end = end_byte(read);
    if (end - first > SPILL_BATCH_BYTES) return read_large(slot, os, read);
    int rc = read_blocks(slot, os, first, end);
    return rc < 0 ? rc : take_payload(slot, first, read);
}

static void run_read(struct io_job *job, struct os *os)
{
    struct file_slot *slot = (struct file_slot *)(void *)job;
    struct spill_read *reads = slot->reads;
    bool is_together = reads->next && read_blocks(slot, os, slot->first_byte, slot->end_byte) == 0;

    for (struct spill_read *read = reads; read; read = read->next) {
        read->rc =
            is_together ? take_payload(slot, slot->first_byte, read) : read_alone(slot, os, read);
    }
    job->rc = 0; /* each read has its own */
}

static void finish_read(struct io_job *job)
{
    struct file_slot *slot = (struct file_slot *)(void *)job;
    struct spill_file *file = slot->file;
    struct spill_read *read = slot->reads;

    file->figures.read_bytes += slot->transferred_bytes;
    for (const struct spill_read *each = read; each; each = each->next) {
        file->figures.reads++;
        file->figures.reads_in_flight--;
        if (each->rc == -EBADMSG) {
            file->figures.checksum_errors++;
        } else if (each->rc < 0) {
            file->figures.read_errors++;
        }
    }
    file_release_slot(slot);
    file_start_transfers(file);
    while (read) {
        struct spill_read *next = read->next;
        read->done(read);
        read = next;
    }
}

void file_submit_read(struct file_slot *slot, struct file_queue_of_reads *queue)
{
    take_reads(slot, queue);
    slot->job = (struct io_job){ .run = run_read,
                                 .done = finish_read,
                                 .is_urgent = slot->reads->is_urgent };
    io_submit(slot->file->io, &slot->job);
}
