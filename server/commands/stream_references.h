/* stream_references.h - removing entries that groups may still refer to (KEEPREF, DELREF, ACKED).
 */
#ifndef SERVER_COMMANDS_STREAM_REFERENCES_H
#define SERVER_COMMANDS_STREAM_REFERENCES_H
#include "modules/stream/stream.h"
#include "server/commands/stream_trimming.h"

struct stream_groups;

enum stream_removal { STREAM_NO_ENTRY = 0, STREAM_REMOVED = 1, STREAM_STILL_NEEDED = 2 };

/* ordinal: what stream_find told of the id, or 0: there is no such entry. groups may be NULL. One
 * of enum stream_removal, and whether it was pending somewhere where it is no more (DELREF); or
 * negative: nothing was done. */
int stream_remove_entry(struct stream *stream, struct stream_groups *groups,
                        enum stream_references references, struct stream_id id, uint64_t ordinal,
                        bool *out_was_referred_to);
/* The ordinals of count > 0 ids, which stream_ids_take has taken, 0 for those that have no entry:
 * all that has to be read for removing them. Those that lie near each other are read in one go,
 * whatever the order of the ids. 0, and they are the caller's to free; or negative, as a handler.
 */
int stream_find_ordinals(struct call *call, struct stream *stream, const struct stream_id *ids,
                         uint32_t count, uint64_t **out_ordinals);
/* What XDELEX and XACKDEL answer: of count ids what became of the first done_count, each one of
 * enum stream_removal; with the others nothing was done, as if they had no entry. */
void stream_reply_removals(struct reply *reply, const uint64_t *removals, uint32_t done_count,
                           uint32_t count);
#endif
