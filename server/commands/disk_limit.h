/* disk_limit.h - maxdisk bounds what lists and streams take on the disk together: each of their
 * stores is told what the other one leaves of it.
 *
 * A command that neither of them has room for is refused; what removes, trims, reads and
 * acknowledges goes on. The log and the checkpoints' files are not counted. While something is
 * loaded nothing that was accepted once is refused: a start with more on the disk than maxdisk goes
 * well, and then takes nothing until there is less. Loop thread only. */
#ifndef SERVER_COMMANDS_DISK_LIMIT_H
#define SERVER_COMMANDS_DISK_LIMIT_H
#include <stdint.h>

struct config;
struct server;

/* What maxdisk says, or where it is 0 most of what is free now or taken by both: the limit from now
 * on. Negative: what is free cannot be told, and the limit stays. */
int disk_limit_configure(struct server *server, const struct config *config);
/* All is loaded: what streams take is known only now. */
void disk_limit_loaded(struct server *server);
/* Tells both stores. For once in a while, while there is work. */
void disk_limit_update(struct server *server);

struct disk_limit_info {
    uint64_t max_bytes;
    uint64_t used_bytes;    /* by both, and what is kept for what lists have in memory only */
    uint64_t streams_bytes; /* of these */
};
void disk_limit_info(const struct server *server, struct disk_limit_info *out_info);
#endif
