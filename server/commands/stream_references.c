#include "server/commands/stream_references.h"

#include "modules/stream/group.h"

int stream_remove_entry(struct stream *stream, struct stream_groups *groups,
                        enum stream_references references, struct stream_id id, uint64_t ordinal,
                        bool *out_was_referred_to)
{
    bool forgets = references == STREAM_DELETE_REFERENCES && groups;
    int rc = 0;

    *out_was_referred_to = false;

    if (references == STREAM_ONLY_ACKNOWLEDGED && ordinal && groups &&
        stream_groups_refer_to(groups, id))
        return STREAM_STILL_NEEDED;
    if (forgets) rc = stream_groups_prepare_forgetting(groups, id);
    if (rc == 0 && ordinal) rc = stream_delete(stream, ordinal, id);
    if (rc < 0) return rc;
    /* References go even when the entry has gone before them. */
    if (forgets) *out_was_referred_to = stream_groups_forget(groups, id) > 0;
    return rc == 1 ? STREAM_REMOVED : STREAM_NO_ENTRY;
}

void stream_reply_removals(struct reply *reply, const uint64_t *removals, uint32_t done_count,
                           uint32_t count)
{
    reply_array(reply, count);
    for (uint32_t i = 0; i < count; i++) {
        bool has_entry = i < done_count && removals[i] != STREAM_NO_ENTRY;

        reply_integer(reply, has_entry ? (int64_t)removals[i] : -1);
    }
}
