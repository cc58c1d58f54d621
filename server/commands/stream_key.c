#include "server/commands/stream_key.h"

#include <errno.h>

#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/commands/statistics.h"
#include "server/keyspace/keyspace.h"
#include "server/types/stream.h"

int stream_key_find(struct call *call, struct slice name, struct stream_key *out_key)
{
    struct keyspace *keyspace = call->server->keyspace;
    struct key *key = keyspace_find(keyspace, call->database, name);

    if (!key) return 0;
    if (key_value(key)->type->kind != VALUE_STREAM) return -EPROTOTYPE;
    if (!call->session || !call->session->no_touch) key_touch_access(keyspace, key);
    out_key->key = key;
    out_key->value = key_value(key);
    out_key->stream = stream_value_stream(out_key->value);
    return 1;
}

int stream_key_find_read(struct call *call, struct slice name, struct stream_key *out_key)
{
    int rc = stream_key_find(call, name, out_key);

    if (rc == 0)
        call->server->statistics->keyspace_misses++;
    else
        call->server->statistics->keyspace_hits++;
    return rc;
}

int stream_key_make(struct call *call, struct stream_key *out_key)
{
    int rc = stream_value_create(call->server->streams, &out_key->value);

    if (rc < 0) return rc;
    out_key->key = NULL;
    out_key->stream = stream_value_stream(out_key->value);
    return 0;
}

int stream_key_add(struct call *call, struct slice name, struct stream_key *key)
{
    return keyspace_add(call->server->keyspace, call->database, name, key->value, &key->key);
}

void stream_key_drop(struct stream_key *key)
{
    key->value->type->destroy(key->value);
}

void stream_key_recount(struct call *call, const struct stream_key *key)
{
    keyspace_account(call->server->keyspace, stream_value_recount(key->value));
}
