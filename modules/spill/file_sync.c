/* file_sync.c - what was written is brought to the device, and the file's name with it.
 *
 * All goes well: one job syncs the file, and what was written before it began is forgotten. It
 * fails: that becomes suspect, and is kept. The next sync repairs it first, a piece a job: each
 * extent is read back and compared, and written once more where it lies, so that the kernel has it
 * to write again; then the file is synced. What cannot be read back as it was written fails that
 * sync and all later ones, until nobody needs it: a checkpoint must not refer to it. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "modules/base/crc32c.h"
#include "modules/base/endian.h"
#include "modules/spill/file_internal.h"
#include "modules/spill/file_kept.h"
#include "modules/spill/format.h"
#include "modules/spill/space_kept.h"

enum { WRITTEN_MAX = 16 * 1024 }; /* then a sync begins by itself */

static struct file_sync *sync_of(struct io_job *job)
{
    return (struct file_sync *)(void *)((char *)job - offsetof(struct file_sync, job));
}

/* The whole blocks that an extent lies in. */
static struct spill_run blocks_of(const struct spill_ref *ref)
{
    uint64_t first = ref->position_bytes / SPILL_BLOCK_BYTES;
    uint64_t end = ref->position_bytes + spill_extent_bytes(ref->size_bytes);

    end = (end + SPILL_BLOCK_BYTES - 1) / SPILL_BLOCK_BYTES;
    return (struct spill_run){ .first = first, .count = end - first };
}

/* ---- repairing --------------------------------------------------------------------------------
 */

/* Reads the extent's blocks, a bufferful at a time, for its checksum; with writes_back, writes each
 * of them again. -EBADMSG: it is not what was written. */
static int pass_over(struct file_sync *sync, struct os *os, uint8_t *buffer, bool writes_back)
{
    const struct spill_ref *ref = &sync->repaired;
    int fd = sync->file->fd;
    uint64_t begin = blocks_of(ref).first * SPILL_BLOCK_BYTES;
    uint64_t end = begin + blocks_of(ref).count * SPILL_BLOCK_BYTES;
    uint64_t from = ref->position_bytes, to = from + SPILL_HEADER_BYTES + ref->size_bytes;
    uint32_t checksum = 0;
    int rc = 0;

    for (uint64_t at = begin; at < end && rc == 0; at += SPILL_BATCH_BYTES) {
        size_t size = end - at < SPILL_BATCH_BYTES ? (size_t)(end - at) : SPILL_BATCH_BYTES;
        uint64_t first = from > at ? from : at, last = to < at + size ? to : at + size;
        rc = os_read_all(os, fd, buffer, size, at);
        if (rc == 0 && writes_back) rc = os_write_all(os, fd, buffer, size, at);
        if (rc < 0 || writes_back) continue;
        if (at == begin) {
            const uint8_t *header = buffer + (from - at);
            if (!spill_header_is_of(header, ref)) return -EBADMSG;
            first += SPILL_HEADER_CRC_FROM;
        }
        if (first < last)
            checksum = crc32c(checksum, buffer + (first - at), (size_t)(last - first));
    }
    return rc < 0 || writes_back || checksum == ref->crc32c ? rc : -EBADMSG;
}

static void run_repair(struct io_job *job, struct os *os)
{
    struct file_sync *sync = sync_of(job);
    uint8_t *buffer = aligned_alloc(SPILL_BLOCK_BYTES, SPILL_BATCH_BYTES);

    job->rc = buffer ? pass_over(sync, os, buffer, false) : -ENOMEM;
    if (job->rc == 0) job->rc = pass_over(sync, os, buffer, true);
    free(buffer);
}

static void go_on(struct file_sync *sync);

static void finish_repair(struct io_job *job)
{
    struct file_sync *sync = sync_of(job);

    sync->next_repair++;
    sync->rc = job->rc;
    go_on(sync);
}

static void forget(struct spill_file *file, struct written *entry)
{
    if (entry->is_kept) spill_space_repaired(file->space, blocks_of(&entry->ref));
    entry->is_kept = false;
    written_drop(&file->written, entry);
}

/* Whether some extent may be there: of shared blocks it cannot be told which. */
static bool is_needed(const struct spill_file *file, const struct written *entry)
{
    struct spill_run run = blocks_of(&entry->ref);

    if (entry->ref.generation == 0) return false;
    for (uint64_t block = run.first; block < run.first + run.count; block++) {
        if (spill_space_is_used(file->space, block) && !spill_space_is_deferred(file->space, block))
            return true;
    }
    return false;
}

/* What was freed since needs no repair, and may be written over from now on. All of it at once: of
 * a block that is used again later nothing must be left here. */
static void forget_unneeded(struct spill_file *file)
{
    struct written_log *log = &file->written;

    for (size_t i = 0; i < log->suspect_count; i++) {
        if (!is_needed(file, &log->entries[i])) forget(file, &log->entries[i]);
    }
}

/* ---- syncing ----------------------------------------------------------------------------------
 */

static void run_sync(struct io_job *job, struct os *os)
{
    const struct spill_file *file = sync_of(job)->file;

    job->rc = os->fdatasync(os, file->fd);
    if (job->rc == 0 && !file->is_directory_synced) {
        job->rc = os->fsync_directory(os, file->directory);
    }
}

/* Whether a write under way has taken some of its room. */
static bool is_being_written_over(const struct spill_file *file, const struct written *entry)
{
    struct spill_run run = blocks_of(&entry->ref);

    for (unsigned i = 0; i <= FILE_SLOT_COUNT; i++) {
        const struct spill_write *write = i < FILE_SLOT_COUNT
                                              ? file->slots[i].is_busy ? file->slots[i].write : NULL
                                              : file->writes.first;
        for (; write; write = write->next) {
            for (unsigned k = 0; k < write->item_count; k++) {
                struct spill_run other = blocks_of(&write->items[k].ref);
                if (other.first < run.first + run.count && run.first < other.first + other.count)
                    return true;
            }
        }
    }
    return false;
}

/* Whether the entries [begin, end), of one write, have their room to themselves: later writes have
 * marked theirs. */
static void drop_superseded(struct spill_file *file, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        struct written *entry = &file->written.entries[i];
        if (entry->ref.generation == 0) continue;
        if (!spill_file_may_hold(file, &entry->ref) || is_being_written_over(file, entry) ||
            spill_space_is_suspect(file->space, blocks_of(&entry->ref)))
            written_drop(&file->written, entry);
    }
}

/* All that was written stays where it is until it was repaired: a sync that fails may have taken
 * the error of what was written meanwhile too. From the last write back, because what became of a
 * place since counts: it may have been freed and written over. */
static void suspect_all(struct spill_file *file)
{
    struct written_log *log = &file->written;
    size_t begin = log->count, end;

    for (end = begin; end > log->suspect_count; end = begin) {
        while (begin > log->suspect_count &&
               log->entries[begin - 1].number == log->entries[end - 1].number)
            begin--;
        drop_superseded(file, begin, end);
        for (size_t i = begin; i < end; i++) {
            struct written *entry = &log->entries[i];
            if (entry->ref.generation == 0) continue;
            spill_space_suspect(file->space, blocks_of(&entry->ref));
            entry->is_kept = true;
        }
    }
    written_suspect_all(log);
}

/* All up to syncing_end is on the device. */
static void forget_synced(struct spill_file *file)
{
    struct written_log *log = &file->written;

    for (size_t i = 0; i < log->suspect_count; i++)
        forget(file, &log->entries[i]);
    written_remove_synced(log);
}

static void start(struct file_sync *sync);

static void end_sync(struct file_sync *sync)
{
    void (*done)(void *context, int rc) = sync->done;

    sync->is_running = false;
    if (sync->rc < 0) sync->file->figures.sync_errors++;
    if (sync->is_asked) {
        sync->is_asked = false;
        start(sync);
        return;
    }
    sync->done = NULL;
    if (done) done(sync->context, sync->rc);
}

static void finish_sync(struct io_job *job)
{
    struct file_sync *sync = sync_of(job);
    struct spill_file *file = sync->file;

    sync->rc = job->rc;
    if (job->rc == 0) {
        file->is_directory_synced = true;
        forget_synced(file);
    } else {
        suspect_all(file);
    }
    end_sync(sync);
}

/* The next suspect extent is repaired, or, when all are, the file is synced. */
static void go_on(struct file_sync *sync)
{
    struct written_log *log = &sync->file->written;

    while (sync->next_repair < log->suspect_count &&
           !is_needed(sync->file, &log->entries[sync->next_repair]))
        sync->next_repair++;
    if (sync->rc < 0) {
        log->syncing_end = log->suspect_count;
        end_sync(sync);
        return;
    }
    sync->job = (struct io_job){ .run = run_sync, .done = finish_sync };
    if (sync->next_repair < log->suspect_count) {
        sync->repaired = log->entries[sync->next_repair].ref;
        sync->job = (struct io_job){ .run = run_repair, .done = finish_repair };
    } else {
        log->syncing_end = log->count;
    }
    io_submit(sync->file->io, &sync->job);
}

static void start(struct file_sync *sync)
{
    sync->is_running = true;
    sync->rc = 0;
    sync->next_repair = 0;
    forget_unneeded(sync->file);
    go_on(sync);
}

void spill_file_sync(struct spill_file *file, void (*done)(void *context, int rc), void *context)
{
    struct file_sync *sync = &file->sync;

    assert(!sync->done);
    sync->done = done;
    sync->context = context;
    if (sync->is_running)
        sync->is_asked = true; /* what was written since it began may not be part of it */
    else
        start(sync);
}

void spill_file_forget_sync(struct spill_file *file)
{
    file->sync.done = NULL;
    file->sync.is_asked = false;
}

void file_sync_tick(struct spill_file *file)
{
    const struct written_log *log = &file->written;

    if (!file->sync.is_running && log->count - log->suspect_count >= WRITTEN_MAX)
        start(&file->sync);
}

uint64_t spill_file_unsynced_bytes(const struct spill_file *file)
{
    return file->written.bytes - file->written.suspect_bytes;
}

uint64_t spill_file_suspect_bytes(const struct spill_file *file)
{
    return file->written.suspect_bytes;
}
