/* file_reserve.c - room on disk for the next checkpoint.
 *
 * What is in memory only must find room in the file when it is saved, or a full disk could never be
 * drained: what is popped gives its room back only when a checkpoint is complete. Free blocks
 * inside the file are such room, unless they were punched; what is missing is allocated behind the
 * end, in steps, and stays when the file is trimmed. */
#include "modules/spill/file_internal.h"
#include "modules/spill/file_kept.h"

#include <assert.h>
#include <errno.h>

#include "modules/base/clock.h"

enum { STEP_BYTES_MIN = 1 << 20, STEP_BYTES_MAX = 64 << 20, RETRY_US = 100 * 1000 };

uint64_t file_sure_bytes(const struct spill_file *file)
{
    return file->sure_bytes < file->file_bytes ? file->sure_bytes : file->file_bytes;
}

void file_note_cut(struct spill_file *file)
{
    uint64_t first = spill_space_cut_holes(file->space);

    if (file->is_persistent && first < file->sure_bytes / SPILL_BLOCK_BYTES)
        file->sure_bytes = first * SPILL_BLOCK_BYTES;
}

static uint64_t inside_bytes(const struct spill_file *file)
{
    const struct spill_space *space = file->space;
    uint64_t end = spill_space_end(space), sure_end = file_sure_bytes(file) / SPILL_BLOCK_BYTES;
    uint64_t free_blocks = end - spill_space_used(space) - spill_space_punched(space);
    uint64_t unsure_blocks = end > sure_end ? end - sure_end : 0; /* the free ones among them */

    /* Of the free blocks of an earlier life nobody knows which were punched. */
    if (file->is_reopened || free_blocks <= unsure_blocks) return 0;
    return (free_blocks - unsure_blocks) * SPILL_BLOCK_BYTES;
}

static uint64_t behind_bytes(const struct spill_file *file)
{
    uint64_t end = spill_space_end(file->space) * SPILL_BLOCK_BYTES;
    uint64_t sure = file_sure_bytes(file);

    return sure > end ? sure - end : 0;
}

/* What could not be written into, because of disk_bytes_max, need not be there. */
static uint64_t useful_bytes(const struct spill_file *file)
{
    uint64_t used = spill_space_used(file->space) * SPILL_BLOCK_BYTES;
    uint64_t max = file->disk_bytes_max, wanted = file->reserve.wanted_bytes;

    if (max == 0 || used + wanted <= max) return wanted;
    return used < max ? max - used : 0;
}

uint64_t file_reserve_tail_bytes(const struct spill_file *file)
{
    uint64_t inside = inside_bytes(file), useful = useful_bytes(file);

    return useful > inside ? useful - inside : 0;
}

uint64_t file_reserve_inside_blocks(const struct spill_file *file)
{
    return useful_bytes(file) / SPILL_BLOCK_BYTES;
}

static void run_allocate(struct io_job *job, struct os *os)
{
    const struct file_reserve *reserve =
        (struct file_reserve *)(void *)((char *)job - offsetof(struct file_reserve, job));

    job->rc = os->allocate(os, reserve->file->fd, reserve->first_byte, reserve->size_bytes);
}

static void finish_allocate(struct io_job *job)
{
    struct file_reserve *reserve =
        (struct file_reserve *)(void *)((char *)job - offsetof(struct file_reserve, job));
    struct spill_file *file = reserve->file;
    uint64_t end = reserve->first_byte + reserve->size_bytes;

    reserve->is_running = false;
    reserve->is_refused = false;
    if (job->rc == 0) {
        if (end > file->file_bytes) file->file_bytes = end;
        if (file->sure_bytes >= reserve->first_byte && file->sure_bytes < end)
            file->sure_bytes = end < file->file_bytes ? end : UINT64_MAX;
        return;
    }
    if (job->rc == -EOPNOTSUPP || job->rc == -ENOSYS) {
        reserve->cannot_be_had = true;
        return;
    }
    reserve->is_refused = true;
    reserve->retry_us = clock_monotonic_us() + RETRY_US;
}

static uint64_t step_bytes(uint64_t missing, uint64_t most)
{
    uint64_t step = missing < STEP_BYTES_MIN ? STEP_BYTES_MIN : missing;

    if (step > STEP_BYTES_MAX) step = STEP_BYTES_MAX;
    if (step > most) step = most > missing ? most : missing;
    return (step + SPILL_BLOCK_BYTES - 1) / SPILL_BLOCK_BYTES * SPILL_BLOCK_BYTES;
}

/* How much longer the file may become without taking more of the disk than disk_bytes_max. */
static uint64_t growth_max(const struct spill_file *file, uint64_t there)
{
    uint64_t taken = spill_space_used(file->space) * SPILL_BLOCK_BYTES + there;

    if (file->disk_bytes_max == 0) return UINT64_MAX;
    return file->disk_bytes_max > taken ? file->disk_bytes_max - taken : 0;
}

/* First what a failed write was to fill, lest holes be taken for room. */
static void choose_range(struct spill_file *file, uint64_t there)
{
    struct file_reserve *reserve = &file->reserve;

    reserve->first_byte = file_sure_bytes(file);
    reserve->size_bytes = reserve->first_byte < file->file_bytes
                              ? file->file_bytes - reserve->first_byte
                              : step_bytes(useful_bytes(file) - there, growth_max(file, there));
}

void file_reserve_tick(struct spill_file *file)
{
    struct file_reserve *reserve = &file->reserve;
    uint64_t there = inside_bytes(file) + behind_bytes(file);

    if (reserve->is_running || reserve->cannot_be_had) return;
    if (file->sure_bytes >= file->file_bytes) file->sure_bytes = UINT64_MAX; /* cut off since */
    if (there >= useful_bytes(file)) {
        reserve->is_refused = false;
        return;
    }
    if (file->trim.kind == TRIM_TRUNCATE) return; /* it would cut what is allocated now */
    if (reserve->is_refused && clock_monotonic_us() < reserve->retry_us) return;
    choose_range(file, there);
    reserve->is_running = true;
    reserve->job = (struct io_job){ .run = run_allocate, .done = finish_allocate };
    io_submit(file->io, &reserve->job);
}

int64_t file_reserve_wait_us(const struct spill_file *file)
{
    return file->reserve.is_refused ? RETRY_US : -1;
}

void spill_file_reserve(struct spill_file *file, uint64_t bytes)
{
    file->reserve.wanted_bytes = bytes;
}

enum spill_reserve spill_file_reserve_state(const struct spill_file *file)
{
    uint64_t used = spill_space_used(file->space) * SPILL_BLOCK_BYTES;
    uint64_t max = file->disk_bytes_max;

    if (max > 0 && used + file->reserve.wanted_bytes > max) return SPILL_RESERVE_ABOVE_LIMIT;
    return file->reserve.is_refused ? SPILL_RESERVE_NOT_ON_DISK : SPILL_RESERVED;
}

bool spill_file_has_reserved(const struct spill_file *file, uint64_t bytes)
{
    uint64_t used = spill_space_used(file->space) * SPILL_BLOCK_BYTES;
    uint64_t max = file->disk_bytes_max;

    if (max > 0 && used + bytes > max) return false;
    return file->reserve.cannot_be_had || inside_bytes(file) + behind_bytes(file) >= bytes;
}

uint64_t spill_file_reserved_bytes(const struct spill_file *file)
{
    uint64_t there = inside_bytes(file) + behind_bytes(file);

    return there < file->reserve.wanted_bytes ? there : file->reserve.wanted_bytes;
}
