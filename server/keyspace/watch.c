#include "server/keyspace/watch.h"

#include "modules/base/alloc_size.h"
#include "modules/base/list.h"
#include "server/keyspace/name_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct watched_key {
    struct name_node name;
    struct list_link places; /* never empty while the key is in the table */
    uint32_t place_count;
};

/* That one watcher watches one key. */
struct watch_place {
    struct watcher *watcher;
    struct watched_key *key;
    struct watch_place *next; /* the watcher's */
    struct list_link link;    /* in key->places */
    bool has_expired;         /* the next change is its removal, which is none */
};

struct watch {
    struct watch_counts counts; /* first: watch_changed looks at it */
    struct name_table keys;
};
static_assert(offsetof(struct watch, counts) == 0, "watch_changed relies on it");

int watch_create(struct watch **out_watch)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    int rc;
    if (!watch) return -ENOMEM;
    rc = name_table_init(&watch->keys, sizeof(struct watched_key));
    if (rc < 0) {
        free(watch);
        return rc;
    }
    *out_watch = watch;
    return 0;
}

void watch_destroy(struct watch *watch)
{
    if (!watch) return;
    assert(watch->counts.places == 0);
    name_table_finish(&watch->keys);
    free(watch);
}

static struct watch_place *place_of(struct list_link *link)
{
    return list_container(link, struct watch_place, link);
}

/* Looks through whichever are fewer: the key's watchers or the watcher's keys. */
static bool is_watching(const struct watcher *watcher, const struct watched_key *key)
{
    if (key->place_count < watcher->place_count) {
        list_for_each(link, &key->places)
        {
            if (place_of(link)->watcher == watcher) return true;
        }
        return false;
    }
    for (const struct watch_place *place = watcher->places; place; place = place->next) {
        if (place->key == key) return true;
    }
    return false;
}

static void drop_if_unwatched(struct watch *watch, struct watched_key *key)
{
    if (key->place_count > 0) return;
    name_table_take(&watch->keys, &key->name);
    free(key);
}

int watch_add(struct watch *watch, struct watcher *watcher, unsigned database, struct slice name,
              bool has_expired)
{
    struct watched_key *key =
        (struct watched_key *)(void *)name_table_get(&watch->keys, database, name);
    struct watch_place *place;
    if (!key) return -ENOMEM;
    if (!key->places.next) list_init(&key->places);
    if (is_watching(watcher, key)) return 0;
    place = malloc(sizeof(*place));
    if (!place) {
        drop_if_unwatched(watch, key);
        return -ENOMEM;
    }
    *place = (struct watch_place){
        .watcher = watcher, .key = key, .next = watcher->places, .has_expired = has_expired
    };
    list_push_back(&key->places, &place->link);
    key->place_count++;
    if (!watcher->places) watch->counts.watchers++;
    watcher->places = place;
    watcher->place_count++;
    watch->counts.places++;
    return 0;
}

void watch_clear(struct watch *watch, struct watcher *watcher)
{
    struct watch_place *place = watcher->places;
    if (place) watch->counts.watchers--;
    watch->counts.places -= watcher->place_count;
    while (place) {
        struct watch_place *next = place->next;
        list_remove(&place->link);
        place->key->place_count--;
        drop_if_unwatched(watch, place->key);
        free(place);
        place = next;
    }
    *watcher = (struct watcher){ 0 };
}

static void mark_watchers(struct watched_key *key)
{
    list_for_each(link, &key->places)
    {
        struct watch_place *place = place_of(link);
        if (place->has_expired)
            place->has_expired = false;
        else
            place->watcher->is_dirty = true;
    }
}

void watch_changed_watched(struct watch *watch, unsigned database, struct slice name)
{
    struct watched_key *key =
        (struct watched_key *)(void *)name_table_find(&watch->keys, database, name);
    if (key) mark_watchers(key);
}

struct database_change {
    const struct watch *watch;
    bool (*exists)(void *context, unsigned database, struct slice name);
    void *context;
};

static void mark_if_exists(void *context, struct name_node *node)
{
    struct database_change *change = context;
    if (change->exists && !change->exists(change->context, node->database,
                                          name_table_name(&change->watch->keys, node)))
        return;
    mark_watchers((struct watched_key *)(void *)node);
}

void watch_changed_database(struct watch *watch, unsigned database,
                            bool (*exists)(void *context, unsigned database, struct slice name),
                            void *context)
{
    struct database_change change = { watch, exists, context };
    if (watch->counts.places == 0) return;
    name_table_each(&watch->keys, database, mark_if_exists, &change);
}

bool watch_any(const struct watcher *watcher,
               bool (*each)(void *context, unsigned database, struct slice name, bool had_expired),
               void *context)
{
    for (const struct watch_place *place = watcher->places; place; place = place->next) {
        const struct watched_key *key = place->key;
        /* The name lies behind its node. */
        struct slice name = slice_of(key + 1, key->name.node.name_size);
        if (each(context, key->name.database, name, place->has_expired)) return true;
    }
    return false;
}

uint64_t watch_client_count(const struct watch *watch)
{
    return watch->counts.watchers;
}

uint64_t watch_memory_bytes(const struct watch *watch)
{
    return alloc_size(sizeof(*watch)) + name_table_memory_bytes(&watch->keys) +
           watch->counts.places * alloc_size(sizeof(struct watch_place));
}
