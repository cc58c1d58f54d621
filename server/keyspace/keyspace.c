/* A database is a dict of keys and a heap of those that have a time to live. SWAPDB exchanges
 * databases; keys know only the slot of theirs, so none is touched. */
#include "server/keyspace/keyspace_internal.h"

#include "modules/base/alloc_size.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { BURY_PER_ADD = 8 /* steps; faster than additions can pile up new keys to bury */ };

static const struct keyspace_hooks no_hooks;

int keyspace_create(unsigned database_count, const struct keyspace_hooks *hooks,
                    struct keyspace **out_keyspace)
{
    struct keyspace *keyspace = NULL;
    uint64_t seeds[2];
    int rc;

    if (database_count < 1 || database_count > KEYSPACE_DATABASES_MAX) return -EINVAL;
    rc = random_entropy(seeds, sizeof(seeds));
    if (rc < 0) return rc;
    rc = -ENOMEM;
    keyspace = calloc(1, sizeof(*keyspace));
    if (!keyspace) goto out;
    keyspace->slots = calloc(database_count, sizeof(keyspace->slots[0]));
    keyspace->numbered = calloc(database_count, sizeof(struct database *));
    if (!keyspace->slots || !keyspace->numbered) goto out;
    keyspace->database_count = database_count;
    keyspace->hooks = hooks ? *hooks : no_hooks;
    keyspace->is_active = true;
    keyspace->held_until_ms = INT64_MIN;
    random_init(&keyspace->random, seeds[0]);
    heap_init(&keyspace->due, offsetof(struct database, due_index));
    for (unsigned i = 0; i < database_count; i++)
        keyspace_init_database(keyspace, i, seeds[1]);
    rc = heap_reserve(&keyspace->due, database_count);
    if (rc < 0) goto out;
    *out_keyspace = keyspace;
    keyspace = NULL;
out:
    keyspace_destroy(keyspace);
    return rc;
}

static void destroy_value(struct keyspace *keyspace, struct value *value)
{
    const struct keyspace_hooks *hooks = &keyspace->hooks;
    size_t bytes;
    void *block;
    if (hooks->free_block && value->type->take_block) {
        block = value->type->take_block(value, &bytes);
        if (block) hooks->free_block(hooks->context, block, bytes);
    }
    value->type->destroy(value);
}

void keyspace_free_key(struct keyspace *keyspace, struct key *key)
{
    struct value *value = key->value;
    keyspace->key_bytes -= key_memory_bytes(key);
    keyspace->value_bytes -= value->type->counted_bytes(value);
    destroy_value(keyspace, value);
    free(key);
}

void keyspace_destroy(struct keyspace *keyspace)
{
    if (!keyspace) return;
    keyspace_picture_abandon(keyspace);
    while (keyspace_picture_step(keyspace, UINT64_MAX))
        ;
    while (keyspace_bury(keyspace, UINT64_MAX))
        ;
    for (unsigned i = 0; i < keyspace->database_count; i++)
        keyspace_empty_database(keyspace, &keyspace->slots[i]);
    heap_finish(&keyspace->due);
    free(keyspace->slots);
    free(keyspace->numbered);
    free(keyspace);
}

unsigned keyspace_database_count(const struct keyspace *keyspace)
{
    return keyspace->database_count;
}

void keyspace_set_now(struct keyspace *keyspace, int64_t now_ms)
{
    if (keyspace->created_ms == 0) keyspace->created_ms = now_ms;
    keyspace->now_ms = now_ms;
}

int64_t keyspace_now(const struct keyspace *keyspace)
{
    return keyspace->now_ms;
}

/* ---- keys ---- */

struct key *keyspace_find(struct keyspace *keyspace, unsigned database, struct slice name)
{
    struct dict *keys = &database_at(keyspace, database)->keys;
    struct key *key = (struct key *)(void *)dict_find(keys, name, dict_hash(keys, name));
    if (!key) return NULL;
    keyspace_save_first(keyspace, key);
    if (!keyspace_must_expire(keyspace, key)) return key;
    keyspace_expire_key(keyspace, key);
    return NULL;
}

static uint32_t access_clock(const struct keyspace *keyspace)
{
    return (uint32_t)((keyspace->now_ms - keyspace->created_ms) / 1000) & 0xffffffu;
}

/* A key that is in no database yet. */
static struct key *key_create(struct keyspace *keyspace, struct database *database,
                              struct slice name)
{
    struct key *key;
    if (name.size > DICT_NAME_BYTES_MAX) return NULL;
    key = malloc(sizeof(*key) + name.size);
    if (!key) return NULL;
    key->node = (struct dict_node){ .hash = dict_hash(&database->keys, name),
                                    .name_size = (uint32_t)name.size & DICT_NAME_BYTES_MAX,
                                    .is_marked = keyspace->mark };
    key->value = NULL;
    key->expiry_index = HEAP_NOT_THERE;
    key->accessed_at = access_clock(keyspace) & 0xffffffu;
    key->slot = (uint8_t)(database - keyspace->slots);
    if (name.size > 0) memcpy(key->name, name.bytes, name.size);
    return key;
}

int keyspace_add(struct keyspace *keyspace, unsigned database, struct slice name,
                 struct value *value, struct key **out_key)
{
    struct database *home = database_at(keyspace, database);
    struct key *key = key_create(keyspace, home, name);
    if (!key) return -ENOMEM;
    assert(!dict_find(&home->keys, name, key->node.hash));
    if (dict_add(&home->keys, &key->node) < 0) {
        free(key);
        return -ENOMEM;
    }
    key->value = value;
    keyspace->may_rehash = true;
    keyspace->key_bytes += key_memory_bytes(key);
    keyspace->value_bytes += value->type->counted_bytes(value);
    if (keyspace->graves) (void)keyspace_bury(keyspace, BURY_PER_ADD);
    keyspace_changed(keyspace, database, key_name(key));
    if (out_key) *out_key = key;
    return 0;
}

static void tell_gone(const struct keyspace *keyspace, unsigned database, struct slice name)
{
    if (keyspace->hooks.on_gone) keyspace->hooks.on_gone(keyspace->hooks.context, database, name);
}

void keyspace_remove(struct keyspace *keyspace, struct key *key)
{
    struct database *home = database_of(keyspace, key);
    keyspace_save_first(keyspace, key);
    keyspace_drop_expiry(keyspace, key);
    dict_remove(&home->keys, &key->node);
    keyspace->may_rehash = true;
    keyspace_changed(keyspace, home->number, key_name(key));
    tell_gone(keyspace, home->number, key_name(key));
    keyspace_free_key(keyspace, key);
}

void keyspace_replace(struct keyspace *keyspace, struct key *key, struct value *value,
                      bool keep_ttl)
{
    struct value *old = key->value;
    keyspace_save_first(keyspace, key);
    keyspace->value_bytes += value->type->counted_bytes(value);
    keyspace->value_bytes -= old->type->counted_bytes(old);
    key->value = value;
    key_touch_access(keyspace, key);
    destroy_value(keyspace, old);
    if (!keep_ttl) keyspace_drop_expiry(keyspace, key);
    tell_gone(keyspace, database_of(keyspace, key)->number, key_name(key));
}

int keyspace_move(struct keyspace *keyspace, struct key *key, unsigned database, struct slice name)
{
    struct database *from = database_of(keyspace, key), *to = database_at(keyspace, database);
    int64_t expires_at = key_expires_at(keyspace, key);
    struct key *moved, *old;
    int rc = -ENOMEM;

    if (from == to && slice_equal(key_name(key), name)) return 0;
    keyspace_save_first(keyspace, key);
    moved = key_create(keyspace, to, name);
    if (!moved) return -ENOMEM;
    if (expires_at != -1) {
        rc = heap_reserve(&to->expiring, 1);
        if (rc < 0) goto out;
    }
    /* name may be that of the key that goes: from here on the copy counts. */
    old = (struct key *)(void *)dict_find(&to->keys, name, moved->node.hash);
    rc = dict_add(&to->keys, &moved->node);
    if (rc < 0) goto out;
    if (old) keyspace_save_first(keyspace, old);
    keyspace->may_rehash = true;
    moved->value = key->value;
    moved->accessed_at = key->accessed_at;
    keyspace->key_bytes += key_memory_bytes(moved);
    if (expires_at != -1) {
        keyspace_drop_expiry(keyspace, key);
        rc = keyspace_set_expiry(keyspace, moved, expires_at);
        assert(rc == 0);
    }
    dict_remove(&from->keys, &key->node);
    keyspace_changed(keyspace, from->number, key_name(key));
    tell_gone(keyspace, from->number, key_name(key));
    if (old) {
        keyspace_drop_expiry(keyspace, old);
        dict_remove(&to->keys, &old->node);
        tell_gone(keyspace, to->number, name);
        keyspace_free_key(keyspace, old);
    }
    keyspace_changed(keyspace, to->number, key_name(moved));
    keyspace->key_bytes -= key_memory_bytes(key);
    free(key);
    return 0;
out:
    free(moved);
    return rc;
}

struct slice key_name(const struct key *key)
{
    return slice_of(key->name, key->node.name_size);
}

unsigned key_database(const struct keyspace *keyspace, const struct key *key)
{
    return database_of(keyspace, key)->number;
}

struct value *key_value(const struct key *key)
{
    return key->value;
}

void key_touch_access(struct keyspace *keyspace, struct key *key)
{
    key->accessed_at = access_clock(keyspace) & 0xffffffu;
}

int64_t key_idle_ms(const struct keyspace *keyspace, const struct key *key)
{
    return (int64_t)((access_clock(keyspace) - key->accessed_at) & 0xffffffu) * 1000;
}

uint64_t key_memory_bytes(const struct key *key)
{
    return alloc_size(sizeof(*key) + key->node.name_size);
}

void keyspace_changed(struct keyspace *keyspace, unsigned database, struct slice name)
{
    keyspace->counts.changes++;
    if (keyspace->hooks.on_change)
        keyspace->hooks.on_change(keyspace->hooks.context, database, name);
}

void keyspace_count_change(struct keyspace *keyspace)
{
    keyspace->counts.changes++;
}

/* ---- memory ---- */

static uint64_t database_memory_bytes(const struct dict *keys, const struct heap *expiring)
{
    return dict_memory_bytes(keys) + heap_memory_bytes(expiring);
}

void keyspace_info(const struct keyspace *keyspace, struct keyspace_info *out_info)
{
    uint64_t table_bytes = alloc_size(sizeof(*keyspace)) + heap_memory_bytes(&keyspace->due) +
                           alloc_size(keyspace->database_count * sizeof(keyspace->slots[0])) +
                           alloc_size(keyspace->database_count * sizeof(struct database *));
    for (unsigned i = 0; i < keyspace->database_count; i++)
        table_bytes +=
            database_memory_bytes(&keyspace->slots[i].keys, &keyspace->slots[i].expiring);
    for (const struct grave *grave = keyspace->graves; grave; grave = grave->next)
        table_bytes +=
            alloc_size(sizeof(*grave)) + database_memory_bytes(&grave->keys, &grave->expiring);
    *out_info = (struct keyspace_info){
        .memory_bytes = table_bytes + keyspace->key_bytes + keyspace->value_bytes,
        .value_memory_bytes = keyspace->value_bytes,
        .expired_keys = keyspace->expired_keys,
        .changes = keyspace->counts.changes,
    };
}

void keyspace_account(struct keyspace *keyspace, int64_t delta_bytes)
{
    assert(delta_bytes >= 0 || keyspace->value_bytes >= (uint64_t)-delta_bytes);
    keyspace->value_bytes += (uint64_t)delta_bytes;
}
