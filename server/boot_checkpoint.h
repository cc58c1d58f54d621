/* boot_checkpoint.h - what a start goes on from: the newest checkpoint, and the store opened as it
 * says. */
#ifndef SERVER_BOOT_CHECKPOINT_H
#define SERVER_BOOT_CHECKPOINT_H

struct os;
struct server;

/* Looks for the newest checkpoint in DIR, verifies it, removes what a crash left of others. Errors
 * were logged. */
int boot_checkpoint_find(struct server *server, struct os *os);
/* Makes what makes checkpoints; all parts are there. */
int boot_checkpoint_create(struct server *server, struct os *os);
/* For checkpointing's reopen_store. */
int boot_checkpoint_reopen_store(struct server *server);
/* Closes the store: its file stays when a checkpoint may need it. */
void boot_checkpoint_close_store(struct server *server);
#endif
