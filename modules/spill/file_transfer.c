/* file_transfer.c - transfers wait for a slot, which has a buffer and a job.
 *
 * All goes well: a read or write is queued, gets a slot (whose buffer is allocated when it is first
 * needed), is submitted, and its completion releases the slot and starts who waits next. No buffer
 * can be had: whoever waits goes on waiting as long as a slot is busy, for that one has a buffer;
 * when none is, all who wait are told -ENOMEM, from a completion as any other result. */
#include "modules/spill/file_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void file_queue_write(struct spill_file *file, struct spill_write *write)
{
    write->next = NULL;
    if (file->writes.last) {
        file->writes.last->next = write;
    } else {
        file->writes.first = write;
    }
    file->writes.last = write;
    file->figures.writes_in_flight++;
}

static struct spill_write *next_write(struct spill_file *file)
{
    struct spill_write *write = file->writes.first;
    file->writes.first = write->next;
    if (!file->writes.first) file->writes.last = NULL;
    write->next = NULL;
    return write;
}

/* An idle slot with a buffer, or NULL. */
static struct file_slot *find_slot(struct spill_file *file)
{
    struct file_slot *empty = NULL;
    for (unsigned i = 0; i < FILE_SLOT_COUNT; i++) {
        struct file_slot *slot = &file->slots[i];
        if (slot->is_busy) continue;
        if (slot->buffer) return slot;
        empty = slot;
    }
    if (!empty) return NULL;
    empty->buffer = aligned_alloc(SPILL_BLOCK_BYTES, SPILL_BATCH_BYTES);
    return empty->buffer ? empty : NULL;
}

static struct file_slot *take_slot(struct spill_file *file)
{
    struct file_slot *slot = find_slot(file);
    if (!slot) return NULL;
    slot->is_busy = true;
    slot->transferred_bytes = 0;
    file->idle_ticks = 0;
    file_trim_disturb(file);
    return slot;
}

void file_release_slot(struct file_slot *slot)
{
    if (slot->write) {
        slot->file->busy_writes--;
    } else {
        slot->file->busy_reads--;
        if (slot->reads->is_urgent) slot->file->busy_urgent_reads--;
    }
    slot->write = NULL;
    slot->reads = NULL;
    slot->is_busy = false;
}

static void run_no_memory(struct io_job *job, struct os *os)
{
    (void)os;
    job->rc = -ENOMEM;
}

/* Empties both queues. */
static struct spill_read *all_reads(struct spill_file *file)
{
    struct spill_read *first = file->urgent_reads.first;
    if (first) {
        file->urgent_reads.last->next = file->reads.first;
    } else {
        first = file->reads.first;
    }
    file->urgent_reads = file->reads = (struct file_queue_of_reads){ 0 };
    return first;
}

/* The queues are emptied first: what the callbacks start may find memory again. */
static void tell_no_memory(struct io_job *job)
{
    struct spill_file *file =
        (struct spill_file *)(void *)((char *)job - offsetof(struct spill_file, no_memory));
    struct spill_read *read = all_reads(file);
    struct spill_write *write = file->writes.first;

    file->is_telling_no_memory = false;
    file->writes = (struct file_queue_of_writes){ 0 };
    for (struct spill_write *each = write; each; each = each->next) {
        file_note_unwritten(file, each);
        file_take_back(file, each);
        if (each->number > 0) written_give_up(&file->written, each->item_count);
        file->figures.writes_in_flight--;
        file->figures.write_errors++;
    }
    for (const struct spill_read *each = read; each; each = each->next) {
        file->figures.reads_in_flight--;
        file->figures.read_errors++;
    }
    while (read) {
        struct spill_read *next = read->next;
        read->rc = job->rc;
        read->done(read);
        read = next;
    }
    while (write) {
        struct spill_write *next = write->next;
        write->rc = job->rc;
        write->done(write);
        write = next;
    }
}

/* A write behind the new end of a file that is just being truncated could be cut. */
static bool must_wait_for_trim(const struct spill_file *file, const struct spill_write *write)
{
    return file->trim.kind == TRIM_TRUNCATE && file_write_end(write) > file->trim.new_bytes;
}

/* Each kind leaves the other a slot: an urgent read does not wait until one that nobody waits for
 * has ended, nor do many urgent ones hold up a consumer that has come to wait for those. */
static struct file_queue_of_reads *next_reads(struct spill_file *file)
{
    unsigned others = file->busy_reads - file->busy_urgent_reads;
    if (file->urgent_reads.first && file->busy_urgent_reads < FILE_READS_MAX - 1) {
        return &file->urgent_reads;
    }
    return file->reads.first && others < FILE_READS_MAX - 1 ? &file->reads : NULL;
}

static bool may_start_read(struct spill_file *file)
{
    return file->busy_reads < FILE_READS_MAX && next_reads(file);
}

static bool may_start_write(const struct spill_file *file)
{
    return file->writes.first && file->busy_writes < FILE_WRITES_MAX &&
           !must_wait_for_trim(file, file->writes.first);
}

void file_start_transfers(struct spill_file *file)
{
    struct file_slot *slot = NULL;
    if (file->is_telling_no_memory) return;
    while (may_start_read(file) && (slot = take_slot(file))) {
        struct file_queue_of_reads *queue = next_reads(file);
        file->busy_reads++;
        if (queue->first->is_urgent) file->busy_urgent_reads++;
        file_submit_read(slot, queue);
    }
    while (may_start_write(file) && (slot = take_slot(file))) {
        file->busy_writes++;
        slot->write = next_write(file);
        file_submit_write(slot);
    }
    bool is_stuck = (may_start_read(file) || may_start_write(file)) && file->busy_reads == 0 &&
                    file->busy_writes == 0;
    if (!is_stuck) return;
    file->is_telling_no_memory = true;
    file->no_memory = (struct io_job){ .run = run_no_memory, .done = tell_no_memory };
    io_submit(file->io, &file->no_memory);
}

bool file_has_transfers(const struct spill_file *file)
{
    return file->busy_reads > 0 || file->busy_writes > 0 || file->urgent_reads.first ||
           file->reads.first || file->writes.first || file->is_telling_no_memory;
}

void file_free_idle_buffers(struct spill_file *file)
{
    if (file->idle_ticks > FILE_IDLE_TICKS_MAX) return; /* all were freed */
    /* One a tick after ticks without a transfer: in a steady stream none is. */
    if (file_has_transfers(file) || ++file->idle_ticks < FILE_IDLE_TICKS_MAX) return;
    file->idle_ticks = FILE_IDLE_TICKS_MAX;
    for (unsigned i = 0; i < FILE_SLOT_COUNT; i++) {
        if (!file->slots[i].buffer) continue;
        free(file->slots[i].buffer);
        file->slots[i].buffer = NULL;
        return;
    }
    file->idle_ticks = FILE_IDLE_TICKS_MAX + 1;
}

size_t file_buffer_bytes(const struct spill_file *file)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < FILE_SLOT_COUNT; i++) {
        if (file->slots[i].buffer) bytes += SPILL_BATCH_BYTES;
    }
    return bytes;
}
