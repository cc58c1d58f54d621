/* client_line.h - a client as CLIENT LIST shows it, and the types that lists of clients are
 * filtered by. */
#ifndef SERVER_COMMANDS_CLIENT_LINE_H
#define SERVER_COMMANDS_CLIENT_LINE_H
#include "modules/base/slice.h"
#include "server/net/client.h"

struct session;

enum { CLIENT_LINE_BYTES = 2048 };

/* Fields in Redis's order, no line end; as snprintf. */
int client_line(const struct session *session, char *text, size_t size);
/* normal, replica (also slave, master), pubsub. False: no such type. */
bool client_type_by_name(struct slice name, enum client_class *out_class);
#endif
