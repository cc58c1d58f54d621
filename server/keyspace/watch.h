/* watch.h - WATCH: which clients want to know that a key changed. Loop thread only. */
#ifndef SERVER_KEYSPACE_WATCH_H
#define SERVER_KEYSPACE_WATCH_H
#include "modules/base/slice.h"

struct watch;

/* One client's; embed it in its session, zeroed. */
struct watcher {
    bool is_dirty;              /* something it watches changed: EXEC must answer nil */
    struct watch_place *places; /* watch's own; one for each key it watches */
    uint32_t place_count;
};

struct watch_counts { /* what struct watch begins with */
    uint64_t places, watchers;
};

int watch_create(struct watch **out_watch);
void watch_destroy(struct watch *watch); /* accepts NULL; no watcher may be left */
/* Watching a key twice is once. has_expired: it is there but its time has passed (then its later
 * removal is no change). -ENOMEM. */
int watch_add(struct watch *watch, struct watcher *watcher, unsigned database, struct slice name,
              bool has_expired);
/* UNWATCH: forgets all and clears is_dirty. */
void watch_clear(struct watch *watch, struct watcher *watcher);
/* Marks the watchers of that key dirty; cheap when nobody watches anything. */
void watch_changed_watched(struct watch *watch, unsigned database, struct slice name);
static inline void watch_changed(struct watch *watch, unsigned database, struct slice name)
{
    if (((const struct watch_counts *)(const void *)watch)->places > 0)
        watch_changed_watched(watch, database, name);
}
/* FLUSHDB, SWAPDB: all that watch a name for which exists() is true in that database. exists NULL:
 * all. */
void watch_changed_database(struct watch *watch, unsigned database,
                            bool (*exists)(void *context, unsigned database, struct slice name),
                            void *context);
/* Calls each for what a watcher watches until it returns true; then true. For the test at EXEC that
 * nothing has expired meanwhile. */
bool watch_any(const struct watcher *watcher,
               bool (*each)(void *context, unsigned database, struct slice name, bool had_expired),
               void *context);
uint64_t watch_client_count(const struct watch *watch); /* watching_clients */
uint64_t watch_memory_bytes(const struct watch *watch);
#endif
