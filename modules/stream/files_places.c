/* files_places.c - where reading goes on behind an entry that was read or added of late.
 *
 * Readers come back with the id of what they got last: consumers of a group, XREAD, XRANGE page by
 * page. A search would walk up to a whole step of the journal's index (64 KiB) for each of them.
 * So each of the readers (files_slot) knows behind which entry it stands, and a table of the store
 * knows the places behind some others, by stream and id: what was appended of late, and where
 * readers were taken away from; a newer one takes the line of an older one that falls on it. A
 * place counts for as long as cursors' do: while the stream has the same version. What a snapshot
 * reads counts for its stream as it was then. Streams with falls, whose ids do not tell the order,
 * have none. */
#include "modules/stream/files_internal.h"

uint64_t stream_files_version(const struct stream *stream)
{
    const struct stream_files *files = stream->files;

    return files->base == files ? stream->version : files->base_version;
}

/* Entries of the same millisecond have lines that lie together: they come, and go, together. */
static struct files_known *line_of(const struct stream_files *files, struct stream_id id)
{
    uint64_t mixed = (id.ms + files->number * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
    uint64_t line = (mixed >> (64 - STREAM_KNOWN_BITS)) + id.seq;

    return &files->store->files->known[line & ((1u << STREAM_KNOWN_BITS) - 1)];
}

void stream_files_know(const struct files_known *known)
{
    *line_of(known->files, known->before) = *known;
}

static bool is_same(const struct files_known *known, const struct files_known *sought)
{
    return known->files == sought->files && known->version == sought->version &&
           stream_id_compare(known->before, sought->before) == 0;
}

bool stream_files_recall(const struct stream *stream, struct stream_id before,
                         uint64_t *out_position)
{
    const struct stream_files *files = stream->files->base;
    const struct files_slot *slots = files->store->files->slots;
    struct files_known sought = { files, stream_files_version(stream), before, 0 };
    const struct files_known *known = line_of(files, before);

    if (stream->files->falls.count > 0) return false;
    for (unsigned i = 0; !is_same(known, &sought); i++) {
        if (i == STREAM_READERS_MAX) return false;
        known = &slots[i].behind;
    }
    *out_position = known->position;
    sought.position = known->position;
    stream_files_know(&sought); /* who reads from there moves on, and may have to come back */
    return true;
}

void stream_files_forget_known(const struct stream_files *files)
{
    struct files_known *known = files->store->files->known;

    for (unsigned i = 0; i < 1u << STREAM_KNOWN_BITS; i++) {
        if (known[i].files == files) known[i].files = NULL;
    }
}
