/* Each key has a mark, and the keyspace one too. They are equal for all keys while no picture is
 * taken; beginning one turns the keyspace's over, so that all keys differ from it at once, and a
 * key that is visited or made afterwards gets the new one. So a key has been visited when its mark
 * is the keyspace's, whatever its table has been through. A flushed database is set aside with its
 * keys, which are visited as they are buried. */
#include "server/keyspace/keyspace_internal.h"

#include <assert.h>

static void give(struct keyspace *keyspace, struct key *key, int64_t expires_at_ms)
{
    struct picture *picture = &keyspace->picture;
    struct pictured_key pictured = {
        .database = picture->numbers[key->slot],
        .name = key_name(key),
        .value = key->value,
        .expires_at_ms = expires_at_ms,
    };
    assert(picture->is_running);
    key->node.is_marked = keyspace->mark;
    picture->visited_count++;
    if (picture->save) picture->save(picture->context, &pictured);
}

void keyspace_picture_visit(struct keyspace *keyspace, struct key *key)
{
    give(keyspace, key, key_expires_at(keyspace, key));
}

static void visit_node(void *context, struct dict_node *node)
{
    keyspace_save_first(context, (struct key *)(void *)node);
}

void keyspace_picture_visit_all(struct keyspace *keyspace, struct database *database)
{
    uint64_t cursor = 0;
    if (!keyspace->picture.is_running) return;
    do {
        cursor = dict_scan(&database->keys, cursor, visit_node, keyspace);
    } while (cursor != 0);
}

void keyspace_picture_begin(struct keyspace *keyspace,
                            void (*save)(void *context, const struct pictured_key *key),
                            void *context)
{
    struct picture *picture = &keyspace->picture;
    assert(!picture->is_running);
    *picture = (struct picture){ .save = save, .context = context, .is_running = true };
    for (unsigned i = 0; i < keyspace->database_count; i++) {
        picture->numbers[i] = (uint8_t)keyspace->slots[i].number;
        picture->total_count += keyspace->slots[i].keys.count;
    }
    keyspace->mark = !keyspace->mark;
}

/* ---- walking ---- */

struct burial {
    struct keyspace *keyspace;
    const struct grave *grave;
};

static void bury(void *context, struct dict_node *node)
{
    const struct burial *burial = context;
    struct key *key = (struct key *)(void *)node;
    if (key->node.is_marked != burial->keyspace->mark)
        give(burial->keyspace, key,
             key->expiry_index == HEAP_NOT_THERE ? -1 : heap_key(&burial->grave->expiring, key));
    keyspace_free_key(burial->keyspace, key);
}

static struct grave **first_pictured(struct keyspace *keyspace)
{
    struct grave **link = &keyspace->graves;
    while (*link && !(*link)->is_pictured)
        link = &(*link)->next;
    return link;
}

static void walk_grave(struct keyspace *keyspace, struct grave **link, uint64_t step_max)
{
    struct burial burial = { keyspace, *link };
    if (!dict_drain(&(*link)->keys, step_max, bury, &burial)) keyspace_close_grave(link);
}

/* True: all databases were walked. */
static bool walk_databases(struct keyspace *keyspace, uint64_t step_max)
{
    struct picture *picture = &keyspace->picture;
    while (picture->slot < keyspace->database_count) {
        const struct dict *keys = &keyspace->slots[picture->slot].keys;
        if (step_max-- == 0) return false;
        picture->cursor = dict_scan(keys, picture->cursor, visit_node, keyspace);
        if (picture->cursor == 0) picture->slot++;
    }
    return true;
}

bool keyspace_picture_step(struct keyspace *keyspace, uint64_t step_max)
{
    struct grave **link;
    if (!keyspace->picture.is_running) return false;
    /* What was set aside goes first: its memory is wanted. */
    link = first_pictured(keyspace);
    if (*link) {
        walk_grave(keyspace, link, step_max);
        return true;
    }
    if (!walk_databases(keyspace, step_max)) return true;
    assert(keyspace->picture.visited_count == keyspace->picture.total_count);
    keyspace->picture.is_running = false;
    return false;
}

void keyspace_picture_abandon(struct keyspace *keyspace)
{
    keyspace->picture.save = NULL;
}

bool keyspace_picture_is_running(const struct keyspace *keyspace)
{
    return keyspace->picture.is_running;
}

void keyspace_picture_progress(const struct keyspace *keyspace,
                               struct keyspace_picture_progress *out_progress)
{
    *out_progress = (struct keyspace_picture_progress){
        .visited_count = keyspace->picture.visited_count,
        .total_count = keyspace->picture.total_count,
    };
}
