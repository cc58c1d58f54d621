/* files_pack.c - segments of streams that have ended are packed (modules/journal/packed.h).
 *
 * A journal can only be set back into a segment that is plain. So what a checkpoint refers to, and
 * what is to be found when the journal is opened again, says from where on all stay as they are:
 *
 *   packed, or being packed     plain
 *   [1]  [2]  [3]  …            [n: a checkpoint ends here]  [n + 1]  …  [that is written]
 *
 * That place only moves forward: a checkpoint that is made ends where the stream, or the snapshot
 * that it is made of, ends, and both are looked at from their beginning on. */
#include "modules/journal/format.h"
#include "modules/stream/files_internal.h"

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t end_of(const struct files_reference *reference)
{
    return reference->is_there ? reference->end : UINT64_MAX;
}

uint64_t stream_files_plain_from(const struct stream_files *files)
{
    uint64_t from = lesser(files->end, end_of(&files->saved));

    from = lesser(from, lesser(end_of(&files->running), end_of(&files->pinned)));
    list_for_each(link, &files->snapshots)
    {
        from = lesser(from, list_container(link, struct stream_files, snapshots)->end);
    }
    return from;
}

void stream_files_plan_packing(struct stream_files *files)
{
    if (files->journal) journal_keep_plain(files->journal, stream_files_plain_from(files));
}

void stream_files_apply_codec(struct stream_files *files)
{
    if (!files->journal || !files->stream) return;
    stream_files_plan_packing(files); /* first: it may have been opened just now */
    journal_set_codec(files->journal, (enum journal_codec)files->stream->codec);
}

void stream_files_note_packed(void *context, const struct journal_packed_segment *packed)
{
    struct stream_files *files = context;
    uint64_t start = journal_segment_start(packed->number);
    struct files_segment *segment = stream_files_segment_at(files, start);

    if (!segment) return;
    segment->dropped = packed->note;
    stream_files_count_packed(files, start, packed->file_bytes);
}
