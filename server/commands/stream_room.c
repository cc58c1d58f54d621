#include "server/commands/stream_room.h"

#include <errno.h>

#include "modules/stream/stream.h"
#include "server/commands/loading.h"
#include "server/commands/parking.h"
#include "server/commands/server.h"
#include "server/observe/memory.h"

/* Files for less than that are not worth making: stream_store_shrink leaves such streams, too. */
enum { SMALL_BYTES = 4096 };

/* What stays in memory waits until others have left it for the disk, as long as any can. */
static int wait_for_memory(const struct call *call)
{
    struct server *server = call->server;

    while (memory_is_exhausted(server->memory, 0)) {
        int rc;
        if (stream_store_shrink(server->streams, memory_excess_bytes(server->memory), true) == 0)
            return -ENOMEM;
        /* EXEC that nobody can suspend. */
        if (call->in_transaction && !parking_can_suspend(server->parking)) return -ENOMEM;
        rc = stream_store_wait(server->streams);
        if (rc < 0) return rc;
        memory_update(server->memory);
    }
    return 0;
}

/* A journal tells of an attempt that may be old, and has begun another: that one counts. */
static int try_twice(struct stream *stream, uint64_t fields_bytes)
{
    int rc = stream_reserve(stream, fields_bytes);

    return rc == -ENOSPC || rc == -EDQUOT ? stream_reserve(stream, fields_bytes) : rc;
}

int stream_room_insist(struct server *server, struct stream *stream, uint64_t fields_bytes)
{
    bool is_coming = server->loading != NULL;
    int rc = stream_reserve(stream, fields_bytes);

    while ((rc == -ENOSPC || rc == -EDQUOT) && is_coming) {
        /* What came while the last attempt was being made counts, too. */
        is_coming = loading_find_room(server, stream);
        rc = try_twice(stream, fields_bytes);
    }
    return rc;
}

/* Entries need no memory where they go to disk. What does: a key and a root, and small streams. */
int stream_room_reserve(const struct call *call, struct stream *stream, uint64_t fields_bytes,
                        bool is_new)
{
    struct stream_info info;

    if (call->is_replay) return stream_room_insist(call->server, stream, fields_bytes);
    if (!memory_is_exhausted(call->server->memory, 0)) return stream_reserve(stream, fields_bytes);
    stream_get_info(stream, &info);
    if (info.is_in_memory && (is_new || info.memory_bytes < SMALL_BYTES)) {
        int rc = wait_for_memory(call);
        return rc < 0 ? rc : stream_reserve(stream, fields_bytes);
    }
    return stream_reserve_on_disk(stream, fields_bytes);
}
