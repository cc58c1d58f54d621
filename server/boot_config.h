/* boot_config.h - from directives to parts: limits, sizes, listeners, and what CONFIG SET changes
 * live. */
#ifndef SERVER_BOOT_CONFIG_H
#define SERVER_BOOT_CONFIG_H
#include "server/net/net.h"

struct server;
struct os;
struct spill_hooks;

/* maxmemory, or what stands for 0: a quarter of the machine's or the cgroup's memory. */
uint64_t boot_config_memory_limit(const struct server *server);
struct net_limits boot_config_net_limits(const struct server *server);
int boot_config_store(struct server *server, struct os *os, const char *path,
                      const struct spill_hooks *hooks);
/* Made with the same hooks: it waits for the disk as lists do. */
int boot_config_streams(struct server *server, struct os *os, const struct spill_hooks *hooks);
/* Slow log and latency events. */
int boot_config_observe(struct server *server);
void boot_config_forget_observe(struct server *server);
/* Every directive that may change while the server runs is carried out from here. */
int boot_config_listen_for_changes(struct server *server);
/* TCP on all bind addresses and the unix socket, as configured. Errors were logged. */
int boot_config_open_listeners(struct server *server);
/* A line in the log for each limit in force, and where it comes from. */
void boot_config_say_limits(const struct server *server);
/* A line for directives that were set and have no effect, if there are any. */
void boot_config_say_remembered(const struct server *server);
#endif
