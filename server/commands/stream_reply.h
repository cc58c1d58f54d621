/* stream_reply.h - entries of a stream as answers show them. */
#ifndef SERVER_COMMANDS_STREAM_REPLY_H
#define SERVER_COMMANDS_STREAM_REPLY_H
#include "modules/stream/stream.h"
#include "server/commands/command.h"

/* So many entries from one on, in a direction. */
struct stream_range {
    struct stream_cursor cursor; /* before the first of them; who reads on copies it */
    uint64_t count;
};

/* Those from first to last, at most count_max of them. 0, or why it cannot be told (yet). */
int stream_range_find(struct stream *stream, struct stream_id first, struct stream_id last,
                      enum stream_direction direction, uint64_t count_max,
                      struct stream_range *out_range);

/* "*2", the id, and how many names and values follow: an entry is this and its fields. */
enum { STREAM_ENTRY_HEADER_BYTES = 96 };
size_t stream_entry_header(char text[STREAM_ENTRY_HEADER_BYTES], const struct stream_entry *entry);

/* How many bytes it takes, about: also when nothing is to be written. */
size_t stream_entry_reply(struct reply *reply, const struct stream_entry *entry);

/* In its place, where it is no more: its id, and nil. About as many bytes. */
size_t stream_gone_reply(struct reply *reply, struct stream_id id);

/* 1: the id of the last entry that is there. 0: it is empty. */
int stream_newest_id(struct stream *stream, struct stream_id *out_id);
#endif
