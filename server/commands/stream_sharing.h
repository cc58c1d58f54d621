/* stream_sharing.h - entries that many readers are waiting for, put into words once for all.
 *
 * An entry that is added serves all who wait for it, one behind the other; those who wait behind
 * the same id get the same entries. The second of them has these put into a packet, which the
 * others take as it is. Loop thread only. */
#ifndef SERVER_COMMANDS_STREAM_SHARING_H
#define SERVER_COMMANDS_STREAM_SHARING_H
#include "server/commands/stream_reply.h"

struct packet;

struct stream_sharing { /* zeroed: nothing is shared */
    struct stream_range range;
    uint64_t changes;      /* keyspace_change_count when the range was first asked for */
    uint64_t asked;        /* how often since */
    struct packet *packet; /* NULL: not made (yet) */
};

/* The range as an array of entries, when it was asked for before and nothing has changed since; it
 * is good until the next call. NULL: write it yourself. changes: keyspace_change_count. */
struct packet *stream_sharing_find(struct stream_sharing *sharing, uint64_t changes,
                                   const struct stream_range *range);
/* All have been served: lets the packet go. */
void stream_sharing_end(struct stream_sharing *sharing);
#endif
