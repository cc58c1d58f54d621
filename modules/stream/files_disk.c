/* files_disk.c - what streams take on the disk: their segments' files with the indexes, as they are
 * written, packed, trimmed and removed. What is bounded is the sum, where a journal asks for more
 * room ahead, which is once in many entries.
 *
 *   kept            segments                              the last one, and the next
 *   [1]  [2]        [3]  …                                [n]  (n + 1)
 *   kept_bytes
 *   ended_bytes ───────────────────────────────────────▶  what the journal says, with the room that
 *                                                         is ready; closed, what is written in it
 *
 * What is trimmed counts until it may go. What only the last checkpoint keeps goes with the next
 * one, and whoever is refused may want to have that made. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "modules/journal/index.h"
#include "modules/stream/files_internal.h"

/* What its file and its index take. */
static uint64_t file_bytes(const struct files_segment *segment)
{
    return stream_segment_disk_bytes(segment) +
           segment->bytes / JOURNAL_INDEX_STEP_BYTES * JOURNAL_INDEX_ENTRY_BYTES;
}

/* ---- counting ---------------------------------------------------------------------------------
 */

static uint64_t growing_bytes(const struct stream_files *files)
{
    if (files->journal) return journal_growing_bytes(files->journal);
    if (files->segment_count > 0) return file_bytes(&files->segments[files->segment_count - 1]);
    return files->is_moving ? STREAM_NEW_FILES_BYTES : 0;
}

/* What a checkpoint would free, if nobody else refers to it. */
static uint64_t count_deferred(const struct stream_files *files, uint64_t bytes)
{
    if (!files->saved.is_there || files->pinned.is_there || !list_is_empty(&files->snapshots))
        return 0;
    return files->stream ? files->kept_bytes : bytes;
}

static void take_counts(struct stream_files *files, uint64_t disk_bytes, uint64_t deferred_bytes)
{
    struct stream_files_store *all = files->store->files;

    all->disk_bytes += disk_bytes - files->disk_bytes;
    all->deferred_bytes += deferred_bytes - files->deferred_bytes;
    files->disk_bytes = disk_bytes;
    files->deferred_bytes = deferred_bytes;
}

void stream_files_recount(struct stream_files *files)
{
    uint64_t bytes = files->ended_bytes + growing_bytes(files);

    assert(files->base == files);
    take_counts(files, bytes, count_deferred(files, bytes));
}

void stream_files_uncount(struct stream_files *files)
{
    take_counts(files, 0, 0);
}

void stream_files_count_segments(struct stream_files *files)
{
    files->ended_bytes = 0;
    for (uint32_t i = 0; i + 1 < files->segment_count; i++)
        files->ended_bytes += file_bytes(&files->segments[i]);
    stream_files_recount(files);
}

void stream_files_count_ended(struct stream_files *files)
{
    files->ended_bytes += file_bytes(&files->segments[files->segment_count - 1]);
}

/* ---- kept segments ----------------------------------------------------------------------------
 */

void stream_files_keep_segments(struct stream_files *files, uint32_t count)
{
    assert(count < files->segment_count);
    for (uint32_t i = 0; i < count; i++)
        files->kept_bytes += file_bytes(&files->segments[i]);
    files->segments += count;
    files->segment_count -= count;
    files->kept_count += count;
    stream_files_recount(files);
}

void stream_files_drop_kept(struct stream_files *files, uint64_t first)
{
    struct files_segment *kept = files->segments - files->kept_count;
    uint32_t gone = 0;

    for (; gone < files->kept_count && kept[gone].start < first; gone++) {
        files->kept_bytes -= file_bytes(&kept[gone]);
        files->ended_bytes -= file_bytes(&kept[gone]);
    }
    if (gone > 0) {
        size_t left = files->kept_count - gone + files->segment_count;
        memmove(kept, kept + gone, left * sizeof(*kept));
        files->kept_count -= gone;
        files->segments -= gone;
    }
    stream_files_recount(files);
}

struct files_segment *stream_files_segment_at(const struct stream_files *files, uint64_t start)
{
    uint32_t count = files->kept_count + files->segment_count, low = 0, high = count;
    struct files_segment *first;

    if (count == 0) return NULL;
    first = files->segments - files->kept_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (first[middle].start < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && first[low].start == start ? &first[low] : NULL;
}

void stream_files_count_packed(struct stream_files *files, uint64_t start, uint64_t packed_bytes)
{
    struct files_segment *segment = stream_files_segment_at(files, start);
    uint64_t before;

    if (!segment) return;
    before = file_bytes(segment);
    segment->packed_bytes = packed_bytes;
    if (segment + 1 < files->segments + files->segment_count)
        files->ended_bytes += file_bytes(segment) - before;
    if (segment < files->segments) files->kept_bytes += file_bytes(segment) - before;
    stream_files_recount(files);
}

void stream_files_check_disk(const struct stream_files *files)
{
    const struct stream_files_store *all = files->store->files;
    const struct files_segment *kept = files->segments - files->kept_count;
    uint64_t kept_bytes = 0, ended_bytes = 0;

    for (uint32_t i = 0; i < files->kept_count; i++)
        kept_bytes += file_bytes(&kept[i]);
    for (uint32_t i = 0; i + 1 < files->kept_count + files->segment_count; i++)
        ended_bytes += file_bytes(&kept[i]);
    assert(files->kept_bytes == kept_bytes && files->ended_bytes == ended_bytes);
    assert(files->disk_bytes >= ended_bytes && files->disk_bytes <= all->disk_bytes);
    assert(files->deferred_bytes <= files->disk_bytes);
}

/* ---- the bound --------------------------------------------------------------------------------
 */

int stream_files_may_grow(void *context, uint64_t bytes)
{
    struct stream_files *files = context;
    struct stream_files_store *all = files->store->files;
    uint64_t max = all->disk_bytes_max;

    if (bytes > max || all->disk_bytes > max - bytes) {
        all->refused_bytes = bytes;
        return -EDQUOT;
    }
    all->refused_bytes = 0;
    take_counts(files, files->disk_bytes + bytes, files->deferred_bytes);
    return 0;
}

uint64_t stream_files_room_left(void *context)
{
    const struct stream_files *files = context;
    const struct stream_files_store *all = files->store->files;

    return all->disk_bytes < all->disk_bytes_max ? all->disk_bytes_max - all->disk_bytes : 0;
}

void stream_store_set_disk_max(struct stream_store *store, uint64_t bytes)
{
    if (store->files) store->files->disk_bytes_max = bytes;
}

void stream_store_get_disk(const struct stream_store *store, struct stream_disk *out_disk)
{
    const struct stream_files_store *all = store->files;

    *out_disk = (struct stream_disk){ .max_bytes = UINT64_MAX };
    if (!all) return;
    out_disk->used_bytes = all->disk_bytes;
    out_disk->deferred_bytes = all->deferred_bytes;
    out_disk->max_bytes = all->disk_bytes_max;
    out_disk->is_at_limit =
        all->refused_bytes > 0 && all->disk_bytes + all->refused_bytes > all->disk_bytes_max;
}
