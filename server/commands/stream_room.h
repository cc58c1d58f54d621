/* stream_room.h - room for an entry, in memory or on the disk, before a command adds it. */
#ifndef SERVER_COMMANDS_STREAM_ROOM_H
#define SERVER_COMMANDS_STREAM_ROOM_H
#include "server/commands/command.h"

struct server;
struct stream;

/* As stream_reserve, for a command that may be a client's or replayed. Where memory is used up, a
 * stream that is not small moves to the disk; what stays waits until others have. is_new: the
 * stream has no key yet. A replay takes what memory it needs. -ENOMEM: over maxmemory, and nothing
 * can leave it. */
int stream_room_reserve(const struct call *call, struct stream *stream, uint64_t fields_bytes,
                        bool is_new);
/* As stream_reserve. But what is replayed had its room once: on a full disk it waits for what is
 * being removed, and takes the log's reserve. */
int stream_room_insist(struct server *server, struct stream *stream, uint64_t fields_bytes);
#endif
