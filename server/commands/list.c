/* list.c - LPUSH RPUSH LPUSHX RPUSHX LLEN LINDEX LSET LTRIM SL.LIST */
#include <errno.h>

#include "server/commands/handlers.h"
#include "server/commands/list_common.h"
#include "server/commands/server.h"
#include "server/keyspace/keyspace.h"

static int push(struct call *call, enum spill_end end)
{
    struct list_at list;
    int rc = list_push_items(call, call->arguments[1], end, call->arguments + 2,
                             call->argument_count - 2, &list);

    if (rc < 0) return rc;
    reply_integer(call->reply, (int64_t)spill_deque_count(list.deque));
    return 0;
}

/* LPUSH key element [element ...] */
int list_lpush(struct call *call)
{
    return push(call, SPILL_HEAD);
}

/* RPUSH key element [element ...] */
int list_rpush(struct call *call)
{
    return push(call, SPILL_TAIL);
}

static int push_if_there(struct call *call, enum spill_end end)
{
    struct list_at list;
    int rc = list_find(call, call->arguments[1], &list);

    if (rc < 0) return rc;
    if (rc == 1) return push(call, end);
    reply_integer(call->reply, 0);
    return 0;
}

/* LPUSHX key element [element ...] */
int list_lpushx(struct call *call)
{
    return push_if_there(call, SPILL_HEAD);
}

/* RPUSHX key element [element ...] */
int list_rpushx(struct call *call)
{
    return push_if_there(call, SPILL_TAIL);
}

/* LLEN key */
int list_llen(struct call *call)
{
    struct list_at list;
    int rc = list_find_read(call, call->arguments[1], &list);

    if (rc < 0) return rc;
    reply_integer(call->reply, rc ? (int64_t)spill_deque_count(list.deque) : 0);
    return 0;
}

/* False: no such element. */
static bool absolute_index(const struct spill_deque *deque, int64_t index, uint64_t *out_index)
{
    int64_t count = (int64_t)spill_deque_count(deque);

    if (index < 0) index += count;
    if (index < 0 || index >= count) return false;
    *out_index = (uint64_t)index;
    return true;
}

/* LINDEX key index */
int list_lindex(struct call *call)
{
    struct list_at list;
    struct slice item;
    int64_t index;
    uint64_t at;
    int rc = list_find_read(call, call->arguments[1], &list);

    if (rc < 0) return rc;
    if (rc == 0) {
        reply_null(call->reply);
        return 0;
    }
    if (!call_integer(call, 2, &index)) return 0;
    rc = 0;
    if (absolute_index(list.deque, index, &at)) rc = spill_deque_get(list.deque, at, &item);
    if (rc < 0) return rc;
    if (rc == 1) return list_reply_element(call, list.deque, at, item);
    reply_null(call->reply);
    return 0;
}

/* LSET key index element */
int list_lset(struct call *call)
{
    struct list_at list;
    int64_t index;
    uint64_t at;
    int rc = list_find(call, call->arguments[1], &list);

    if (rc < 0) return rc;
    if (rc == 0) return call_error(call, "ERR no such key");
    if (!call_integer(call, 2, &index)) return 0;
    if (!absolute_index(list.deque, index, &at)) return call_error(call, "ERR index out of range");
    rc = spill_deque_set(list.deque, at, call->arguments[3]);
    if (rc < 0) return rc;
    call_changed(call, call->arguments[1]);
    reply_ok(call->reply);
    return 0;
}

/* LTRIM key start stop */
int list_ltrim(struct call *call)
{
    struct list_at list;
    int64_t first, last, count;
    int rc;

    if (!call_integer(call, 2, &first) || !call_integer(call, 3, &last)) return 0;
    rc = list_find(call, call->arguments[1], &list);
    if (rc < 0) return rc;
    if (rc == 0) {
        reply_ok(call->reply);
        return 0;
    }
    count = (int64_t)spill_deque_count(list.deque);
    if (first < 0) first = first + count < 0 ? 0 : first + count;
    if (last < 0) last += count;
    if (last >= count) last = count - 1;
    if (first > last || first >= count) {
        keyspace_remove(call->server->keyspace, list.key);
        reply_ok(call->reply);
        return 0;
    }
    rc = spill_deque_keep(list.deque, (uint64_t)first, (uint64_t)(last - first + 1));
    if (rc < 0) return rc;
    list_removed_some(call, &list);
    reply_ok(call->reply);
    return 0;
}

static void reply_field(struct call *call, const char *name, uint64_t value)
{
    reply_bulk_string(call->reply, name);
    reply_integer(call->reply, (int64_t)value);
}

/* SL.LIST INFO key */
int list_sl_info(struct call *call)
{
    struct list_at list;
    struct spill_deque_info info;
    int rc = list_find(call, call->arguments[2], &list);

    if (rc < 0) return rc;
    if (rc == 0) return call_error(call, "ERR no such key");
    rc = list_may_survey(call, list.deque);
    if (rc < 0) return rc;
    rc = spill_deque_info(list.deque, &info);
    if (rc < 0) return rc;
    reply_map(call->reply, 10);
    reply_field(call, "elements", info.element_count);
    reply_field(call, "bytes", info.element_bytes);
    reply_field(call, "elements_in_memory", info.elements_in_memory);
    reply_field(call, "bytes_in_memory", info.bytes_in_memory);
    reply_field(call, "elements_on_disk", info.element_count - info.elements_in_memory);
    reply_field(call, "bytes_on_disk", info.bytes_on_disk);
    reply_field(call, "chunks", info.chunk_count);
    reply_field(call, "chunks_in_memory", info.chunks_in_memory);
    reply_field(call, "chunks_prefetching", info.chunks_prefetching);
    reply_field(call, "index_height", info.tree_height > 0 ? info.tree_height - 1 : 0);
    return 0;
}

/* SL.LIST HELP */
int list_sl_help(struct call *call)
{
    static const char *const lines[] = {
        "INFO <key>",
        "    Elements, bytes and chunks of a list, in memory and on disk, those being read ahead,",
        "    and how many levels of its index stand above the chunks.",
    };

    return call_help(call, lines, sizeof(lines) / sizeof(lines[0]));
}

/* SL.LIST */
int list_sl_list(struct call *call)
{
    return call_unknown_subcommand(call);
}
