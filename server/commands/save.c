/* save.c - SAVE BGSAVE BGREWRITEAOF LASTSAVE, until there is something to save to. */
#include "server/commands/command.h"
#include "server/commands/handlers.h"

/* SAVE, BGSAVE [SCHEDULE], BGREWRITEAOF, LASTSAVE: OK would promise what nobody keeps. */
int save_save(struct call *call)
{
    return call_error(call, "ERR Nothing can be saved: durability is not there yet, and data does "
                            "not survive the end of the process");
}
