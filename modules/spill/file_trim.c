/* file_trim.c - room that is free for good goes back to the file system, on an I/O thread.
 *
 * The free tail is truncated. A write that begins behind the new end meanwhile waits until that is
 * over; those before lie below it. Long free runs inside are punched; they are out of the
 * allocator's hands until that is over. One of either at a time. A failure costs nothing but the
 * room: it is tried again when another write has ended.
 *
 * The file system keeps all other transfers of the file waiting meanwhile (ext4: 0.2 ms a MiB), so
 * both go in pieces. While there are transfers, punches keep to a small part of the time: what is
 * free is written again anyway, and the rest goes when the file has come to rest. */
#include "modules/spill/file_internal.h"

#include <assert.h>
#include <errno.h>

#include "modules/base/clock.h"

enum {
    /* Shorter tails are soon written again. */
    TAIL_BYTES_MIN = 1 << 20,
    /* So many free blocks stay as they are: writing into them is cheaper than into a hole. */
    REUSE_BLOCKS = 16 * 1024 * 1024 / SPILL_BLOCK_BYTES,
    PUNCH_BLOCKS_MAX = 4 * 1024 * 1024 / SPILL_BLOCK_BYTES,
    TRUNCATE_BYTES_MAX = 64 << 20,
    /* A busy file moves so many bytes for each that is punched. */
    BUSY_BYTES_A_PUNCHED = 8,
    /* Without a transfer: it is not busy. A consumer that uses up what was read ahead takes less.
     */
    REST_US = 20 * 1000
};

uint64_t file_trim_blocks(const struct spill_file *file)
{
    return file->swapped_blocks + (file->trim.kind == TRIM_PUNCH ? file->trim.run.count : 0);
}

static struct file_trim *trim_of(struct io_job *job)
{
    return (struct file_trim *)(void *)((char *)job - offsetof(struct file_trim, job));
}

static void finish(struct file_trim *trim)
{
    trim->kind = TRIM_NONE;
    trim->has_failed = trim->job.rc < 0;
    trim->failed_at_writes = trim->file->figures.writes;
}

static void run_truncate(struct io_job *job, struct os *os)
{
    const struct file_trim *trim = trim_of(job);
    job->rc = os->truncate(os, trim->file->fd, trim->new_bytes);
}

static void finish_truncate(struct io_job *job)
{
    struct file_trim *trim = trim_of(job);
    struct spill_file *file = trim->file;

    file->reserve.retry_us = 0; /* the disk has room again */
    if (job->rc == 0) {
        file->figures.truncated_bytes += trim->old_bytes - trim->new_bytes;
    } else if (trim->old_bytes > file->file_bytes) {
        file->file_bytes = trim->old_bytes;
    }
    finish(trim);
    file_start_transfers(file);
}

static void run_punch(struct io_job *job, struct os *os)
{
    const struct file_trim *trim = trim_of(job);
    job->rc = os->punch(os, trim->file->fd, trim->run.first * SPILL_BLOCK_BYTES,
                        trim->run.count * SPILL_BLOCK_BYTES);
}

static void finish_punch(struct io_job *job)
{
    struct file_trim *trim = trim_of(job);
    struct spill_file *file = trim->file;

    file->reserve.retry_us = 0; /* the disk has room again */
    if (job->rc == 0) {
        file->figures.punched_bytes += trim->run.count * SPILL_BLOCK_BYTES;
        spill_space_free_punched(file->space, trim->run);
    } else {
        spill_space_free(file->space, trim->run);
    }
    if (job->rc == -EOPNOTSUPP || job->rc == -ENOSYS) trim->cannot_punch = true;
    finish(trim);
}

static void start(struct file_trim *trim, enum file_trim_kind kind,
                  void (*run)(struct io_job *job, struct os *os), void (*done)(struct io_job *job))
{
    trim->kind = kind;
    trim->job = (struct io_job){ .run = run, .done = done };
    io_submit(trim->file->io, &trim->job);
}

/* Holes stay in the file while the room behind them is needed. */
static uint64_t shrink(struct spill_file *file)
{
    struct spill_space *space = file->space;
    uint64_t end;

    spill_space_avoid_holes(space, true);
    end = spill_space_shrink(space);
    spill_space_avoid_holes(space, false);
    if (file_reserve_tail_bytes(file) == 0) end = spill_space_shrink(space);
    file_note_cut(file);
    return end * SPILL_BLOCK_BYTES;
}

/* file_bytes is the new size at once, so that writes behind it raise it again. */
static bool start_truncate(struct spill_file *file)
{
    uint64_t end_bytes;

    if (file->reserve.is_running) return false;
    end_bytes = shrink(file);
    assert(end_bytes <= file->file_bytes);
    end_bytes += file_reserve_tail_bytes(file);
    if (end_bytes >= file->file_bytes) return false;
    uint64_t tail_bytes = file->file_bytes - end_bytes;
    bool is_due = tail_bytes >= TAIL_BYTES_MIN || (tail_bytes > 0 && end_bytes == 0);
    if (!is_due) return false;
    if (tail_bytes > TRUNCATE_BYTES_MAX) end_bytes = file->file_bytes - TRUNCATE_BYTES_MAX;
    file->trim.new_bytes = end_bytes;
    file->trim.old_bytes = file->file_bytes;
    file->file_bytes = end_bytes;
    start(&file->trim, TRIM_TRUNCATE, run_truncate, finish_truncate);
    return true;
}

/* In pieces that were too small it has taken more of the disk than it may, or it may less now. */
static bool is_above_limit(const struct spill_file *file)
{
    uint64_t blocks = spill_space_end(file->space) - spill_space_punched(file->space);

    return file->disk_bytes_max > 0 && blocks * SPILL_BLOCK_BYTES > file->disk_bytes_max;
}

static bool punch_is_due(const struct spill_file *file)
{
    const struct spill_space *space = file->space;
    uint64_t free_blocks = spill_space_end(space) - spill_space_used(space);
    uint64_t kept_blocks = file->trim.gives_all || is_above_limit(file) ? 0 : REUSE_BLOCKS;
    return !file->trim.cannot_punch && spill_space_may_punch(space) &&
           free_blocks - spill_space_punched(space) >
               kept_blocks + file_reserve_inside_blocks(file);
}

static uint64_t moved_bytes(const struct spill_file *file)
{
    return file->figures.read_bytes + file->figures.write_bytes;
}

/* How long until the file counts as being at rest, if nothing is read or written. */
static uint64_t until_rest_us(const struct file_trim *trim)
{
    uint64_t rested_us = clock_monotonic_us() - trim->rest_began_us;
    return rested_us < REST_US ? REST_US - rested_us : 0;
}

static bool must_wait_for_rest(struct spill_file *file)
{
    struct file_trim *trim = &file->trim;
    uint64_t punched_bytes = trim->run.count * SPILL_BLOCK_BYTES; /* the last time */

    if (moved_bytes(file) - trim->moved_at_punch >= punched_bytes * BUSY_BYTES_A_PUNCHED) {
        return false;
    }
    if (file_has_transfers(file)) return true;
    if (trim->rest_began_us == 0) trim->rest_began_us = clock_monotonic_us();
    trim->is_resting = until_rest_us(trim) > 0;
    return trim->is_resting;
}

void file_trim_disturb(struct spill_file *file)
{
    file->trim.rest_began_us = 0;
    file->trim.is_resting = false;
}

int64_t file_trim_wait_us(const struct spill_file *file)
{
    return file->trim.is_resting ? (int64_t)until_rest_us(&file->trim) : -1;
}

/* True: the search for a run has not come to an end. */
static bool start_punch(struct spill_file *file)
{
    if (!punch_is_due(file) || must_wait_for_rest(file)) return false;
    file->trim.moved_at_punch = moved_bytes(file);
    if (spill_space_take_punchable(file->space, PUNCH_BLOCKS_MAX, &file->trim.run)) {
        start(&file->trim, TRIM_PUNCH, run_punch, finish_punch);
        return false;
    }
    return punch_is_due(file); /* the next tick looks further */
}

void spill_file_give_all(struct spill_file *file, bool is_wanted)
{
    file->trim.gives_all = is_wanted;
}

bool file_trim_tick(struct spill_file *file)
{
    struct file_trim *trim = &file->trim;
    trim->is_resting = false;
    if (file->file_bytes == 0)
        return false; /* nothing has been written: most servers, most turns */
    if (trim->kind != TRIM_NONE) return false; /* its completion is the next occasion */
    if (trim->has_failed && trim->failed_at_writes == file->figures.writes) return false;
    return !start_truncate(file) && start_punch(file);
}
