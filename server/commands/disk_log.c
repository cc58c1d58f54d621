/* A store at its limit is full and not full with every push and pop, so that either line comes only
 * when the last one was some time ago. */
#include "server/commands/disk_log.h"

#include "modules/base/log.h"
#include "modules/spill/store.h"
#include "server/commands/server.h"
#include "server/net/loop.h"

enum { FULL_QUIET_US = 10 * 1000 * 1000, ROOM_QUIET_US = 1000 * 1000 };

static void say_full(struct server *server, enum spill_disk disk)
{
    if (disk == SPILL_DISK_AT_LIMIT)
        log_write(server->log, LOG_WARNING,
                  "maxdisk is reached: commands that add elements are refused until others have "
                  "removed some");
    else
        log_write(server->log, LOG_WARNING,
                  "The disk is full: commands that add elements are refused until there is room. "
                  "%s",
                  spill_store_last_error(server->store));
}

void disk_log_refused(struct server *server, enum spill_disk refused_by)
{
    server->disk_log.has_refused = true;
    server->disk_log.refused_us = loop_now_us(server->loop);
    server->disk_log.refused_by = refused_by;
}

void disk_log_look(struct server *server)
{
    struct disk_log *said = &server->disk_log;
    bool is_full = spill_store_pressure(server->store) == SPILL_FULL;
    enum spill_disk disk = is_full ? spill_store_disk(server->store) : said->refused_by;
    uint64_t now_us = loop_now_us(server->loop);

    if (said->has_refused) is_full = true;
    if (is_full != said->said_full) {
        uint64_t quiet_us = is_full ? FULL_QUIET_US : ROOM_QUIET_US;

        if (said->said_us && now_us - said->said_us < quiet_us) return;
        said->said_full = is_full;
        said->said_us = now_us;
        if (is_full)
            say_full(server, disk);
        else
            log_write(server->log, LOG_NOTICE,
                      "There is room on the disk again: elements can be added");
    }
    said->has_refused = false;
}
