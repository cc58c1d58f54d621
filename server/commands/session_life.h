/* session_life.h - sessions come and go with clients; net calls these. Loop thread only. */
#ifndef SERVER_COMMANDS_SESSION_LIFE_H
#define SERVER_COMMANDS_SESSION_LIFE_H
#include "server/commands/session.h"
#include "server/commands/command.h"

void session_open(void *context, struct client *client);  /* net's on_open; context is the server */
void session_close(void *context, struct client *client); /* net's on_close */
/* Replaces one of the session's texts by a copy; an empty value means none. -ENOMEM: as it was. */
int session_set_text(struct session *session, char **text, struct slice value);
/* False: a name that CLIENT LIST could not show; the error was answered. */
bool session_name_is_valid(struct call *call, struct slice name);
#endif
