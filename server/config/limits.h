/* limits.h - the limits in force where the configuration says 0: "as this machine allows".
 *
 * Any thread. Functions that read files do so at once: for start, or an I/O thread. */
#ifndef SERVER_CONFIG_LIMITS_H
#define SERVER_CONFIG_LIMITS_H
#include <stdint.h>

struct os;
struct config;

/* Bytes of memory that this process may use: of the machine, or of its cgroup (version 1 or 2,
 * parents included) if that has less. root is put in front of /proc and /sys: "" but in tests. 0:
 * neither could be read. */
uint64_t limits_machine_memory(struct os *os, const char *root);

/* maxmemory; where it is 0, a quarter of machine_memory_bytes, but at least
 * LIMITS_MAXMEMORY_LEAST_BYTES. */
uint64_t limits_maxmemory(const struct config *config, uint64_t machine_memory_bytes);
/* maxdisk; where it is 0, 80% of what the file system of dir has free now, and of taken_bytes,
 * which is what that would bound and is there already. A negative errno when that cannot be told.
 */
int limits_maxdisk(const struct config *config, struct os *os, uint64_t taken_bytes,
                   uint64_t *out_bytes);
/* net-buffer-memory; where it is 0, a sixteenth of maxmemory_bytes, but at least
 * LIMITS_NET_BUFFER_LEAST_BYTES and at most LIMITS_NET_BUFFER_MOST_BYTES. */
uint64_t limits_net_buffer(const struct config *config, uint64_t maxmemory_bytes);
/* maxmemory-clients, a percentage being one of maxmemory_bytes; at least
 * LIMITS_CLIENTS_LEAST_BYTES, or 0: no limit. */
uint64_t limits_clients(const struct config *config, uint64_t maxmemory_bytes);

#define LIMITS_CLIENTS_LEAST_BYTES    ((uint64_t)128 << 10) /* as in Redis */
#define LIMITS_MAXMEMORY_LEAST_BYTES  ((uint64_t)64 << 20)
#define LIMITS_NET_BUFFER_LEAST_BYTES ((uint64_t)1 << 20)
#define LIMITS_NET_BUFFER_MOST_BYTES  ((uint64_t)64 << 20)
#endif
