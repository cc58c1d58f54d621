/* stream_viewing.h - answers that are being sent from views of groups, and when they are broken
 * off.
 *
 * What others change in a group is copied as long as a view has it as it was: a client that asks
 * and does not read can make all that groups take be there twice, and nothing of what makes the
 * copies (XACK) is ever refused. So when memory that cannot spill is used up, and what groups have
 * beside their own is above a share of maxmemory, clients are closed: first who has taken nothing
 * for the longest time; another one only when that did not make it less. Loop thread only. */
#ifndef SERVER_COMMANDS_STREAM_VIEWING_H
#define SERVER_COMMANDS_STREAM_VIEWING_H
#include <stdint.h>

#include "modules/base/list.h"

struct client;
struct server;

struct stream_viewings {
    struct list_link longest; /* who has taken nothing for the longest time is the first one */
    uint64_t beside_bytes;    /* what groups had beside their own when it was last looked at */
    uint64_t closed_count;    /* clients, in all */
};

struct stream_viewing { /* zeroed: it has no view */
    struct stream_viewings *all;
    struct client *client;
    struct list_link link;
};

void stream_viewings_init(struct stream_viewings *viewings);
/* The client is sent an answer from a view; its producer calls moves for each piece and end when it
 * is destroyed, at the latest. */
void stream_viewing_begin(struct server *server, struct client *client,
                          struct stream_viewing *viewing);
/* Its socket takes something. */
void stream_viewing_moves(struct stream_viewing *viewing);
void stream_viewing_end(struct stream_viewing *viewing);

/* To be called whenever memory was looked at (memory_update): closes one, if one must go. */
void stream_viewings_look(struct server *server);
#endif
