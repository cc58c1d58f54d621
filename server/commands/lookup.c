#include "server/commands/lookup.h"

#include <errno.h>

#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/statistics.h"
#include "server/keyspace/keyspace.h"
#include "server/types/value.h"

struct key *key_access(struct call *call, struct slice name)
{
    struct keyspace *keyspace = call->server->keyspace;
    struct key *key = keyspace_find(keyspace, call->database, name);

    if (key && (!call->session || !call->session->no_touch)) key_touch_access(keyspace, key);
    return key;
}

int key_access_kind(struct call *call, struct slice name, enum value_kind kind,
                    struct key **out_key)
{
    struct key *key = key_access(call, name);

    if (!key) return 0;
    if (key_value(key)->type->kind != kind) return -EPROTOTYPE;
    *out_key = key;
    return 1;
}

void key_count_look(struct call *call, bool is_there)
{
    struct statistics *statistics = call->server->statistics;

    if (is_there)
        statistics->keyspace_hits++;
    else
        statistics->keyspace_misses++;
}
