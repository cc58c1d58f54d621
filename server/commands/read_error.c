#include "server/commands/read_error.h"

#include <stdio.h>

#include "modules/base/log.h"
#include "modules/spill/deque.h"
#include "modules/spill/store.h"
#include "server/commands/call_keys.h"
#include "server/commands/server.h"
#include "server/keyspace/keyspace.h"
#include "server/net/loop.h"
#include "server/types/list.h"

enum { NAME_BYTES_MAX = 128, QUIET_US = 1000 * 1000 };

/* A call's only key or list is the one; of several lists that whose number the error has. */
static const struct claim_name *find_list(const struct call *call, const struct call_names *names,
                                          uint64_t number)
{
    const struct claim_name *only = NULL;
    uint32_t list_count = 0;

    if (names->count == 1) return names->items;
    for (uint32_t i = 0; i < names->count; i++) {
        const struct claim_name *name = &names->items[i];
        const struct key *key = keyspace_find(call->server->keyspace, name->database, name->name);

        if (!key || key_value(key)->type->kind != VALUE_LIST) continue;
        if (spill_deque_number(list_deque(key_value(key))) == number) return name;
        only = name;
        list_count++;
    }
    return list_count == 1 ? only : NULL;
}

/* Bytes that do not print would break a line of the log. */
static void copy_name(char out[NAME_BYTES_MAX + 4], struct slice name)
{
    size_t size = name.size < NAME_BYTES_MAX ? name.size : NAME_BYTES_MAX;

    for (size_t i = 0; i < size; i++)
        out[i] = name.bytes[i] >= 0x20 && name.bytes[i] < 0x7f ? (char)name.bytes[i] : '?';
    (void)snprintf(out + size, 4, "%s", name.size > size ? "..." : "");
}

void read_error_describe(const struct call *call, char text[READ_ERROR_BYTES])
{
    char shown[NAME_BYTES_MAX + 4];
    const struct claim_name *name = NULL;
    struct call_names names;
    uint64_t number;
    const char *what = spill_store_last_error_in(call->server->store, &number);
    bool has_names = call_names_collect(call, &names) == 0;

    if (has_names) name = find_list(call, &names, number);
    if (name) {
        copy_name(shown, name->name);
        (void)snprintf(text, READ_ERROR_BYTES, "key '%s' of database %u, %s", shown, name->database,
                       what);
    } else {
        (void)snprintf(text, READ_ERROR_BYTES, "%s", what);
    }
    if (has_names) call_names_finish(&names);
}

void read_error_log(const struct call *call, const char *description)
{
    struct server *server = call->server;
    uint64_t now_us = loop_now_us(server->loop);

    if (server->read_error_logged_us && now_us - server->read_error_logged_us < QUIET_US) return;
    server->read_error_logged_us = now_us;
    log_write(server->log, LOG_WARNING, "Reading from disk failed: %s", description);
}
