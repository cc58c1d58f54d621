/* shutdown.h - the end of the server: at once, or when what there is was saved, which may be called
 * off. Loop thread only. */
#ifndef SERVER_COMMANDS_SHUTDOWN_H
#define SERVER_COMMANDS_SHUTDOWN_H
#include <stdbool.h>
#include <stdint.h>

struct server;

struct shutting_down {
    unsigned saving_count;  /* SHUTDOWNs that wait for their checkpoint */
    uint64_t aborted_count; /* how often all of them were told to give up */
    uint64_t signal_turn;   /* the checkpoint that the end by a signal waits for; 0: none */
    bool signal_forces;     /* and ends the server if it fails */
};

/* SIGINT or SIGTERM. Saves first, as shutdown-on-* and `save` say, and when that fails the server
 * goes on, unless it is forced; a second one meanwhile does not wait. */
void shutdown_by_signal(struct server *server, bool is_sigint);
/* At the end of a turn: ends the server when what a signal waits for is saved. */
void shutdown_turn(struct server *server);
#endif
