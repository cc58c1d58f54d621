/* slowlog.h - the latest calls that took long, as SLOWLOG shows them.
 *
 * Arguments are cut as in Redis: at most 32, of at most 128 bytes each, and what was left out is
 * told in the last of them or at the end of each. Memory is bounded by SLOWLOG_BYTES_MAX whatever
 * the length: the oldest entries go first. Loop thread only. */
#ifndef SERVER_OBSERVE_SLOWLOG_H
#define SERVER_OBSERVE_SLOWLOG_H
#include "modules/base/slice.h"

struct slowlog;

enum {
    SLOWLOG_ARGUMENTS_MAX = 32,
    SLOWLOG_ARGUMENT_BYTES_MAX = 128,
    SLOWLOG_BYTES_MAX = 16 << 20,
};

struct slowlog_entry {
    uint64_t id;    /* counts up, over SLOWLOG RESET too */
    int64_t time_s; /* since 1970 */
    uint64_t duration_us;
    struct slice *arguments; /* cut already */
    uint32_t argument_count;
    struct slice peer, client_name; /* as in CLIENT LIST */
};

int slowlog_create(uint64_t entries_max, struct slowlog **out_slowlog);
void slowlog_destroy(struct slowlog *slowlog); /* accepts NULL */

/* Drops the oldest entries at once where there are more. 0: nothing is kept. */
void slowlog_set_length(struct slowlog *slowlog, uint64_t entries_max);

/* Copies what it keeps; entry's id is ignored. -ENOMEM: it is not kept. */
int slowlog_add(struct slowlog *slowlog, const struct slowlog_entry *entry);

uint64_t slowlog_length(const struct slowlog *slowlog);
/* Forgets all entries; ids go on. */
void slowlog_reset(struct slowlog *slowlog);

/* The latest entry, or the one before entry; NULL: there is none. Good until the next call that
 * changes the log. */
const struct slowlog_entry *slowlog_latest(const struct slowlog *slowlog);
const struct slowlog_entry *slowlog_before(const struct slowlog_entry *entry);

/* Memory of all entries. */
uint64_t slowlog_memory_bytes(const struct slowlog *slowlog);
#endif
