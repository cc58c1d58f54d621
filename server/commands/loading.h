/* loading.h - what there was before: the newest checkpoint, and the operation log from there on,
 * done again. At the start in slices between turns, while clients get -LOADING, also in the middle
 * of one long command: the log is replayed in a fiber. By DEBUG LOADAOF in one go.
 *
 * Each command runs through its ordinary handler, without a client: what was accepted once is
 * accepted, whatever the limits are now; nothing expires on its own, reads wait for the disk. Loop
 * thread only. */
#ifndef SERVER_COMMANDS_LOADING_H
#define SERVER_COMMANDS_LOADING_H
#include <stdbool.h>
#include <stdint.h>

struct server;
struct stream;

/* Begins with server->checkpointing->load, if there is one, and goes on with the log from its
 * position (else from the start), if there is one. The keyspace is empty. Until it has ended
 * nothing is logged. A negative errno was logged. */
int loading_begin(struct server *server);
/* Goes on for a slice. True: there is more. A log that cannot be replayed stops the server. */
bool loading_step(struct server *server);
/* Goes on to the end: 0, or a negative errno, and then the server stops. */
int loading_run(struct server *server);
/* Of a command that is replayed: what it waits for may take a while, or it has done a piece of its
 * work. Lets clients be answered when the slice is used up. 0, or -ECANCELED: the server stops. */
int loading_breathe(struct server *server);
/* Of a command that is replayed and finds no room on the disk for stream. There was some before,
 * but what journals have ahead of their ends lies elsewhere now, those that no checkpoint knows are
 * still being removed, and the log has made its reserve whole. Waits until more of that is free.
 * True: it is to be tried again. False: there is none to be had, or nothing is being replayed. */
bool loading_find_room(struct server *server, const struct stream *stream);
/* Gives up what is under way, for the end of the process, which then saves nothing: what is here is
 * less than what is on the disk. */
void loading_abandon(struct server *server);

struct loading_info {
    int64_t started_at_ms;
    uint64_t total_bytes, loaded_bytes, command_count;
};
/* False: nothing is being loaded. */
bool loading_get_info(const struct server *server, struct loading_info *out_info);
#endif
