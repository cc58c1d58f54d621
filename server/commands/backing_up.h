/* backing_up.h - the backup that SL.BACKUP makes (server/durability/backup.h), and the last one.
 *
 * One at a time. Loop thread only. */
#ifndef SERVER_COMMANDS_BACKING_UP_H
#define SERVER_COMMANDS_BACKING_UP_H
#include <stdbool.h>
#include <stdint.h>

struct backup;
struct info_text;
struct server;

enum { BACKUP_ERROR_BYTES = 200 };

struct backing_up {
    bool is_running;
    struct backup *backup; /* NULL: none runs */
    uint64_t complete_count, failed_count;
    bool has_failed;                     /* the last one */
    char error[BACKUP_ERROR_BYTES];      /* why, and while doing what; "" */
    int64_t began_ms;                    /* the one that runs; since 1970 */
    int64_t completed_ms;                /* when one last became complete; 0: none has */
    int64_t took_ms;                     /* the last one; -1: there was none */
    uint64_t copied_bytes, cloned_bytes; /* of the last complete one */
};

/* Of INFO persistence. */
void backing_up_info(const struct server *server, struct info_text *text);
#endif
