#include "server/commands/stream_key.h"

#include "server/commands/lookup.h"
#include "server/commands/server.h"
#include "server/keyspace/keyspace.h"
#include "server/types/stream.h"

int stream_key_find(struct call *call, struct slice name, struct stream_key *out_key)
{
    int rc = key_access_kind(call, name, VALUE_STREAM, &out_key->key);

    if (rc != 1) return rc;
    out_key->value = key_value(out_key->key);
    out_key->stream = stream_value_stream(out_key->value);
    return 1;
}

int stream_key_find_read(struct call *call, struct slice name, struct stream_key *out_key)
{
    int rc = stream_key_find(call, name, out_key);

    key_count_look(call, rc != 0);
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
