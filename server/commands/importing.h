/* importing.h - an import that is under way: the thread (transfer/import.h), the client by which it
 * sends its commands, and who waits for its end. One at a time. Loop thread only. */
#ifndef SERVER_COMMANDS_IMPORTING_H
#define SERVER_COMMANDS_IMPORTING_H
#include <stdbool.h>

struct import_progress;
struct import_summary;
struct info_text;
struct importing;
struct server;

/* Begins one. path is copied. -errno: a socket or a thread is missing. None is under way
 * (asserted). */
int importing_begin(struct server *server, const char *path, bool replaces);
bool importing_has_ended(const struct server *server);
/* After it has ended; good until importing_forget. */
const struct import_summary *importing_summary(const struct server *server);
/* Nobody wants it any more: what has ended is freed, else it is canceled, and freed when it has. */
void importing_forget(struct server *server);
/* For the end of the process. */
void importing_abandon(struct server *server);

/* --import: asked for before the loop runs; begins when the log was loaded. Until it has ended, all
 * other clients get -LOADING and nothing expires. When it fails, the server stops. */
void importing_at_start(struct server *server);
bool importing_is_at_start(const struct server *server);

/* import_… and export_… fields of INFO persistence. */
void importing_info(const struct server *server, struct info_text *text);
#endif
