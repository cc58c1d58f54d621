/* stream_answer.h - answers with the entries of ranges, of any length. */
#ifndef SERVER_COMMANDS_STREAM_ANSWER_H
#define SERVER_COMMANDS_STREAM_ANSWER_H
#include "server/commands/stream_reply.h"

struct stream_part {
    uint32_t name_index; /* the argument that names the stream, among several parts */
    struct stream_range range;
};

/* The entries of the range, an array, as the call's reply. Up to 64 KiB are written at once; what
 * is left of a longer one as the socket drains, from a snapshot, and CALL_STREAMING is returned. An
 * error: nothing was answered. */
int stream_answer_range(struct call *call, const struct stream_range *range);
/* The same of several streams: a map of their names to their entries, or in RESP2 an array of
 * pairs.
 */
int stream_answer_parts(struct call *call, const struct stream_part *parts, uint32_t part_count);
#endif
