/* stream_answer.h - answers with the entries of ranges, of any length. */
#ifndef SERVER_COMMANDS_STREAM_ANSWER_H
#define SERVER_COMMANDS_STREAM_ANSWER_H
#include "server/commands/stream_reply.h"

struct stream_gathered;
struct stream_id_list;
struct stream_full;

struct stream_part {
    uint32_t name_index; /* the argument that names the stream, among several parts */
    struct stream_range range;
    /* Not NULL: the entries with these ids, in order, of the range's stream; its count is theirs.
     * What has gone is answered with nil. */
    struct stream_id_list *listed;
};

/* The entries of the range, an array, as the call's reply. Up to 64 KiB are written at once; what
 * is left of a longer one as the socket drains, from a snapshot, and CALL_STREAMING is returned. An
 * error: nothing was answered. */
int stream_answer_range(struct call *call, const struct stream_range *range);
/* The same of several streams: a map of their names to their entries, or in RESP2 an array of
 * pairs.
 */
int stream_answer_parts(struct call *call, const struct stream_part *parts, uint32_t part_count);
/* The same of a range between what was gathered for before and (or NULL) for behind it, which may
 * be moved, but are the caller's to drop, whatever is returned. Behind all that comes what *full
 * has yet to write; *full is the caller's, too, and NULL when it was taken over. -ENOBUFS: it may
 * not stay. */
int stream_answer_between(struct call *call, struct stream_gathered *head,
                          const struct stream_range *range, struct stream_gathered *behind,
                          struct stream_full **full);
#endif
