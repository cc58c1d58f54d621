/* boot_log.h - the operation log of a server that starts: opened, recovered, replay begun. */
#ifndef SERVER_BOOT_LOG_H
#define SERVER_BOOT_LOG_H
#include <stdbool.h>
#include <stdint.h>

struct os;
struct server;

/* Opens the log in DIR (log_directory.h) when appendonly says so and begins to replay it; others
 * are removed. Errors were logged. */
int boot_log_open(struct server *server, struct os *os);
/* Syncs and closes it. */
void boot_log_close(struct server *server);
/* What may change of it while the server runs. */
int boot_log_listen_for_changes(struct server *server);
/* For the owners of memory (observe/memory.h), of which context is the server. */
uint64_t boot_log_bytes(void *context);
bool boot_log_is_buffered(void *context);
#endif
