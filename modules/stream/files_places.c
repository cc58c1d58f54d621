/* files_places.c - where reading goes on behind an entry that was read or added of late.
 *
 * Readers come back with the id of what they got last: consumers of a group, XREAD, XRANGE page by
 * page. A search would walk up to a whole step of the journal's index (64 KiB) for each of them.
 * So a table of the store knows the places behind some entries, by stream and id; a newer one takes
 * the line of an older one that falls on it. A place counts for as long as cursors' do: while the
 * stream has the same version. Streams with falls, whose ids do not tell the order, have none. */
#include "modules/stream/files_internal.h"

static struct files_known *line_of(const struct stream_files *files, struct stream_id id)
{
    uint64_t mixed = (id.ms + id.seq * 0x9e3779b97f4a7c15u + files->number) * 0xff51afd7ed558ccdu;

    return &files->store->files->known[mixed >> (64 - STREAM_KNOWN_BITS)];
}

void stream_files_know(const struct stream *stream, struct stream_id before, uint64_t position)
{
    const struct stream_files *files = stream->files;

    if (files->falls.count > 0) return;
    *line_of(files, before) = (struct files_known){ files, stream->version, before, position };
}

bool stream_files_recall(const struct stream *stream, struct stream_id before,
                         uint64_t *out_position)
{
    const struct stream_files *files = stream->files;
    const struct files_known *known = line_of(files, before);

    if (known->files != files || known->version != stream->version || files->falls.count > 0)
        return false;
    if (stream_id_compare(known->before, before) != 0) return false;
    *out_position = known->position;
    return true;
}

void stream_files_forget_known(const struct stream_files *files)
{
    struct files_known *known = files->store->files->known;

    for (unsigned i = 0; i < 1u << STREAM_KNOWN_BITS; i++) {
        if (known[i].files == files) known[i].files = NULL;
    }
}
