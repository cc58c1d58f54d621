/* disk_log.h - says in the log, once, that lists or streams have no room on disk any more, and that
 * they have it again. Loop thread only. */
#ifndef SERVER_COMMANDS_DISK_LOG_H
#define SERVER_COMMANDS_DISK_LOG_H
#include <stdbool.h>
#include <stdint.h>

#include "modules/spill/store.h"

struct server;

struct disk_log {
    bool said_full;
    bool has_refused;           /* since the last look */
    uint64_t refused_us;        /* loop_now_us of the last one; 0: none */
    enum spill_disk refused_by; /* with that one */
    uint64_t said_us;           /* loop_now_us of the last line */
};

/* To be called now and then, while there is work. */
void disk_log_look(struct server *server);
/* A command was refused for want of room, and by what: the next look says so, even when there is
 * room by then. */
void disk_log_refused(struct server *server, enum spill_disk refused_by);
#endif
