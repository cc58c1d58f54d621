#include "server/commands/stream_group_key.h"

#include <errno.h>

#include "server/commands/lookup.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/keyspace/keyspace.h"
#include "server/observe/memory.h"
#include "server/types/stream.h"

int stream_group_find(struct call *call, struct slice name, struct slice group,
                      struct stream_group_key *out_key)
{
    int rc;

    *out_key = (struct stream_group_key){ .group = NULL };
    rc = stream_key_find(call, name, &out_key->stream);
    if (rc <= 0) return rc;
    out_key->groups = stream_value_groups(out_key->stream.value);
    if (out_key->groups) out_key->group = stream_groups_find(out_key->groups, group);
    return out_key->group != NULL;
}

int stream_group_need(struct call *call, struct slice name, struct slice group,
                      struct stream_group_key *out_key)
{
    int rc = stream_group_find(call, name, group, out_key);

    if (rc != 0) return rc;
    return call_errorf(call, "NOGROUP No such key '%.*s' or consumer group '%.*s'", (int)name.size,
                       (const char *)name.bytes, (int)group.size, (const char *)group.bytes);
}

void stream_group_count_look(struct call *call, const struct stream_group_key *key)
{
    key_count_look(call, key->stream.key != NULL);
}

int stream_group_missing(struct call *call, struct slice name, struct slice group)
{
    return call_errorf(call, "NOGROUP No such consumer group '%.*s' for key name '%.*s'",
                       (int)group.size, (const char *)group.bytes, (int)name.size,
                       (const char *)name.bytes);
}

int stream_group_get_consumer(struct call *call, const struct stream_group_key *key,
                              struct slice name, struct stream_consumer **out_consumer)
{
    uint64_t now_ms = stream_now_ms(call);

    *out_consumer = stream_group_find_consumer(key->group, name);
    if (!*out_consumer) return stream_group_add_consumer(key->group, name, now_ms, out_consumer);
    stream_consumer_set_seen(*out_consumer, now_ms);
    return 0;
}

void stream_group_changed(struct call *call, const struct stream_group_key *key)
{
    stream_key_recount(call, &key->stream);
    call_changed_unwatched(call);
}

void stream_group_made_idle(struct call *call, const struct stream_group_key *key)
{
    stream_group_changed(call, key);
    parking_hasten(call->server, call->database, key_name(key->stream.key));
}

uint64_t stream_now_ms(const struct call *call)
{
    int64_t now_ms = keyspace_now(call->server->keyspace);

    return now_ms > 0 ? (uint64_t)now_ms : 0;
}

uint64_t stream_delivered_max_ms(uint64_t now_ms, int64_t min_idle_ms)
{
    if (min_idle_ms <= 0) return STREAM_ANY_TIME_MS;
    return now_ms > (uint64_t)min_idle_ms ? now_ms - (uint64_t)min_idle_ms : 0;
}

int stream_group_may_grow(const struct call *call)
{
    if (call->is_replay) return 0;
    return memory_is_exhausted(call->server->memory, 0) ? -ENOMEM : 0;
}
