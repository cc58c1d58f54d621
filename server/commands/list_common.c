#include "server/commands/list_common.h"

#include <errno.h>

#include "server/commands/lookup.h"
#include "server/commands/server.h"
#include "server/keyspace/keyspace.h"
#include "server/observe/memory.h"
#include "server/types/list.h"

int list_find(struct call *call, struct slice name, struct list_at *out_list)
{
    int rc = key_access_kind(call, name, VALUE_LIST, &out_list->key);

    if (rc == 1) out_list->deque = list_deque(key_value(out_list->key));
    return rc;
}

int list_find_read(struct call *call, struct slice name, struct list_at *out_list)
{
    int rc = list_find(call, name, out_list);

    key_count_look(call, rc != 0);
    return rc;
}

static int make_list(struct call *call, struct slice name, enum spill_end end,
                     const struct slice *items, uint32_t item_count, struct list_at *out_list)
{
    struct value *value;
    int rc;

    if (!call->is_replay && memory_is_exhausted(call->server->memory, 0))
        return -ENOMEM; /* a key and a root cannot spill */
    rc = list_create(call->server->store, &value);

    if (rc < 0) return rc;
    out_list->deque = list_deque(value);
    rc = spill_deque_push(out_list->deque, end, items, item_count);
    if (rc == 0)
        rc = keyspace_add(call->server->keyspace, call->database, name, value, &out_list->key);
    if (rc < 0) value->type->destroy(value);
    return rc;
}

int list_push_items(struct call *call, struct slice name, enum spill_end end,
                    const struct slice *items, uint32_t item_count, struct list_at *out_list)
{
    int rc = list_find(call, name, out_list);

    if (rc < 0) return rc;
    if (rc == 0)
        rc = make_list(call, name, end, items, item_count, out_list);
    else
        rc = spill_deque_push(out_list->deque, end, items, item_count);
    if (rc < 0) return rc;
    call_changed_signal(call, name);
    return 0;
}

void list_removed_some(struct call *call, struct list_at *list)
{
    struct keyspace *keyspace = call->server->keyspace;

    if (spill_deque_count(list->deque) == 0)
        keyspace_remove(keyspace, list->key);
    else
        call_changed(call, key_name(list->key));
}

bool list_parse_end(struct call *call, uint32_t index, enum spill_end *out_end)
{
    struct slice word = call->arguments[index];

    if (slice_is(word, "LEFT"))
        *out_end = SPILL_HEAD;
    else if (slice_is(word, "RIGHT"))
        *out_end = SPILL_TAIL;
    else {
        (void)call_syntax_error(call);
        return false;
    }
    return true;
}

int list_may_walk(const struct call *call, const struct spill_deque *deque)
{
    if (call_can_suspend(call)) return 0;
    if (spill_deque_is_resident(deque) && spill_deque_bytes(deque) <= LIST_INLINE_WALK_BYTES)
        return 0;
    return -EAGAIN;
}

int list_may_survey(const struct call *call, const struct spill_deque *deque)
{
    if (call_can_suspend(call)) return 0;
    return spill_deque_chunk_count(deque) <= LIST_INLINE_WALK_CHUNKS ? 0 : -EAGAIN;
}
