/* session.h - what the server remembers of a client between its commands. It lies in the memory
 * that net keeps behind each client (client_session). Loop thread only. */
#ifndef SERVER_COMMANDS_SESSION_H
#define SERVER_COMMANDS_SESSION_H
#include "modules/base/list.h"
#include "server/keyspace/watch.h"

struct client;
struct command;
struct parked_call;
struct transaction;

enum session_reply_mode { SESSION_REPLY_ON, SESSION_REPLY_OFF, SESSION_REPLY_SKIP };

struct session {
    struct server *server;
    struct client *client;
    uint64_t id;
    unsigned database;
    bool is_authenticated;
    bool is_monitor;
    bool is_import; /* an import's own client (importing.h) */
    bool no_evict, no_touch;
    enum session_reply_mode reply_mode;
    bool skip_next; /* CLIENT REPLY SKIP was given: the next command's reply is dropped */

    struct transaction *transaction; /* NULL: no MULTI is open */
    struct watcher watcher;
    struct parked_call *parked; /* what it waits for: a key, the disk, its turn; or NULL */

    char *name, *library_name, *library_version; /* NULL: not set */
    uint64_t log_frame; /* of the operation log, with its last write; 0: it wrote nothing */
    const struct command *last_command;
    uint64_t commands_processed;
    struct list_link monitor_link;
    struct list_link pause_link;
};

struct session *session_of(struct client *client);
#endif
